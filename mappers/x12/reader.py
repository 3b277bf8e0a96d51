"""Bytes of a file → interchanges, functional groups, transaction sets. Positional and lossless: `write(read(raw)) == raw`.

Separators come from ISA; line ends after a segment terminator are tolerated and kept. Wrong counts and control numbers are findings; what can't be
read, or breaks off, is an X12Error at its segment. Source: ASC X12.5 (interchange control), X12.6 (application control).
Loops are left to `loops`, meaning to `answer`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mappers.x12.place import Finding, Place, X12Error
from mappers.x12.segment import Segment, Separators

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_SEGMENTS: Final = 250_000
_BLANKS: Final = "\ufeff \t\r\n"
"""What may stand before a segment: line ends, blanks, and the byte order mark of a text file."""
_SEGMENT_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ISA_WIDTHS: Final = (3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_OUTSIDE_GROUPS: Final = frozenset({"TA1", "TA3", "ISB", "ISE"})


@dataclass(slots=True)
class Transaction:
    """One transaction set, ST to SE. kind: ST01 (`271`); control: ST02; version: ST03, else GS08 (`005010X279A1`)."""

    segments: list[Segment]
    kind: str
    control: str
    version: str
    group: Segment


@dataclass(slots=True)
class Group:
    """One functional group, GS to GE."""

    header: Segment
    transactions: list[Transaction] = field(default_factory=list)


@dataclass(slots=True)
class Interchange:
    """ISA to IEA. `segments` are all of them in order. tail: what blanks follow the last terminator. codec: what the bytes were decoded with."""

    separators: Separators
    codec: str
    segments: list[Segment]
    groups: list[Group]
    findings: list[Finding]
    tail: str = ""

    @property
    def transactions(self) -> list[Transaction]:
        """Those of all groups, in order."""
        return [transaction for group in self.groups for transaction in group.transactions]


def read(raw: bytes) -> list[Interchange]:
    """The interchanges of a file. Raises X12Error for anything that is not one or more whole interchanges, or is over a limit."""
    if len(raw) > MAX_BYTES:
        raise X12Error(f"the file is larger than {MAX_BYTES // 1024 // 1024} MB", Place(1))
    text, codec = _decoded(raw)
    found: list[Interchange] = []
    at, number, end = 0, 1, len(text.rstrip(_BLANKS))
    while at < end:
        interchange, at = _interchange(text, at, number, codec)
        number += len(interchange.segments)
        found.append(interchange)
    if not found:
        raise X12Error("the file is empty: an X12 file begins with ISA", Place(1))
    found[-1].tail = text[at:]
    return found


def write(interchanges: list[Interchange]) -> bytes:
    """The bytes they were read from."""
    return b"".join(map(_written, interchanges))


def _written(interchange: Interchange) -> bytes:
    element, _, _, terminator = interchange.separators
    text = "".join([f"{segment.lead}{element.join(segment.elements)}{terminator}" for segment in interchange.segments])
    return (text + interchange.tail).encode(interchange.codec)


def _decoded(raw: bytes) -> tuple[str, str]:
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _interchange(text: str, at: int, number: int, codec: str) -> tuple[Interchange, int]:
    """The interchange that begins at or after `at`, and where it ends."""
    separators = _separators(text, at, number)
    trailer = _trailer(separators).search(text, at)
    end = text.find(separators.terminator, trailer.end()) + 1 if trailer else len(text)
    segments = _segments(text[at : end or len(text)], separators, number)
    made = Interchange(separators, codec, segments, [], [])
    _open(made)
    return made, end


@lru_cache(maxsize=64)
def _trailer(separators: Separators) -> re.Pattern[str]:
    return re.compile(re.escape(separators.terminator) + f"[{_BLANKS}]*IEA" + re.escape(separators.element))


def _separators(text: str, at: int, number: int) -> Separators:
    """By counting elements, not characters: an ISA whose elements lost their padding is still readable."""
    start = at
    while text[start] in _BLANKS:
        start += 1
    if not text.startswith("ISA", start) or len(text) < start + 36:
        what = "an X12 file begins with ISA and its separators" if number == 1 else "after IEA only another ISA can follow"
        raise X12Error(f"not an X12 interchange: {what}", Place(number))
    element = text[start + 3]
    parts = text[start : start + 220].split(element, 16)
    if len(parts) < 17 or len(parts[16]) < 2:
        raise X12Error("the header does not hold its 16 elements", Place(number, "ISA"))
    repetition = parts[11][:1]
    found = Separators(element, "" if repetition.isalnum() or repetition in _BLANKS else repetition, parts[16][0], parts[16][1])
    marks = [mark for mark in found if mark]
    if len(set(marks)) < len(marks) or any(mark.isalnum() or mark in " \t." for mark in marks) or element in "\r\n":
        raise X12Error("the separators it declares are not four different marks", Place(number, "ISA", 16))
    return found


def _segments(text: str, separators: Separators, first: int) -> list[Segment]:
    chunks = text.split(separators.terminator)
    rest = chunks.pop()
    if first + len(chunks) > MAX_SEGMENTS:
        raise X12Error(f"the file holds more than {MAX_SEGMENTS:,} segments", Place(MAX_SEGMENTS))
    element, terminator = separators.element, separators.terminator
    made: list[Segment] = []
    before, number = "", first
    for chunk in chunks:
        body = chunk.lstrip(_BLANKS)
        if not body and terminator in "\r\n":  # an empty line, where lines are the segments
            before += chunk + terminator
            continue
        elements = body.split(element)
        name = elements[0]
        if not _SEGMENT_ID.fullmatch(name):
            raise X12Error("it does not begin with a segment id of two or three capitals and digits", Place(number))
        if not body.isprintable():
            _refuse_controls(elements, number, separators)
        made.append(Segment(elements, number, before + chunk[: len(chunk) - len(body)], separators))
        before, number = "", number + 1
    if rest := rest.strip(_BLANKS):
        name = rest.split(element)[0]
        raise X12Error(
            "the file breaks off inside this segment: its terminator is missing", Place(number, name if _SEGMENT_ID.fullmatch(name) else "")
        )
    return made


def _refuse_controls(elements: list[str], number: int, separators: Separators) -> None:
    for position, text in enumerate(elements):
        if any(mark not in separators for mark in _CONTROLS.findall(text)):
            raise X12Error("control characters or a line break inside the element", Place(number, elements[0], position))


def _open(interchange: Interchange) -> None:
    """Sort the segments into groups and transaction sets, checking the envelopes."""
    header, *rest = interchange.segments
    _check_header(header, interchange.findings)
    group: Group | None = None
    transaction: Transaction | None = None
    closed = False
    for segment in rest:
        name = segment.id
        if closed:
            raise X12Error("it stands after the end of the interchange (IEA)", segment.where())
        if transaction is not None:
            if name in ("ST", "GS", "GE", "ISA", "IEA"):
                raise X12Error("the transaction set before it has no end (SE)", segment.where())
            transaction.segments.append(segment)
            if name == "SE":
                _compare(segment, len(transaction.segments), transaction.control, interchange.findings)
                transaction = None
        elif name == "ST" and group:
            transaction = Transaction([segment], segment.value(1), segment.value(2), segment.value(3) or group.header.value(8), group.header)
            group.transactions.append(transaction)
        elif name == "GS" and not group:
            interchange.groups.append(group := Group(segment))
        elif name == "GE" and group:
            _compare(segment, len(group.transactions), group.header.value(6), interchange.findings)
            group = None
        elif name == "IEA" and not group:
            _compare(segment, len(interchange.groups), header.value(13), interchange.findings)
            closed = True
        elif group or name not in _OUTSIDE_GROUPS:
            raise X12Error("it can't stand here: expected is ISA, GS, ST … SE, GE, IEA", segment.where())
    if not closed:
        lacking = "SE" if transaction else "GE" if group else "IEA"
        raise X12Error(f"the file breaks off after this segment: {lacking} is missing", interchange.segments[-1].where())


_COUNTED: Final = {"SE": ("segments", "ST02"), "GE": ("transaction sets", "GS06"), "IEA": ("functional groups", "ISA13")}


def _compare(trailer: Segment, count: int, control: str, findings: list[Finding]) -> None:
    """A trailer's count and control number against what stands before it."""
    said, number = trailer.value(1), trailer.value(2)
    what, header = _COUNTED[trailer.id]
    if said != str(count) and said.lstrip("0") != str(count):
        findings.append(Finding("error", f"the count is wrong: there are {count} {what}; something may be lacking", trailer.where(1)))
    if number != control:
        findings.append(Finding("error", f"the control number is not that of {header}", trailer.where(2)))


def _check_header(header: Segment, findings: list[Finding]) -> None:
    for position, (width, text) in enumerate(zip(_ISA_WIDTHS, header.elements, strict=False)):
        if len(text) != width:
            findings.append(Finding("information", f"the element is not {width} characters wide", header.where(position)))
