"""FHIR datatypes as fields: the way back of `mappers.v2.datatypes`, so that what we write reads as what it was made from.

HumanName → XPN, XCN; Address → XAD; ContactPoint → XTN; Identifier → CX, EI, PLN; CodeableConcept → CE; date, dateTime, instant → TS; Attachment → ED.
Versions before 2.6 know CE in most coded fields: two codings and no text beside them. Elements a datatype has no component for are left out.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from mappers.result import Json
from mappers.v2.datatypes.codes import V2
from mappers.v2.datatypes.ids import NPI, REGISTERED
from mappers.v2.write.er7 import components, subcomponents, text
from profiles.canonical import NAMESPACE

SCOPED: Final = f"{NAMESPACE}:sid:"
OIDS: Final = {system: oid for oid, system in REGISTERED.items()}

# FHIR code → table code (0001, 0200, 0201, 0202, 0190, 0291 with 0191): the exact lines of profiles/conceptmap, read backwards.
GENDER: Final = {"female": "F", "male": "M", "other": "O", "unknown": "U"}
NAME_USE: Final = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "old": "BAD", "anonymous": "MSK", "temp": "TEMP"}
CONTACT_USE: Final = {"home": "PRN", "work": "WPN", "mobile": "PRS"}
EQUIPMENT: Final = {"phone": "PH", "fax": "FX", "pager": "BP", "sms": "CP", "email": "Internet"}
ADDRESS_USE: Final = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}
KIND: Final = {"text": "TEXT", "application": "AP", "image": "IM", "audio": "AU"}
# Code system URI → name of table 0396
CODING_SYSTEM: Final = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://hl7.org/fhir/sid/icd-10": "I10",
    "http://hl7.org/fhir/sid/icd-10-cm": "I10C",
    "http://terminology.hl7.org/CodeSystem/icd-o-3": "ICDO3",
    "http://unitsofmeasure.org": "UCUM",
    "http://nucc.org/provider-taxonomy": "NUCC",
    "urn:ietf:bcp:47": "ISO639-1",
}
FAMILY: Final = ("humanname-own-prefix", "humanname-own-name", "humanname-partner-prefix", "humanname-partner-name")
PHONE: Final = ("contactpoint-country", "contactpoint-area", "contactpoint-local", "contactpoint-extension")
_TIME: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d{1,4})?\d*(Z|[+-]\d\d:\d\d))?)?)?")


def ts(value: Any) -> str:
    """A FHIR date, dateTime or instant to the precision it has; "" when it is none. Fractions of a second beyond four digits are left out."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return ""
    *parts, fraction, offset = found.groups()
    zone = "+0000" if offset == "Z" else (offset or "").replace(":", "")
    return "".join(part or "" for part in parts) + (fraction or "") + zone


def ce(concept: Json | None) -> str:
    """CodeableConcept: its first two codings; without any, its text."""
    if not concept:
        return ""
    codings = [c for c in concept.get("coding") or () if isinstance(c, dict)]
    if not codings:
        return components("", text(concept.get("text", "")))
    words = concept.get("text", "") if len(codings) == 1 else ""
    return components(*(part for coding in codings[:2] for part in _triplet(coding, words)))


def _triplet(coding: Json, words: str) -> tuple[str, str, str]:
    return text(coding.get("code", "")), text(coding.get("display") or words), text(coding_system(str(coding.get("system", ""))))


def coding_system(system: str) -> str:
    """The name of a code system as CE.3 says it: table 0396, HL7nnnn, an OID, the sender's own name, else the URI."""
    if system.startswith(V2):
        return "HL7" + system.removeprefix(V2)
    if system.startswith(SCOPED):
        return namespace(system)
    return CODING_SYSTEM.get(system) or system.removeprefix("urn:oid:")


def table(code: str, number: str, display: str = "") -> str:
    """A code of an HL7 table: `table("A", "0283", "Accepted")`."""
    return components(code, display, f"HL7{number}") if code else ""


def namespace(system: str) -> str:
    """HD.1 of an identifier system scoped to its sender (`profiles.canonical.sender_system`)."""
    return unquote(system.removeprefix(SCOPED).partition(":")[2])


def hd(identifier: Json) -> tuple[str, str, str]:
    """Who assigned an identifier: namespace, universal id and its kind, encoded."""
    system, assigner = str(identifier.get("system", "")), identifier.get("assigner") or {}
    name = text(assigner.get("display", ""))
    if system.startswith(SCOPED):
        held = assigner.get("identifier") or {}
        kind = next((c.get("code", "") for c in (held.get("type") or {}).get("coding") or ()), "")
        return text(namespace(system) if not held else assigner.get("display", "")), text(held.get("value", "")), text(kind)
    if system.startswith("urn:oid:") or system in OIDS:
        return name, OIDS.get(system, system.removeprefix("urn:oid:")), "ISO"
    if system.startswith("urn:uuid:"):
        return name, system.removeprefix("urn:uuid:"), "UUID"
    return (name, text(system), "URI") if system else (name, "", "")


