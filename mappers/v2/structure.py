"""Message structures of HL7 v2: which segments, in which order, how often (`fhir-gateway map --strict`).

Compiled from hl7apy's tables, one structure of one version at a time, on first use. Structures they lack (OSU_O51, everything of 2.9) are taken from the
newest older version that has one, else from any; where none has, order is not judged and the message is told so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from mappers.result import Finding, Location
from mappers.v2.dictionary import VERSIONS
from mappers.v2.message import Segment

# Table 0354: events whose structure goes by another event's name. What is not here goes by its own (`ORU_R01`).
SHARED: Final = {
    **dict.fromkeys(("ADT_A04", "ADT_A08", "ADT_A13"), "ADT_A01"),
    **dict.fromkeys(("ADT_A14", "ADT_A28", "ADT_A31"), "ADT_A05"),
    **dict.fromkeys(("ADT_A07",), "ADT_A06"),
    **dict.fromkeys(("ADT_A10", "ADT_A11", "ADT_A12"), "ADT_A09"),
    **dict.fromkeys(("ADT_A22", "ADT_A23", "ADT_A25", "ADT_A26", "ADT_A27", "ADT_A29", "ADT_A32", "ADT_A33"), "ADT_A21"),
    **dict.fromkeys(("ADT_A40", "ADT_A41"), "ADT_A39"),
    **dict.fromkeys(("ADT_A46", "ADT_A47", "ADT_A48", "ADT_A49"), "ADT_A30"),
    **dict.fromkeys((f"SIU_S{n}" for n in (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26)), "SIU_S12"),
    **dict.fromkeys(("REF_I13", "REF_I14", "REF_I15"), "REF_I12"),
    **dict.fromkeys(("RRI_I13", "RRI_I14", "RRI_I15"), "RRI_I12"),
    **dict.fromkeys(("RQA_I09", "RQA_I10", "RQA_I11"), "RQA_I08"),
    **dict.fromkeys(("RPA_I09", "RPA_I10", "RPA_I11"), "RPA_I08"),
    **dict.fromkeys(("MDM_T03", "MDM_T05", "MDM_T07", "MDM_T09", "MDM_T11"), "MDM_T01"),
    **dict.fromkeys(("MDM_T04", "MDM_T06", "MDM_T08", "MDM_T10"), "MDM_T02"),
}
LOOK_AHEAD: Final = 10
MOST: Final = 50
"""Segments out of place that are told one by one."""


class Part(NamedTuple):
    """A segment or a group. least, most: how often (-1 is unbounded). parts: of a group; one of them where it is a choice. first: names it can begin with."""

    name: str
    least: int
    most: int
    parts: tuple[Part, ...]
    choice: bool
    first: frozenset[str]


@dataclass(frozen=True, slots=True)
class Structure:
    """A message structure, the version it was found in, and every segment it names."""

    name: str
    version: str
    root: Part
    names: frozenset[str]


@lru_cache(maxsize=256)
def structure(version: str, code: str, event: str, said: str) -> Structure | None:
    """The structure of a message: by MSH-9.3, else by its type and event; None where no version has one."""
    own = f"{code}_{event}" if event else code
    start = VERSIONS.index(version)
    names = [name for name in dict.fromkeys((said, SHARED.get(own, own), own)) if name]
    others = [*reversed(VERSIONS[:start]), *VERSIONS[start + 1 :]]
    tries = [(version, name) for name in names] + [(other, name) for name in (*names[1:], *names[:1]) for other in others]
    for candidate, name in tries:
        found = import_module("hl7apy.v" + candidate.replace(".", "_")).MESSAGES.get(name)
        if found is not None:
            root = _part(name, found, (1, 1), "GRP")
            return Structure(name, candidate, root, frozenset(_names(root)))
    return None


def _part(name: str, reference: Any, bounds: tuple[int, int], kind: str) -> Part:
    """hl7apy: (`sequence` or `choice`, ((name, reference, (min, max), `SEG` or `GRP`), ...))."""
    if kind == "SEG":
        return Part(name, *bounds, (), False, frozenset({name}))
    parts = tuple(_part(child, inner, limits, sort) for child, inner, limits, sort in reference[1])
    choice = reference[0] == "choice"
    first: set[str] = set()
    for part in parts:
        first |= part.first
        if part.least and not choice:
            break
    return Part(name, *bounds, parts, choice, frozenset(first))


def _names(part: Part) -> Iterator[str]:
    if not part.parts:
        yield part.name
    for inner in part.parts:
        yield from _names(inner)


def judge(found: Structure, segments: Sequence[Segment]) -> list[Finding]:
    """What of the message's segments is missing, too many, or out of place. Z segments may stand anywhere."""
    strange = [s for s in segments if s.name not in found.names and not s.name.startswith("Z")]
    findings = [Finding("warning", "100", f"segment has no place in {found.name}", s.where()) for s in strange[:MOST]]
    left = [s for s in segments if s.name in found.names]
    misplaced: list[Segment] = []
    while True:
        walk = _Walk(left)
        walk.part(found.root)
        misplaced += walk.passed
        if walk.at >= len(left) or len(misplaced) >= MOST:
            break
        passed = {s.index for s in (*walk.passed, left[walk.at])}
        misplaced.append(left[walk.at])
        left = [s for s in left if s.index not in passed]
    misplaced.sort(key=lambda s: s.index)
    findings += [Finding("warning", "100", f"segment out of place in {found.name}", s.where()) for s in misplaced[:MOST]]
    return findings + walk.missing


class _Walk:
    """A way through a structure along the segments, taking each as soon as it fits. missing: what is required and did not come. passed: segments left out
    because something required stands right behind them.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._seen: dict[str, int] = {}
        self._within: list[Part] = []
        self.at = 0
        self.missing: list[Finding] = []
        self.passed: list[Segment] = []

    def part(self, part: Part) -> None:
        """Take one part as often as it comes and may."""
        times = self._taken(part)
        if times < part.least and self._pass_to(part):
            times += self._taken(part)
        if times < part.least:
            self._lacks(part)

    def _taken(self, part: Part) -> int:
        times = 0
        while (part.most < 0 or times < part.most) and self._name() in part.first:
            before = self.at
            self._within.append(part)
            self._once(part)
            self._within.pop()
            if self.at == before:
                break
            times += 1
        return times

    def _once(self, part: Part) -> None:
        if not part.parts:
            self._seen[part.name] = self._segments[self.at].sequence
            self.at += 1
        elif part.choice:
            name = self._name()
            self.part(next(inner for inner in part.parts if name in inner.first))
        else:
            for inner in part.parts:
                self.part(inner)

    def _pass_to(self, part: Part) -> bool:
        """Go to where a required part begins, past segments that begin nothing which may come again."""
        again = {name for owner in self._within if owner.most != 1 for name in owner.first}
        for ahead in range(self.at, min(self.at + LOOK_AHEAD, len(self._segments))):
            name = self._segments[ahead].name
            if name in part.first:
                self.passed += self._segments[self.at : ahead]
                self.at = ahead
                return True
            if name in again:
                return False
        return False

    def _name(self) -> str:
        return self._segments[self.at].name if self.at < len(self._segments) else ""

    def _lacks(self, part: Part) -> None:
        """Name the first segment that a missing part cannot be without."""
        while part.parts:
            part = next((inner for inner in part.parts if inner.least), part.parts[0])
        self.missing.append(Finding("warning", "100", "required segment missing", Location(part.name, self._seen.get(part.name, 0) + 1)))
