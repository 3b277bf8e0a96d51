"""Short synthetic HL7 v2 messages for stories: a sender, a patient, a referral number, and what the story is about."""

from __future__ import annotations

import itertools

_serial = itertools.count(1)
PATIENT = (
    "PID|1||{mrn}^^^NORTHSIDE&2.16.840.1.113883.19.5.1&ISO^MR~M-{mrn}^^^BLUE&2.16.840.1.113883.19.5.9&ISO^MB||{family}^{given}||{born}|F"
    "|||1 Elm St^^Springfield^IL^62701^USA||||en"
)


def _message(kind: str, segments: list[str], *, sender: str, made: str, control_id: str | None = None, enhanced: str = "") -> bytes:
    control = control_id or f"T{next(_serial):06d}"
    header = f"MSH|^~\\&|EHR|{sender}|GATEWAY|CLINIC|{made}||{kind}|{control}|P|2.5.1|||{enhanced}"
    return "\r".join([header.rstrip("|"), *segments, ""]).encode()


def _patient(mrn: str = "554321", family: str = "Marlowe", given: str = "Ines", born: str = "19710314") -> str:
    return PATIENT.format(mrn=mrn, family=family, given=given, born=born)


PERSON = _patient()


def referral(
    number: str = "REF-1",
    *,
    second_opinion: bool = True,
    diagnosis: str = "C50.411",
    made: str = "20260910080000-0500",
    control_id: str | None = None,
    sender: str = "NORTHSIDE",
    enhanced: str = "",
    event: str = "I12",
    question: str = "",
    **patient: str,
) -> bytes:
    """REF^I12 with one insurance; I13 says it anew."""
    reason = "S^Second Opinion^HL70336" if second_opinion else ""
    segments = [
        f"RF1|A^Accepted^HL70283|R^Routine^HL70280|||O^Outpatient^HL70284|{number}^NORTHSIDE|20260910|||{reason}||||{question}",
        "PRD|RP^Referring Provider^HL70286|Okafor^Daniel^^^Dr|2 Oak St^^Springfield^IL^62701||^WPN^PH^^^217^5550100||1234567893^NPI",
        "PRD|RT^Referred to Provider^HL70286|Lindqvist^Karin^^^Dr|||||1987654325^NPI",
        _patient(**patient),
        f"DG1|1||{diagnosis}^Malignant neoplasm^I10C||20260901|F",
        "IN1|1|PPO^Blue PPO|BLUE01^^^NAIC|Blue Plan||||GRP-7||||20260101|20271231||PPO|Marlowe^Ines|SEL|19710314||||1||||||||||||||M-554321",
    ]
    return _message(f"REF^{event}^REF_I12", segments, sender=sender, made=made, control_id=control_id, enhanced=enhanced)


def withdrawal(number: str = "REF-1", *, made: str, sender: str = "NORTHSIDE", **patient: str) -> bytes:
    """REF^I14: the referral is withdrawn; it says no more than which one."""
    segments = [f"RF1|P^Pending^HL70283|||||{number}^NORTHSIDE", "PRD|RP^Referring Provider^HL70286|Okafor^Daniel", _patient(**patient)]
    return _message("REF^I14^REF_I12", segments, sender=sender, made=made)


def pathology(
    *,
    status: str = "F",
    reported: str = "20260905100000-0500",
    made: str = "20260905100500-0500",
    number: str | None = "REF-1",
    filler: str = "S26-1001",
    sender: str = "PATHLAB",
    collected: str = "20260903",
    **patient: str,
) -> bytes:
    """ORU^R01: a surgical pathology report with oestrogen receptor status."""
    order = f"ORC|RE|P-77^PATHLAB|{filler}^PATHLAB|{number or ''}^NORTHSIDE" if number else f"ORC|RE|P-77^PATHLAB|{filler}^PATHLAB"
    segments = [
        _patient(**patient),
        order,
        f"OBR|1|P-77^PATHLAB|{filler}^PATHLAB|11529-5^Surgical pathology study^LN|||{collected}|||||||||||||||{reported}||SP|{status}",
        f"OBX|1|TX|22637-3^Pathology report final diagnosis Narrative^LN||Invasive ductal carcinoma||||||{status}",
        f"OBX|2|CWE|85337-4^Estrogen receptor^LN||10828004^Positive^SCT||||||{status}",
    ]
    return _message("ORU^R01^ORU_R01", segments, sender=sender, made=made)


def blood_count(
    *, collected: str = "20260901", made: str = "20260902080000-0500", filler: str = "L-1", number: str | None = None, **patient: str
) -> bytes:
    """ORU^R01: a complete blood count."""
    segments = [
        _patient(**patient),
        f"ORC|RE||{filler}^LAB" + (f"|{number}^NORTHSIDE" if number else ""),
        f"OBR|1||{filler}^LAB|58410-2^CBC panel^LN|||{collected}|||||||||||||||{made}||HM|F",
        "OBX|1|NM|718-7^Hemoglobin^LN||12.40|g/dL^^UCUM|12-16|N|||F",
    ]
    return _message("ORU^R01^ORU_R01", segments, sender="NORTHSIDE", made=made)