def type_code(identifier: Json) -> str:
    """The identifier's code of table 0203, "" when it says none."""
    return next((str(c["code"]) for c in (identifier.get("type") or {}).get("coding") or () if c.get("code")), "")


def ei(identifier: Json | None) -> str:
    """Identifier as EI; one that is a URI itself is a universal id alone."""
    if not identifier or not identifier.get("value"):
        return ""
    value = str(identifier["value"])
    if identifier.get("system") == "urn:ietf:rfc:3986":
        oid = value.startswith("urn:oid:")
        return components("", "", text(value.removeprefix("urn:oid:")), "ISO" if oid else "URI")
    return components(text(value), *hd(identifier))


def cx(identifier: Json) -> str:
    """Identifier as CX, with the period it is good for."""
    period = identifier.get("period") or {}
    assigner = subcomponents(*hd(identifier))
    return components(
        text(identifier.get("value", "")), "", "", assigner, text(type_code(identifier)), "", ts(period.get("start")), ts(period.get("end"))
    )


def pln(identifier: Json) -> str:
    """Identifier of a provider: PLN.2 is its type (table 0338)."""
    kind = "NPI" if identifier.get("system") == NPI else type_code(identifier) or namespace(str(identifier.get("system", "")))
    return components(text(identifier.get("value", "")), text(kind), "", ts((identifier.get("period") or {}).get("end")))


def xpn(name: Json) -> str:
    """HumanName; one that is only a text stands as family name."""
    family, given, middle, suffix, prefix, degree = _name(name)
    period = name.get("period") or {}
    use = NAME_USE.get(str(name.get("use", "")), "")
    return components(family, given, middle, suffix, prefix, degree, use, "", "", "", "", ts(period.get("start")), ts(period.get("end")))


def xcn(person: Json | None) -> str:
    """A Practitioner (or whoever has names and identifiers) as XCN: the first identifier, the first name."""
    if not person:
        return ""
    names, numbers = person.get("name") or [{}], person.get("identifier") or [{}]
    number = numbers[0]
    assigner = subcomponents(*hd(number)) if number.get("value") else ""
    use = NAME_USE.get(str(names[0].get("use", "")), "")
    kind = type_code(number) or ("NPI" if number.get("system") == NPI else "")
    return components(text(number.get("value", "")), *_name(names[0]), "", assigner, use, "", "", text(kind))


def _name(name: Json) -> tuple[str, str, str, str, str, str]:
    """Family (FN), given, further given, suffix, prefix, degree."""
    given, suffix = [*(name.get("given") or ())], [*(name.get("suffix") or ())]
    said = {str(e.get("url", "")).rpartition("/")[2]: e.get("valueString", "") for e in (name.get("_family") or {}).get("extension") or ()}
    own = str(name.get("family") or ("" if given else name.get("text", "")))
    family = subcomponents(text(own), *(text(said.get(part, "")) for part in FAMILY))
    first, rest = text(given[0]) if given else "", text(" ".join(given[1:]))
    return family, first, rest, text(suffix[0]) if suffix else "", text(" ".join(name.get("prefix") or ())), text(" ".join(suffix[1:]))


def xad(address: Json) -> str:
    """Address; lines beyond the first are one other designation."""
    lines = [*(address.get("line") or ())] or [address.get("text", "")]
    use = ADDRESS_USE.get(str(address.get("use", "")), "M" if address.get("type") == "postal" else "")
    place = (text(address.get(part, "")) for part in ("city", "state", "postalCode", "country"))
    return components(text(lines[0]), text(", ".join(lines[1:])), *place, use, "", text(address.get("district", "")))


def xtn(contact: Json) -> str:
    """ContactPoint: mail in XTN.4, any other value in XTN.1 and .12, with the parts of a number where they are known."""
    value, system = text(contact.get("value", "")), str(contact.get("system", ""))
    use = CONTACT_USE.get(str(contact.get("use", "")), "")
    if not value:
        return ""
    if system == "email":
        return components("", use or "NET", "Internet", value)
    said = {str(e.get("url", "")).rpartition("/")[2]: e.get("valueString", "") for e in contact.get("extension") or ()}
    return components(value, use, EQUIPMENT.get(system, ""), "", *(text(said.get(part, "")) for part in PHONE), "", "", "", value)


def pl(place: Json) -> str:
    """A Location: its name in the component its physical type says (room, bed, facility, building, floor), else point of care."""
    kind = next((c.get("code") for c in (place.get("physicalType") or {}).get("coding") or ()), "")
    at = {"ro": 2, "bd": 3, "si": 4, "bu": 7, "lvl": 8}.get(str(kind), 1)
    return components(*(text(place.get("name", "")) if n == at else "" for n in range(1, 9)), text(place.get("description", "")))


def ed(attachment: Json, application: str = "") -> str:
    """An Attachment with its data (base64 in FHIR as in v2)."""
    kind, _, subtype = str(attachment.get("contentType", "")).partition(";")[0].partition("/")
    return components(text(application), KIND.get(kind, "AP"), text(subtype.upper()), "Base64", str(attachment.get("data", "")))
