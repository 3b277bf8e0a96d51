"""Transaction sets → an interchange: ISA and GS with who, when and which number, counts and control numbers that agree.

Numbers and times are the caller's: nothing here reads a clock. Source: ASC X12.5, X12.6; 005010X279A1 appendix C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mappers.x12.place import Place, X12Error
from mappers.x12.segment import USUAL, Separators

VERSION: Final = "005010X279A1"
_GROUPS: Final = {"270": "HS", "271": "HB"}

Element = str | tuple[str, ...]
"""An element, or the components of a composite one."""
Row = Sequence[Element]
"""A segment: its id, then its elements."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """sender, receiver: ISA06, ISA08 (2 to 15 characters) with their qualifiers; application_*: GS02, GS03, the same where empty.

    control: 1 to 999,999,999, never the same twice between two partners. made: the local time of the sender. usage: T test, P production.
    """

    sender: str
    receiver: str
    control: int
    made: datetime
    sender_qualifier: str = "ZZ"
    receiver_qualifier: str = "ZZ"
    application_sender: str = ""
    application_receiver: str = ""
    usage: str = "T"
    separators: Separators = USUAL


def compose(envelope: Envelope, kind: str, bodies: Sequence[Sequence[Row]]) -> bytes:
    """An interchange of transaction sets of one kind (`270`, `271`); a body is what stands between ST and SE.

    Raises X12Error at the element that holds a separator or what is no printable ASCII (X12 has no escapes), or where the envelope does not fit its widths.
    """
    rows: list[Row] = [_isa(envelope), _gs(envelope, kind)]
    for number, body in enumerate(bodies, 1):
        control = f"{number:04d}"
        rows += [("ST", kind, control, VERSION), *body, ("SE", str(len(body) + 2), control)]
    rows += [("GE", str(len(bodies)), str(envelope.control)), ("IEA", "1", f"{envelope.control:09d}")]
    return "".join(_line(row, number, envelope.separators) for number, row in enumerate(rows, 1)).encode("ascii")


def _isa(envelope: Envelope) -> Row:
    if not 1 <= envelope.control <= 999_999_999:
        raise X12Error("the control number must be between 1 and 999,999,999", Place(1, "ISA", 13))
    separators = envelope.separators
    for element, text in ((6, envelope.sender), (8, envelope.receiver)):
        if not 1 <= len(text.strip()) <= 15:
            raise X12Error("the id must have 1 to 15 characters", Place(1, "ISA", element))
        if not _sendable(text, separators):
            raise X12Error("the id holds a character that can't be sent in X12", Place(1, "ISA", element))
    sender = (f"{envelope.sender_qualifier:<2}", f"{envelope.sender:<15}", f"{envelope.receiver_qualifier:<2}", f"{envelope.receiver:<15}")
    made = (f"{envelope.made:%y%m%d}", f"{envelope.made:%H%M}")
    head = ("ISA", "00", " " * 10, "00", " " * 10, *sender, *made)
    return (*head, separators.repetition or "U", "00501", f"{envelope.control:09d}", "0", envelope.usage, separators.component)


def _gs(envelope: Envelope, kind: str) -> Row:
    applications = (envelope.application_sender or envelope.sender, envelope.application_receiver or envelope.receiver)
    return ("GS", _GROUPS[kind], *applications, f"{envelope.made:%Y%m%d}", f"{envelope.made:%H%M}", str(envelope.control), "X", VERSION)


def _sendable(text: str, separators: Separators) -> bool:
    return text.isascii() and text.isprintable() and not any(mark and mark in text for mark in separators)


def _line(row: Row, number: int, separators: Separators) -> str:
    name = str(row[0])
    texts = [name]
    for position, element in enumerate(row[1:], 1):
        parts = (element,) if isinstance(element, str) else element
        if name != "ISA":
            for part in parts:
                if not _sendable(part, separators):
                    raise X12Error("the value holds a character that can't be sent in X12", Place(number, name, position))
        texts.append(separators.component.join(parts).rstrip(separators.component) if len(parts) > 1 else parts[0])
    line = separators.element.join(texts)
    return (line if name == "ISA" else line.rstrip(separators.element)) + separators.terminator