def result(*segments: str, made: str) -> bytes:
    """ORU^R01 of a laboratory about the usual patient, with these orders and results."""
    return _message("ORU^R01^ORU_R01", [_patient(), *segments], sender="LAB", made=made)


def document(
    event: str,
    text: str = "",
    *,
    made: str,
    number: str = "D-1",
    parent: str = "",
    status: str = "AU",
    available: str = "AV",
    kind: str = "CN",
    referral: str = "REF-1",
    **patient: str,
) -> bytes:
    """MDM: a consultation note, or a report by TXA-2, with its text; without text the document is only told of."""
    given = f"{parent}^NORTHSIDE" if parent else ""
    segments = [
        f"EVN|{event}|{made}",
        _patient(**patient),
        "PV1|1|O",
        f"TXA|1|{kind}|TX|20260901090000-0500||20260901100000-0500|||1234567893^Okafor^Daniel|||{number}^NORTHSIDE|{given}"
        f"|{referral}^NORTHSIDE|||{status}||{available}",
        *(f"OBX|{n}|TX|{kind}^Document^HL70270||{line}||||||F" for n, line in enumerate(text.split("\n") if text else (), 1)),
    ]
    return _message(f"MDM^{event}^MDM_{event}", segments, sender="NORTHSIDE", made=made)


def appointment(event: str, start: str, *, made: str, number: str = "REF-1", status: str = "Booked", **patient: str) -> bytes:
    """SIU: an appointment of the case."""
    segments = [
        f"SCH|A-9^CLINIC|A-9^CLINIC|||||SECOND^Second opinion^L|||30|min^^UCUM|^^30^{start}||||||||||||||{status}^^HL70278|{number}^NORTHSIDE",
        _patient(**patient),
        "RGS|1",
        f"AIS|1||CONSULT^Consultation^L|{start}|||30|min^^UCUM|||Booked",
    ]
    return _message(f"SIU^{event}^SIU_S12", segments, sender="CLINICSCHED", made=made)


def adt(event: str, *segments: str, made: str = "20260912080000-0500", sender: str = "NORTHSIDE", structure: str = "") -> bytes:
    """ADT about a patient or one visit. segments: from PID on."""
    structure = structure or f"ADT_{event}"
    return _message(f"ADT^{event}^{structure}", [f"EVN|{event}|{made}", *segments], sender=sender, made=made)


def order(kind: str, *segments: str, made: str, sender: str = "NORTHSIDE", bare: bool = False) -> bytes:
    """An order message, word of one, or of insurance. bare: the segments hold the patient already."""
    lines = list(segments) if bare else [PERSON, *segments]
    return _message(f"{kind}^{kind.replace('^', '_')}", lines, sender=sender, made=made)


def visit(event: str, *, made: str, start: str = "20260912070000-0500", end: str = "", more: str = "", **patient: str) -> bytes:
    """ADT about the visit V-1. more: PV1-36 and what follows up to PV1-43."""
    pv1 = f"PV1|1|I|ONC^12^1{'|' * 16}V-1^^^NORTHSIDE{'|' * 17}{more or '|' * 7}|{start}|{end}"
    return adt(event, _patient(**patient), pv1, made=made)


NUMBER = "{}^^^NORTHSIDE&2.16.840.1.113883.19.5.1&ISO^MR"


def merge(survivor: str = "554321", old: str = "118204", *more: tuple[str, str], made: str = "20260911080000-0500", **patient: str) -> bytes:
    """ADT^A40: the old number goes, the survivor stays; more: further pairs."""
    pairs = [(survivor, old), *more]
    segments = [part for stays, goes in pairs for part in (f"PID|1||{NUMBER.format(stays)}||{_name(**patient)}", f"MRG|{NUMBER.format(goes)}")]
    return _message("ADT^A40^ADT_A39", ["EVN|A40|20260911", *segments], sender="NORTHSIDE", made=made)


def two_patients(event: str, one: str = "554321", other: str = "118204", *, made: str = "20260912080000-0500", **patient: str) -> bytes:
    """ADT^A24 (one person) or A37 (two people after all)."""
    segments = [f"EVN|{event}|20260912", *(f"PID|{n}||{NUMBER.format(number)}||{_name(**patient)}" for n, number in enumerate((one, other), 1))]
    return _message(f"ADT^{event}^ADT_{event}", segments, sender="NORTHSIDE", made=made)


def _name(family: str = "Marlowe", given: str = "Ines", born: str = "19710314", sex: str = "F") -> str:
    return f"{family}^{given}||{born}|{sex}"


def elsewhere(message: bytes) -> bytes:
    """The same message from a sender that names the hospital's number without its registered assigner, and knows no member number."""
    start, end = message.index(b"~M-"), message.index(b"^MB") + 3
    return (message[:start] + message[end:]).replace(b"&2.16.840.1.113883.19.5.1&ISO", b"")
