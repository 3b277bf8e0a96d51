"""Segments of a 270 or 271 → loops, by the hierarchy of the guide (005010X279A1, section 2.3). Segments nobody knows stay in the loop they stand in.

ST                                   header: BHT
└ 2000A HL 20  ─ 2100A NM1           payer
  └ 2000B HL 21 ─ 2100B NM1          provider
    └ 2000C HL 22 ─ 2100C NM1        subscriber ─ 2110C EB or EQ ─ 2115C III, 2120C NM1 (between LS and LE)
      └ 2000D HL 23 ─ 2100D NM1      dependent  ─ 2110D …
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from mappers.x12.place import X12Error
from mappers.x12.segment import Segment
from mappers.x12.sets import Transaction

LEVELS: Final = {"20": "A", "21": "B", "22": "C", "23": "D"}
"""HL03 (element 735) → the letter of the loop."""
_STARTS: Final = frozenset({"HL", "NM1", "EB", "EQ", "III", "LS", "LE", "SE"})


class Loop:
    """name: `2110C`. segments: its own, in order. loops: those inside it, in order."""

    __slots__ = ("loops", "name", "segments")

    def __init__(self, name: str, first: Segment | None = None) -> None:
        self.name = name
        self.segments: list[Segment] = [first] if first else []
        self.loops: list[Loop] = []

    def __repr__(self) -> str:
        return f"<Loop {self.name}>"

    def named(self, *names: str) -> list[Segment]:
        """Its own segments with these ids, in order."""
        return [segment for segment in self.segments if segment.id in names]

    def first(self, name: str) -> Segment | None:
        for segment in self.segments:
            if segment.id == name:
                return segment
        return None

    def inner(self, name: str) -> list[Loop]:
        """The loops directly inside whose name begins so: `2110`."""
        return [loop for loop in self.loops if loop.name.startswith(name)]

    @property
    def entities(self) -> list[Loop]:
        """The 2100 loops of a 2000 loop: they stand before the levels below it."""
        return list(takewhile(lambda loop: loop.name.startswith("2100"), self.loops))

    def walk(self) -> Iterator[Loop]:
        """This loop and all inside it, in order."""
        yield self
        for loop in self.loops:
            yield from loop.walk()


def loops(transaction: Transaction) -> Loop:
    """The tree of a transaction set; its root is named ST. Raises X12Error where a segment can't be placed (EB before any subscriber, an unknown level)."""
    return _Builder().build(transaction)


class _Builder:
    """Where the next segment goes: the open level (2000), entity (2100) and benefit (2110), and the loop that takes segments that start nothing."""

    def __init__(self) -> None:
        self.root = Loop("ST")
        self.here = self.root
        self.letter = ""
        self.level: Loop | None = None
        self.entity: Loop | None = None
        self.benefit: Loop | None = None
        self.numbered: dict[str, tuple[str, Loop]] = {}

    def build(self, transaction: Transaction) -> Loop:
        for segment in transaction.segments:
            if segment.id in _STARTS:
                self.start(segment)
            else:
                self.here.segments.append(segment)
        return self.root

    def start(self, segment: Segment) -> None:
        name = segment.id
        if name in ("EB", "EQ"):
            self.open_benefit(segment)
        elif name == "NM1" and self.level:
            self.open_entity(segment)
        elif name == "HL":
            self.open_level(segment)
        elif name == "III" and self.benefit:
            self.here = self.add(self.benefit, "2115", segment)
        else:
            if name == "SE":
                self.here = self.root
            elif self.benefit:  # LS, LE: they bound the 2120 loops and belong to the benefit
                self.here = self.benefit
            self.here.segments.append(segment)

    def add(self, parent: Loop, number: str, segment: Segment) -> Loop:
        made = Loop(number + self.letter, segment)
        parent.loops.append(made)
        return made

    def open_level(self, segment: Segment) -> None:
        letter = LEVELS.get(segment.value(3))
        if letter is None:
            raise X12Error("the level is none of 20 payer, 21 provider, 22 subscriber, 23 dependent", segment.where(3))
        above, parent = self.numbered.get(segment.value(2), ("", self.root))
        if letter != "A" and not "" < above < letter:
            raise X12Error("the level above it (HL02) must be the number of an HL of a higher level", segment.where(2))
        self.letter = letter
        self.here = self.level = self.add(self.root if letter == "A" else parent, "2000", segment)
        self.numbered[segment.value(1)] = (letter, self.level)
        self.entity = self.benefit = None

    def open_entity(self, segment: Segment) -> None:
        if self.benefit:
            self.here = self.add(self.benefit, "2120", segment)
        elif self.level:
            self.here = self.entity = self.add(self.level, "2100", segment)

    def open_benefit(self, segment: Segment) -> None:
        if self.entity is None or self.letter not in "CD":
            raise X12Error("it stands outside a subscriber or dependent (HL 22 or 23 with its NM1)", segment.where())
        self.here = self.benefit = self.add(self.entity, "2110", segment)
