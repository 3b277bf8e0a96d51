"""What HL7 v2 says a segment consists of: names, datatypes, cardinality and tables of fields, per version.

Compiled from hl7apy's tables, once per version and segment, on first use. hl7apy is the dictionary only: as a parser it is slow and drops segments.
Its tables hold no lengths (-1 throughout) and leave out withdrawn fields, whose definition is then taken from the newest older version that has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from mappers.result import Finding, Location
from mappers.v2.message import Message

VERSIONS: Final = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
DEFAULT: Final = "2.5.1"
"""What a message without a version is read as: the version most national guides of the last fifteen years are written for."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its datatype, required or not, most repetitions (-1 is unbounded), HL7 table ("0001" or ""), longest length (-1 is not stated)."""

    number: int
    name: str
    datatype: str
    required: bool
    repeats: int
    table: str
    length: int


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """One segment in one version. `last` is its highest field number, `required` the numbers of its required fields."""

    name: str
    fields: dict[int, Field]
    last: int
    required: tuple[int, ...]


@lru_cache(maxsize=1024)
def nearest(version: str) -> tuple[str, bool]:
    """The version whose tables are used for a message that says `version`, and whether that is exactly it.

    `2.5.2` → `2.5.1`, `2.9` → `2.8.2`, `2.5+` → `2.5`, blank or unreadable → DEFAULT.
    """
    text = version.strip()
    if text in VERSIONS:
        return text, True
    number = _number(text)
    if not number:
        return DEFAULT, False
    older = [v for v in VERSIONS if _number(v) <= number]
    return (older[-1] if older else VERSIONS[0]), False


def _number(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = "".join(c for c in part if c.isdecimal())
        if not digits:
            break
        parts.append(int(digits[:4]))
    return tuple(parts)


@lru_cache(maxsize=4096)
def definition(version: str, segment: str) -> SegmentDefinition | None:
    """The definition of a segment in one of VERSIONS, or None when the version has no such segment (all Z segments)."""
    reference = _tables(version).get(segment)
    if reference is None:
        return None
    fields = {f.number: f for f in map(_field, reference[1])}
    required = tuple(n for n, f in fields.items() if f.required)
    return SegmentDefinition(segment, fields, max(fields, default=0), required)


@lru_cache(maxsize=4096)
def field(version: str, segment: str, number: int) -> Field | None:
    """One field's definition; withdrawn fields come from the newest older version that still defines them, unknown ones are None."""
    start = VERSIONS.index(version)
    for candidate in (version, *reversed(VERSIONS[:start]), *VERSIONS[start + 1 :]):
        found = definition(candidate, segment)
        if found is not None and number in found.fields:
            return found.fields[number]
    return None


def _tables(version: str) -> dict[str, Any]:
    module = import_module("hl7apy.v" + version.replace(".", "_"))
    tables: dict[str, Any] = module.SEGMENTS
    return tables


def _field(reference: Any) -> Field:
    """hl7apy: (`PID_3`, (kind, children, datatype, NAME, `HL7nnnn` or None, length), (min, max), ...)."""
    name, described, (least, most) = reference[0], reference[1], reference[2]
    table = (described[4] or "").removeprefix("HL7")
    words = str(described[3] or "").replace("_", " ").capitalize()
    return Field(int(name.rsplit("_", 1)[1]), words, described[2], least > 0, most, "" if table == "9999" else table, described[5])


def check(message: Message) -> list[Finding]:
    """Positional conformance to the message's version: required fields, repetitions, fields past the end, segments the version lacks.

    All are `information`: senders deviate daily and nothing is lost by it; whoever wants conformance reads them.
    A version without tables of its own is a `warning` at MSH-12.
    """
    version, exact = nearest(message.segments[0].value(12))
    findings = []
    if not exact:
        findings.append(Finding("warning", "203", f"no tables for this version: read as {version}", Location("MSH", 1, 12)))
    repetition = message.delimiters.repetition
    for segment in message.segments:
        name = segment.name
        known = definition(version, name)
        fields = segment.fields
        if known is None:
            if name[0] != "Z":
                findings.append(Finding("information", "100", f"segment not defined in version {version}", segment.where()))
            continue
        count = len(fields)
        for number in known.required:
            if number >= count or not fields[number]:
                findings.append(Finding("information", "101", "required field missing", segment.where(number)))
        if count - 1 > known.last and any(fields[known.last + 1 :]):
            findings.append(Finding("information", "100", f"fields beyond the last one version {version} defines", segment.where(known.last + 1)))
        if segment.repeats and name != "MSH":
            findings.extend(_repetitions(segment.name, segment.sequence, fields, known, repetition))
    return findings


def _repetitions(name: str, sequence: int, fields: list[str], known: SegmentDefinition, mark: str) -> list[Finding]:
    return [
        Finding("information", "102", "more repetitions than the field allows", Location(name, sequence, number))
        for number, text in enumerate(fields)
        if mark in text and (f := known.fields.get(number)) is not None and -1 < f.repeats <= text.count(mark)
    ]
