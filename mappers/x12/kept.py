"""Segments of an answer that no element of FHIR has a home for, as they were sent: of a benefit, and of the answer as a whole.

A social security number (NM108 34, REF01 SY; 005010X279A1, loops 2100C and 2120C) is no payer's answer to anything and is left out; the payer's bytes,
kept whole beside the answer, have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mappers.result import Json
from mappers.x12.dates import PLAN_DATES, SERVICE
from mappers.x12.loops import Loop
from mappers.x12.parties import CLASSES
from mappers.x12.segment import USUAL, Segment
from mappers.x12.values import extension, period
from profiles.eligibility import KEPT

_BOUNDS: Final = frozenset({"LS", "LE"})
_LEVEL: Final = frozenset({"HL", "AAA"})
_ENTITY: Final = {"A": {"NM1", "PER", "AAA"}, "B": {"NM1", "AAA"}, "C": {"NM1", "N3", "N4", "DMG", "AAA"}, "D": {"NM1", "N3", "N4", "DMG", "AAA"}}
"""Segments of the loops 2100 that are read elsewhere."""
_NAMED: Final = {**dict.fromkeys(("L", "MC", "N", "Q", "X"), frozenset({"NM1"})), "U": frozenset({"NM1", "PER"})}
"""EB01 whose 2120 loops are read elsewhere, and what of them."""


def verbatim(segments: Iterable[Segment]) -> list[Json]:
    """As extensions of KEPT, each segment once."""
    return [extension(KEPT, "String", text) for text in dict.fromkeys(filter(None, map(_text, segments)))]


def of_benefit(loop: Loop) -> Iterator[Segment]:
    """HSD, DTP, REF, III of an EB, and of the entities it names what is not told otherwise."""
    if len(loop.segments) > 1:
        yield from loop.named("HSD", "DTP", "REF")
    told = _NAMED.get(loop.segments[0].value(1), frozenset()) if loop.loops else frozenset()
    for inner in loop.loops:
        yield from (one for one in inner.segments if one.id not in _BOUNDS and not (inner.name.startswith("2120") and one.id in told))


def of_answer(path: Sequence[Loop], told: Iterable[Loop]) -> Iterator[Segment]:
    """Of the levels above and about a person, and of the benefits (`told`) that make no item: another payer (EB01 R) whole, others but for what is told."""
    for level in path:
        letter = level.name[-1]
        yield from (one for one in level.segments if one.id not in _LEVEL and not (one.id == "TRN" and one.value(1) == "2"))
        for entity in level.entities[:1]:
            yield from (one for one in entity.segments if one.id not in _ENTITY[letter] and not _read(one))
        for entity in level.entities[1:]:
            yield from entity.segments
    for loop in told:
        if loop.segments[0].value(1) == "R":
            yield from (one for part in loop.walk() for one in part.segments if one.id not in _BOUNDS)
        else:
            yield from of_benefit(loop)


def _read(segment: Segment) -> bool:
    """Is it told elsewhere: a date of the plan or service, a number of group or plan, a plain relationship?"""
    if segment.id == "DTP":
        return segment.value(1) in (*PLAN_DATES, SERVICE) and period(segment, []) != (None, None)
    if segment.id == "REF":
        return segment.value(1) in CLASSES
    return segment.id == "INS" and len(segment.elements) <= 3


def _text(segment: Segment) -> str:
    if segment.id == "REF" and segment.value(1) == "SY":
        return ""
    if segment.id == "NM1" and segment.value(8) == "34":
        return _shown(segment.separators.element.join(segment.elements[:8]).rstrip(segment.separators.element), segment)
    return _shown(str(segment), segment)


def _shown(text: str, segment: Segment) -> str:
    """Some payers separate by control characters, which FHIR has no string for: these are shown as the usual marks."""
    return text if text.isprintable() else text.translate({ord(own): mark for own, mark in zip(segment.separators, USUAL, strict=True) if own})
