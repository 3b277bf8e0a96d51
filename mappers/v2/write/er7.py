r"""Segments and whole messages as bytes (chapter 2.5 to 2.7): the standard delimiters, UTF-8, every value escaped where it is made.

A field is text that is already encoded; `text` encodes a value, `components` and `repetitions` join what is encoded. What a message says comes from
`fields` (FHIR datatypes) and `segments`; time and control id are arguments, so the same input makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mappers.v2.escape import encode
from mappers.v2.message import Delimiters

MARKS: Final = Delimiters()
CHARSET: Final = "UNICODE UTF-8"  # table 0211
VERSION: Final = "2.5.1"
NULL: Final = '""'


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a message as MSH names it (HD.1): application (MSH-3, MSH-5) and facility (MSH-4, MSH-6)."""

    application: str
    facility: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around a message. now: aware, MSH-7. control_id: MSH-10. answers: MSH-10 of the message this one answers, "" for one nobody asked for."""

    sender: Party
    receiver: Party
    now: datetime
    control_id: str
    answers: str = ""
    processing: str = "P"
    version: str = VERSION


def text(value: object) -> str:
    """One value, escaped. A text that would read as an explicit null keeps its meaning."""
    found = encode(
        str(value), field=MARKS.field, component=MARKS.component, repetition=MARKS.repetition, escape=MARKS.escape, subcomponent=MARKS.subcomponent
    )
    return r"\X22\"" if found.strip() == NULL else found


def subcomponents(*parts: str) -> str:
    """Encoded parts as one component; empty ones at the end are left out."""
    return MARKS.subcomponent.join(parts).rstrip(MARKS.subcomponent)


def components(*parts: str) -> str:
    """Encoded parts as one repetition of a field."""
    return MARKS.component.join(parts).rstrip(MARKS.component)


def repetitions(parts: Iterable[str]) -> str:
    """Encoded repetitions as one field; those without a value are left out."""
    return MARKS.repetition.join(part for part in parts if part)


def segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment from its fields by number; those not given are empty."""
    last = max((number for number, value in fields.items() if value), default=0)
    return MARKS.field.join((name, *(fields.get(number, "") for number in range(1, last + 1))))


def stamp(moment: datetime) -> str:
    """An aware moment as DTM, to the second, with its offset."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def message(kind: str, structure: str, envelope: Envelope, segments: Iterable[str]) -> bytes:
    """A whole message, segments ended by CR, no framing. kind: `RRI^I12`. structure: MSH-9.3. MSA follows MSH when the message answers one."""
    marks = MARKS.component + MARKS.repetition + MARKS.escape + MARKS.subcomponent
    sender, receiver = envelope.sender, envelope.receiver
    header = {
        1: marks,
        2: text(sender.application),
        3: text(sender.facility),
        4: text(receiver.application),
        5: text(receiver.facility),
        6: stamp(envelope.now),
        8: f"{kind}^{structure}",
        9: text(envelope.control_id),
        10: envelope.processing,
        11: envelope.version,
        17: CHARSET,
    }
    msa = [segment("MSA", {1: "AA", 2: text(envelope.answers)})] if envelope.answers else []
    lines = [segment("MSH", header), *msa, *(line for line in segments if line)]
    return ("\r".join(lines) + "\r").encode("utf-8", "replace")
