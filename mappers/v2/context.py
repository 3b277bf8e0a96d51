"""The desk on which one message is mapped: its drafts, findings and ledger, and where in the message the work stands.

Made by `map_message` for one message and thrown away after it. Tables and datatypes write to it; nothing here knows a segment's meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final
from zoneinfo import ZoneInfo

from mappers.result import Clock, Draft, EventKind, Finding, Json, Told, Unmapped
from mappers.v2.message import SUB, Message, Repetition, Segment
from profiles.canonical import canonical
from profiles.conceptmaps import Coding, Tables

V2_FIELD: Final = canonical("StructureDefinition", "v2-field")
"""Extension that keeps one v2 leaf value: `field` names its place (`PID-3.9.2`), `value` is the decoded text."""

REPLACED_BY: Final = canonical("StructureDefinition", "replaced-by")
"""Extension of a superseded document: the one that replaces it (R4 has the relation from there only)."""

RAW_MESSAGE: Final = "urn:second-opinion-gateway:raw-message"
"""Stands for the kept raw message in references until whoever stores it knows its address."""

WHOLE: Final = -1
"""A component mask that takes every component."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the mapper must know about where it runs. timezone: of local times without offset; None leaves such times as dates.
    sender: overrides what MSH-4 and MSH-3 say, for files whose origin is known better."""

    timezone: ZoneInfo | None = None
    sender: str | None = None


@dataclass(slots=True)
class Context:
    """One message being mapped."""

    message: Message
    tables: Tables
    site: Site
    sender: str
    clock: Clock
    event: EventKind | None = None  # what the message does to the case
    drafts: list[Draft] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    ledger: list[tuple[int, list[Told]]] = field(default_factory=list)  # (sequence of a segment, what became of its fields)
    segment: Segment = field(init=False)
    number: int = 0  # field being mapped
    repetition: int = 1
    left: int = 0  # components of the repetition the datatype could not use after all (bit n for component n)
    unmapped: dict[tuple[str, str], Unmapped] = field(default_factory=dict)  # codes nobody translated, by table and code
    asked: list[Json] = field(default_factory=list)  # numbers of the referral a question is about
    done: set[int] = field(default_factory=set)  # indices of segments accounted for
    known: dict[tuple[str, ...], Draft] = field(default_factory=dict)  # people, organisations, places met in this message
    slices: dict[tuple[int, str, int], Json] = field(default_factory=dict)
    patient: Draft = field(init=False)
    provenance: Draft = field(init=False)
    _count: int = 0
    _stem: str = ""

    def __post_init__(self) -> None:
        digest = self.message.content_digest
        # laid out as a version 5 (name-based) UUID, RFC 4122 4.3, whose last group counts
        self._stem = f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{'89ab'[int(digest[16], 16) & 3]}{digest[17:20]}-"

    @property
    def trigger(self) -> str:
        """The trigger event (MSH-9.2), as the message is read."""
        return self.message.header.message_type.partition("^")[2]

    def new(self, resource_type: str, **elements: Any) -> Draft:
        """A draft that is not part of the result yet. Its full_url depends on the message's bytes and on how many came before it, on nothing else."""
        self._count += 1
        return Draft({"resourceType": resource_type, **elements}, f"{self._stem}{self._count:012x}", (), self.clock)

    def add(self, draft: Draft) -> Draft:
        """Make the draft part of the result."""
        self.drafts.append(draft)
        return draft

    def account(self, segment: Segment) -> list[Told]:
        """A new part of the ledger, for what is told of the segment from here on."""
        self.done.add(segment.index)
        rows: list[Told] = []
        self.ledger.append((segment.sequence, rows))
        return rows

    def remember(self, draft: Draft, *names: tuple[str, ...]) -> Draft:
        """Add a draft that later fields of the message may mean as well, under the names they would use."""
        for name in names:
            self.known.setdefault(name, draft)
        return self.add(draft)

    def find(self, code: str, text: str, component: int | None = None, severity: Any = "warning") -> None:
        """Record a finding at the field being mapped. `text` must not quote the value."""
        repetition = self.repetition if self.repetition > 1 else None
        self.findings.append(Finding(severity, code, text, self.segment.where(self.number, repetition, component)))

    def translate(self, table: str, code: str, display: str = "") -> Coding | None:
        """What a ConceptMap makes of a code of the field being mapped. A code it does not have is noted for the clinic, who can say what it means."""
        found = self.tables.translate(table, code)
        if found is None and code:
            self.miss(table, code, display)
        return found

    def miss(self, table: str, code: str, display: str = "") -> None:
        """Note a code that nobody translates, unless it is said to need no translation."""
        if (table, code) not in self.unmapped and not self.tables.settled(table, code):
            self.unmapped[table, code] = Unmapped(table, code, display, f"{self.segment.name}-{self.number}")

    def leave(self, component: int, code: str = "", text: str = "") -> None:
        """The datatype can't use this component: it will be kept, and reported when `code` says what is wrong with it."""
        self.left |= 1 << component
        if code:
            self.find(code, text, component)

    def place(self) -> str:
        """Name of the field being mapped: `PID-3`, `PID-3(2)` for a further repetition."""
        name = f"{self.segment.name}-{self.number}"
        return f"{name}({self.repetition})" if self.repetition > 1 else name


def reference(draft: Draft) -> Json:
    """A reference to another draft of the same message."""
    return {"reference": draft.full_url}


def kept(place: str, value: str) -> Json:
    """The extension that keeps one leaf value."""
    return {"url": V2_FIELD, "extension": [{"url": "field", "valueString": place}, {"url": "value", "valueString": value}]}


Leaf = tuple[int, int | None, str]
"""(component, subcomponent or None, text)."""


def leaves(repetition: Repetition, mask: int = WHOLE) -> list[Leaf]:
    """Every valued leaf whose component is in the mask."""
    found: list[Leaf] = []
    for number, component in compress(enumerate(repetition, 1), repetition):
        if not mask >> number & 1:
            continue
        if SUB in component:
            found += [(number, sub, text) for sub, leaf in enumerate(component.split(SUB), 1) if (text := leaf.strip())]
        elif text := component.strip():
            found.append((number, None, text))
    return found
