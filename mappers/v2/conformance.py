"""Does a message keep to its version of the standard: structure, cardinality, datatypes, lengths, tables (`fhir-gateway map --strict`).

From hl7apy's dictionaries, compiled on first use. They hold no lengths: those of the base datatypes are chapter 2.A's, which hold before 2.7 (since then a
length is a recommendation). Of tables, those of ID components are judged: HL7's own; IS, CE and CWE values are the sites' to define. Where a version has no
tables (2.5.2, 2.9) the nearest older one judges, and a finding at MSH-12 says so. Mapping never asks for any of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from mappers.result import Finding
from mappers.v2 import dictionary
from mappers.v2.message import SUB, Message, Repetition, Segment
from mappers.v2.structure import judge, structure

NULL: Final = '""'
# Chapter 2.A (2.5.1): the lexical form and the longest length of base datatypes.
_DAY: Final = r"\d{4}((0[1-9]|1[0-2])((0[1-9]|[12]\d|3[01])%s)?)?"
_CLOCK: Final = r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,4})?)?)?"
_ZONE: Final = r"([+-](0\d|1[0-4])[0-5]\d)?"
FORMS: Final = {
    "NM": re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)"),
    "SI": re.compile(r"\d{1,4}"),
    "DT": re.compile(_DAY % ""),
    "TM": re.compile(_CLOCK + _ZONE),
    "DTM": re.compile(_DAY % f"({_CLOCK})?" + _ZONE),
}
FORMS_OF_OLD: Final = {"TS": FORMS["DTM"]}
LENGTHS: Final = {"ST": 199, "NM": 16, "IS": 20, "TX": 65536}
_BY_REFERENCE: Final = frozenset({"0291", "0399"})
"""Tables that say whose list it is instead of listing: MIME subtypes, ISO 3166 countries."""
_SYSTEM: Final = re.compile(r"HL7\d{4}|99[A-Z0-9]+|L")
"""Table 0396 names these by their pattern."""
_WITHOUT_LENGTHS: Final = "2.7"


class Leaf(NamedTuple):
    """A component or subcomponent: its datatype, its HL7 table ("0001") or "", required or not, and what it consists of."""

    datatype: str
    table: str
    required: bool
    parts: tuple[Leaf, ...]


def conformance(message: Message) -> list[Finding]:
    """Every deviation, each with its place, segment by segment."""
    msh = message.segments[0]
    version, _ = dictionary.nearest(msh.value(12))
    found = structure(version, msh.value(9, 1), msh.value(9, 2), msh.value(9, 3))
    findings = [f if f.code == "203" else Finding("warning", f.code, f.text, f.where) for f in dictionary.check(message)]
    if found is None:
        findings.append(Finding("warning", "200", "no version has a structure for this message: order is not judged", msh.where(9)))
    else:
        if found.version != version:
            text = f"no structure {found.name} in version {version}: judged by that of {found.version}"
            findings.append(Finding("information", "203", text, msh.where(9, None, 3)))
        findings += judge(found, message.segments)
    for segment in message.segments:
        findings += _segment(segment, version)
    return findings


def _segment(segment: Segment, version: str) -> Iterator[Finding]:
    for number in range(1, len(segment.fields)):
        if not segment.fields[number] or segment.fields[number] == NULL or (segment.name == "MSH" and number < 3):
            continue
        form = field(version, segment.name, number)
        if form is None or form.datatype == "WD":  # withdrawn: whatever stands there
            continue
        if form.datatype == "varies":
            form = datatype(version, segment.value(2)) if segment.name == "OBX" else None
            if form is None:
                continue
        for ordinal, repetition in enumerate(segment.repetitions(number), 1):
            yield from _repetition(segment, version, number, ordinal, repetition, form)


def _repetition(segment: Segment, version: str, number: int, ordinal: int, repetition: Repetition, form: Leaf) -> Iterator[Finding]:
    parts = form.parts or (form._replace(required=False),)
    if form.datatype in ("TX", "FT", "ST") and not form.parts:
        repetition = [segment.lexer.delimiters.component.join(repetition)]
    for place, text in enumerate(repetition, 1):
        value = text.strip()
        if place > len(parts):
            if value:
                yield Finding("warning", "102", f"{form.datatype} has {len(parts)} components", segment.where(number, ordinal, place))
                return
            continue
        part = parts[place - 1]
        yield from _component(segment, version, (number, ordinal, place), value, part, whole=not form.parts)
    for place, part in enumerate(parts, 1):
        if part.required and (place > len(repetition) or not repetition[place - 1].strip()) and any(repetition):
            yield Finding("warning", "101", "required component missing", segment.where(number, ordinal, place))


def _component(segment: Segment, version: str, at: tuple[int, int, int], value: str, part: Leaf, *, whole: bool) -> Iterator[Finding]:
    number, ordinal, place = at
    where = segment.where(number, ordinal, None if whole else place)
    leaves = value.split(SUB)
    parts = part.parts or (part,)
    if len(leaves) > len(parts) and part.parts and any(leaves[len(parts) :]):
        yield Finding("warning", "102", f"{part.datatype} has {len(parts)} subcomponents", where)
    if not part.parts:
        leaves = [value.replace(SUB, segment.lexer.delimiters.subcomponent)]
    for position, (leaf, form) in enumerate(zip(leaves, parts, strict=False), 1):
        text = leaf.strip()
        fault = _fault(text, form, version) if text and text != NULL else None
        if fault is not None:
            yield Finding("warning", *fault, replace(where, subcomponent=position) if part.parts and len(leaves) > 1 else where)


def _fault(text: str, form: Leaf, version: str) -> tuple[str, str] | None:
    """(0357 code, what is wrong) of one leaf value. Never the value itself."""
    lexical = FORMS.get(form.datatype) or (FORMS_OF_OLD.get(form.datatype) if not form.parts else None)
    if lexical is not None and not lexical.fullmatch(text):
        return "102", f"not a valid {form.datatype}"
    longest = LENGTHS.get(form.datatype)
    if longest is not None and len(text) > longest and dictionary.VERSIONS.index(version) < dictionary.VERSIONS.index(_WITHOUT_LENGTHS):
        return "104", f"longer than the {longest} characters of {form.datatype}"
    if form.datatype == "ID" and form.table and not _listed(text, form.table, version):
        return "103", f"not in table {form.table}"
    return None


def _listed(text: str, table: str, version: str) -> bool:
    """Is it a code of the table, as far as anybody lists them?"""
    if table in _BY_REFERENCE or (table == "0396" and _SYSTEM.fullmatch(text)):
        return True
    if table == "0125":
        return datatype(version, text) is not None or text in codes(version, table)
    known = codes(version, table)
    return not known or text in known


@lru_cache(maxsize=8192)
def field(version: str, segment: str, number: int) -> Leaf | None:
    """What a field consists of, None where the version does not know it."""
    reference = _library(version).SEGMENTS.get(segment)
    name = f"{segment}_{number}"
    found = next((child for child in reference[1] if child[0] == name), None) if reference else None
    return None if found is None or found[1][2] is None else _leaf(found[1], found[2])


@lru_cache(maxsize=1024)
def datatype(version: str, name: str) -> Leaf | None:
    """A datatype by name, for OBX-5; None for one the version does not have."""
    library = _library(version)
    if name in library.BASE_DATATYPES:
        return Leaf(name, "", False, ())
    parts = library.DATATYPES_STRUCTS.get(name)
    return None if parts is None else Leaf(name, "", False, tuple(_leaf(child[1], child[2]) for child in parts))


@lru_cache(maxsize=2048)
def codes(version: str, table: str) -> frozenset[str]:
    """The codes of an HL7 table, as the version has them, else as the nearest newer one does (hl7apy lists none before 2.4); none where nobody does."""
    known: frozenset[str] = frozenset()
    for candidate in dictionary.VERSIONS[dictionary.VERSIONS.index(version) :]:
        found = getattr(_library(candidate), "TABLES", {}).get(f"HL7{table}")
        known |= frozenset(found[1]) if found else frozenset()
        if known and table != "0396":  # the list of code systems grows between versions
            break
    return known


def _leaf(described: Any, bounds: tuple[int, int]) -> Leaf:
    """hl7apy: (`leaf` or `sequence`, children, datatype, NAME, `HL7nnnn` or None, length)."""
    parts = tuple(_leaf(child[1], child[2]) for child in described[1]) if described[0] == "sequence" else ()
    return Leaf(described[2] or "", (described[4] or "").removeprefix("HL7"), bounds[0] > 0, parts)


def _library(version: str) -> Any:
    return import_module("hl7apy.v" + version.replace(".", "_"))
