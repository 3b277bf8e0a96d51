"""Bytes of a file → interchanges, functional groups, transaction sets. Positional and lossless: `write(read(raw)) == raw`.

Separators come from ISA; line ends after a segment terminator are tolerated and kept. Wrong counts and control numbers are findings; what can't be
read, or breaks off, is an X12Error at its segment. Source: ASC X12.5 (interchange control), X12.6 (application control).
Loops are left to `loops`, meaning to `answer`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mappers.x12.place import Finding, Place, X12Error
from mappers.x12.segment import Segment, Separators
from mappers.x12.sets import Group, Transaction, sort

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_SEGMENTS: Final = 250_000
_BLANKS: Final = "\ufeff \t\r\n"
"""What may stand before a segment: line ends, blanks, and the byte order mark of a text file."""
_SEGMENT_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


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
    groups, findings = sort(segments)
    return Interchange(separators, codec, segments, groups, findings), end


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
