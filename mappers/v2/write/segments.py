"""Segments of what we send, from FHIR R4 resources given as plain dicts: who, which referral, how it stands, which document.

Only what the receiver needs to find the referral and the patient is written (minimum necessary): numbers, names, birth date, gender, address, phone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mappers.result import Json
from mappers.v2.datatypes.codes import V2
from mappers.v2.write.er7 import components, repetitions, segment, text
from mappers.v2.write.fields import GENDER, ce, cx, ed, ei, pln, table, ts, type_code, xad, xcn, xpn, xtn

REFERRAL_NOTE: Final = components("57133-1", "Referral note", "LN")  # 360X: what OBR-4 of a referral says
PRIORITY: Final = {"routine": ("R", "Routine"), "asap": ("A", "ASAP"), "stat": ("S", "STAT"), "urgent": ("U", "Urgent")}  # table 0280
STANDING: Final = {"A": "Accepted", "P": "Pending", "R": "Rejected", "E": "Expired"}  # table 0283
ROLE: Final = {"RP": "Referring Provider", "RT": "Referred to Provider"}  # table 0286


class Standing(NamedTuple):
    """How a case stands, in codes: RF1-1 (table 0283), ORC-1 (0119), ORC-5 (0038)."""

    referral: str
    control: str
    order: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what a message is about.

    referral: the ServiceRequest. patient: Patient. requester, performer: Practitioner, or whoever has name, identifier, address and telecom (a patient
    who refers herself); {} when not known. case: our own number of the case as Identifier (the filler's number).
    """

    referral: Json
    patient: Json
    case: Json
    requester: Json = field(default_factory=dict)
    performer: Json = field(default_factory=dict)

    @property
    def number(self) -> Json:
        """The referral's number in its placer's words: PLAC, else the first that is no filler's, else our own."""
        held = [i for i in self.referral.get("identifier") or () if i.get("value")]
        placed = sorted((i for i in held if type_code(i) != "FILL"), key=lambda i: type_code(i) != "PLAC")
        return placed[0] if placed else self.case


def pid(patient: Json) -> str:
    """PID: who the patient is."""
    contacts = [c for c in patient.get("telecom") or () if isinstance(c, dict)]
    spoken = next((c.get("language") for c in patient.get("communication") or () if c.get("preferred")), None)
    return segment(
        "PID",
        {
            1: "1",
            3: repetitions(cx(i) for i in patient.get("identifier") or ()),
            5: repetitions(xpn(n) for n in patient.get("name") or ()),
            7: _born(patient),
            8: GENDER.get(str(patient.get("gender", "")), ""),
            11: repetitions(xad(a) for a in patient.get("address") or ()),
            13: repetitions(xtn(c) for c in contacts if c.get("use") != "work"),
            14: repetitions(xtn(c) for c in contacts if c.get("use") == "work"),
            15: ce(spoken),
        },
    )


def _born(patient: Json) -> str:
    timed = (e.get("valueDateTime") for e in (patient.get("_birthDate") or {}).get("extension") or ())
    return ts(next(timed, None)) or ts(patient.get("birthDate"))


def prd(role: str, provider: Json) -> str:
    """PRD of a provider in a role of table 0286; "" for a provider nobody named."""
    if not provider:
        return ""
    return segment(
        "PRD",
        {
            1: table(role, "0286", ROLE[role]),
            2: repetitions(xpn(n) for n in provider.get("name") or ()),
            3: repetitions(xad(a) for a in provider.get("address") or ()),
            5: repetitions(xtn(c) for c in provider.get("telecom") or ()),
            7: repetitions(pln(i) for i in provider.get("identifier") or ()),
        },
    )


def rf1(subject: Subject, standing: str, dispositions: Sequence[str] = ()) -> str:
    """RF1 of the original referral with the status it has now. dispositions: further RF1-4 (table 0282), encoded."""
    referral = subject.referral
    period = referral.get("occurrencePeriod") or {}
    fillers = [ei(i) for i in referral.get("identifier") or () if type_code(i) == "FILL"]
    code, words = PRIORITY.get(str(referral.get("priority", "")), ("", ""))
    return segment(
        "RF1",
        {
            1: table(standing, "0283", STANDING.get(standing, "")),
            2: table(code, "0280", words),
            3: next(_of_table([referral.get("code")], "0281"), ""),
            4: repetitions((*_of_table(referral.get("category") or (), "0282"), *dispositions)),
            5: next(_of_table(referral.get("locationCode") or (), "0284"), ""),
            6: ei(subject.number),
            7: ts(period.get("start")),
            8: ts(period.get("end")),
            9: ts(referral.get("authoredOn")),
            10: repetitions(_of_table(referral.get("reasonCode") or (), "0336")),
            11: repetitions(fillers or [ei(subject.case)]),
        },
    )


def _of_table(concepts: Iterable[Json | None], number: str) -> Iterator[str]:
    """The concepts that hold a code of an HL7 table, encoded."""
    return (ce(c) for c in concepts if c and any(x.get("system") == V2 + number for x in c.get("coding") or ()))


def orc(subject: Subject, standing: Standing, now: str, *, reason: str = "", effective: str = "") -> str:
    """ORC: ORC-2 the referral's number, ORC-3 ours. now: encoded. reason: why, in words (ORC-16). effective: FHIR date by which, or when (ORC-15)."""
    return segment(
        "ORC",
        {
            1: standing.control,
            2: ei(subject.number),
            3: ei(subject.case),
            5: standing.order,
            9: now,
            12: xcn(subject.requester),
            15: ts(effective),
            16: ce({"text": reason}) if reason else "",
        },
    )


def obr(subject: Subject, *, changed: str = "", status: str = "") -> str:
    """OBR of the referral as 360X sends it. changed: when the result changed (OBR-22, encoded). status: OBR-25."""
    reasons = [c for c in subject.referral.get("reasonCode") or () if c]
    return segment(
        "OBR",
        {
            1: "1",
            2: ei(subject.number),
            3: ei(subject.case),
            4: REFERRAL_NOTE,
            16: xcn(subject.requester),
            22: changed,
            25: status,
            31: repetitions(ce(c) for c in reasons),
        },
    )


def documents(note: Json, author: Json, application: str) -> list[str]:
    """One OBX per attachment of a DocumentReference that holds its data: plain text as FT, anything else as ED (base64)."""
    found = [c["attachment"] for c in note.get("content") or () if (c.get("attachment") or {}).get("data")]
    status = {"final": "F", "amended": "C", "preliminary": "P"}.get(str(note.get("docStatus", "")), "F")  # table 0085
    made = []
    for ordinal, attachment in enumerate(found, 1):
        plain = str(attachment.get("contentType", "")).startswith("text/plain")
        value = text(base64.b64decode(attachment["data"]).decode("utf-8", "replace")) if plain else ed(attachment, application)
        fields = {
            1: str(ordinal),
            2: "FT" if plain else "ED",
            3: ce(note.get("type")),
            5: value,
            11: status,
            14: ts(note.get("date")),
            16: xcn(author),
        }
        made.append(segment("OBX", fields))
    return made


def nte(notes: Iterable[str]) -> list[str]:
    """One NTE per text, line ends kept."""
    return [segment("NTE", {1: str(n), 2: "", 3: text(note)}) for n, note in enumerate((n for n in notes if n), 1)]


def coded_text(words: str) -> str:
    """A CE that is only words."""
    return components("", text(words))
