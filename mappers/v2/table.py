"""Segments as literal tables: one line per field, compiled once into plain functions.

    PATIENT = target("Patient", field("PID-3", "identifier[]", cx), field("PID-8", "gender", administrative_gender))
    PID = segment("PID", PATIENT, structural("PID-1"), keep("PID-27", why="veteran status: no element"))
    PID.map(pid_segment, ctx, Patient=draft)

Paths are those of `paths`; where a path would need a language, write a function (`Put`). The first value of a single element stands; a later
different one is kept. Whatever no row takes — a field, a repetition, a component — is kept as a `v2-field` extension on the element made from the
same repetition or else on the first draft given to `map`, and every valued field gets its ledger entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import lru_cache
from typing import Any, Final

from mappers.result import Draft, Fate, Json, LedgerEntry, Location
from mappers.v2.context import WHOLE, Context, kept, leaves
from mappers.v2.message import SUB, Repetition, Segment
from mappers.v2.paths import STORED, Put, putter

Convert = Callable[[Repetition, Context], Any]
NULL: Final = '""'


@dataclass(frozen=True, slots=True)
class Datatype:
    """A converter from one repetition of a field to a FHIR value (None: not usable), and the components it takes care of as a bit mask (bit n for
    component n).
    """

    name: str
    convert: Convert
    uses: int

    def __call__(self, repetition: Repetition, ctx: Context) -> Any:
        return self.convert(repetition, ctx)


def takes(*components: int) -> Callable[[Convert], Datatype]:
    """Declare which components a converter consumes; without arguments: all of them."""
    mask = sum(1 << n for n in components) if components else WHOLE
    return lambda convert: Datatype(getattr(convert, "__name__", "datatype"), convert, mask)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. number is the field's; path "" marks a field that is kept or structural; shown is the path as the ledger and the docs say
    it.
    """

    segment: str
    number: int
    path: str | Put
    datatype: Datatype | None
    why: str = ""
    fate: str = "mapped"
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Rows that fill one resource type. slices: the fixed part of list elements named in paths."""

    resource_type: str
    rows: tuple[Row, ...]
    slices: Mapping[str, Json] = attribute(default_factory=dict)


def field(place: str, path: str | Put, datatype: Datatype, why: str = "", *, shown: str = "") -> Row:
    """Map a field to an element. shown: what to call the element where the path is `*` or a function."""
    name, number = place.split("-")
    return Row(name, int(number), path, datatype, why, shown=shown or (path if isinstance(path, str) else path.__name__))


def keep(place: str, why: str) -> Row:
    """Keep a field on purpose; `why` says what FHIR lacks. (Fields without a row are kept too.)"""
    name, number = place.split("-")
    return Row(name, int(number), "", None, why, "kept")


def structural(place: str) -> Row:
    """A field that says how the message is built, not what it says: set ids, delimiters, value types."""
    name, number = place.split("-")
    return Row(name, int(number), "", None, "", "structural")


def target(resource_type: str, *rows: Row, slices: Mapping[str, Json] | None = None) -> Target:
    return Target(resource_type, rows, slices or {})


class Step:
    """A compiled row: where the value goes and what the ledger says about it. draft: the position of its draft in the call to `map`."""

    __slots__ = ("_entries", "convert", "draft", "nests", "path", "put", "uses", "why")

    def __init__(self, row: Row, owner: Target, draft: int) -> None:
        if row.datatype is None:
            raise ValueError(f"{row.segment}-{row.number}: a row with a path needs a datatype")
        self.draft = draft
        self.path = f"{owner.resource_type}.{row.shown}"
        self.put = row.path if callable(row.path) else putter(row.path, owner.slices)
        # what a repetition leaves goes onto the element it made, if that is a structure of its own (an extension with a value may not hold another)
        self.nests = row.path != "*" and not row.shown.startswith("extension")
        self.convert = row.datatype.convert
        self.uses = row.datatype.uses
        self.why = row.why
        self._entries: dict[int, LedgerEntry] = {}

    def entry(self, segment: Segment, number: int) -> LedgerEntry:
        """The ledger entry for this row and segment; entries are immutable, so the first few are made once."""
        sequence = segment.sequence
        found = self._entries.get(sequence)
        if found is None:
            found = LedgerEntry(Location(segment.name, sequence, number), "mapped", self.path, self.why)
            if sequence < _REMEMBERED:
                self._entries[sequence] = found
        return found


_REMEMBERED: Final = 64
"""Ledger entries of segments up to this sequence number are made once per process; they depend on the tables only."""


class SegmentMap:
    """All tables of one segment, compiled."""

    def __init__(self, name: str, targets: tuple[Target, ...], rows: tuple[Row, ...]) -> None:
        self.name = name
        self.targets = targets
        self.rows = rows
        self._silent = {row.number: row for row in rows}
        self._structural = {row.number for row in rows if row.fate == "structural"}
        self._plans: dict[tuple[str, ...], dict[int, tuple[Step, ...]]] = {}

    def map(self, segment: Segment, ctx: Context, **drafts: Draft) -> None:
        """Fill the drafts, by resource type, from the segment. The first one takes home what no row maps. Targets without a draft are left out."""
        names = tuple(drafts)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._compile(names)
        ctx.segment = segment
        ctx.done.add(segment.index)
        held = tuple(drafts.values())
        resources = [d.resource for d in held]
        parse = segment.message.parse
        fields = segment.fields
        for number in range(3 if segment.name == "MSH" else 1, len(fields)):
            raw = fields[number]
            if not raw:
                continue
            steps = plan.get(number)
            if steps is None:
                self._unmapped(segment, number, raw, held[0], ctx)
            elif raw == NULL:
                _delete(segment, number, steps, held, ctx)
            else:
                ctx.number = number
                _field(segment, number, parse(raw), steps, resources, ctx)

    def _compile(self, names: tuple[str, ...]) -> dict[int, tuple[Step, ...]]:
        plan: dict[int, tuple[Step, ...]] = {}
        for owner in self.targets:
            if owner.resource_type in names:
                for row in owner.rows:
                    plan[row.number] = (*plan.get(row.number, ()), Step(row, owner, names.index(owner.resource_type)))
        return plan

    def _unmapped(self, segment: Segment, number: int, raw: str, home: Draft, ctx: Context) -> None:
        if number in self._structural:
            ctx.ledger.append(_entry(segment.name, segment.sequence, number, "structural", "", ""))
            return
        row = self._silent.get(number)
        keep_field(segment, number, raw, home, ctx, row.why if row else "no element for it in the table")


def segment(name: str, *parts: Target | Row) -> SegmentMap:
    """Compile the tables of a segment. Rows outside a target are those kept or structural."""
    rows = tuple(p for p in parts if isinstance(p, Row))
    targets = tuple(p for p in parts if isinstance(p, Target))
    for row in (*rows, *(r for t in targets for r in t.rows)):
        if row.segment != name:
            raise ValueError(f"{row.segment}-{row.number} stands in the table of {name}")
    return SegmentMap(name, targets, rows)


@lru_cache(maxsize=8192)
def _entry(name: str, sequence: int, number: int, fate: Fate, target_path: str, why: str) -> LedgerEntry:
    """A ledger entry of a whole field: the same for every message, so it is made once."""
    return LedgerEntry(Location(name, sequence, number), fate, target_path, why)


@lru_cache(maxsize=16384)
def _leaf_entry(name: str, sequence: int, number: int, ordinal: int, component: int, sub: int | None, fate: Fate, target_path: str) -> LedgerEntry:
    """A ledger entry of one leaf, likewise."""
    where = Location(name, sequence, number, ordinal if ordinal > 1 else None, component, sub)
    return LedgerEntry(where, fate, target_path, "explicit null" if fate == "empty" else "no element for it")


def _field(segment: Segment, number: int, repetitions: list[Repetition], steps: tuple[Step, ...], resources: list[Json], ctx: Context) -> None:
    told = 0  # steps already in the ledger
    for ordinal, repetition in enumerate(repetitions, 1):
        ctx.repetition = ordinal
        taken = 0
        nest: Json | None = None
        for position, step in enumerate(steps):
            ctx.left = 0
            value = step.convert(repetition, ctx)
            if value is None or not (stored := step.put(resources[step.draft], value, ctx)):
                continue
            taken |= step.uses & ~ctx.left
            if not told >> position & 1:
                told |= 1 << position
                ctx.ledger.append(step.entry(segment, number))
            if nest is None and stored == STORED and step.nests and type(value) is dict:
                nest = value
        if taken == WHOLE:
            continue
        for component, text in enumerate(repetition, 1):
            if text and not taken >> component & 1:
                _keep(segment, number, ordinal, repetition, ~taken, resources[0], nest, ctx)
                break
    ctx.repetition = 1


def _named(place: str, repetition: Repetition, component: int, sub: int | None) -> str:
    """A leaf's name: the field alone when it is all there is, else with component and subcomponent."""
    if sub is not None:
        return f"{place}.{component}.{sub}"
    return f"{place}.{component}" if len(repetition) > 1 else place


def _keep(segment: Segment, number: int, ordinal: int, repetition: Repetition, mask: int, home: Json, nest: Json | None, ctx: Context) -> None:
    """Keep the leaves of the components in the mask on the element of the same repetition, or on the first draft."""
    place = f"{segment.name}-{number}" if ordinal == 1 else f"{segment.name}-{number}({ordinal})"
    owner = home if nest is None else nest
    target_path = f"{home['resourceType']}.extension"
    for component, sub, text in leaves(repetition, mask):
        fate: Fate = "empty" if text == NULL else "kept"
        if fate == "kept":
            owner.setdefault("extension", []).append(kept(_named(place, repetition, component, sub), text))
        ctx.ledger.append(_leaf_entry(segment.name, segment.sequence, number, ordinal, component, sub, fate, target_path))


def keep_field(segment: Segment, number: int, raw: str, home: Draft, ctx: Context, why: str, *, sequence: bool = False) -> None:
    """Keep every leaf of a field on a draft, each under its own name. sequence: the name carries the segment's number (for drafts several segments
    share).
    """
    prefix = f"{segment.name}[{segment.sequence}]-{number}" if sequence else f"{segment.name}-{number}"
    repetitions = segment.message.parse(raw)
    found: list[Json] = []
    if len(repetitions) == 1 and len(repetitions[0]) == 1 and SUB not in repetitions[0][0]:
        if (text := repetitions[0][0].strip()) and text != NULL:
            found.append(kept(prefix, text))
    else:
        for ordinal, repetition in enumerate(repetitions, 1):
            place = prefix if ordinal == 1 else f"{prefix}({ordinal})"
            found += [kept(_named(place, repetition, c, sub), text) for c, sub, text in leaves(repetition) if text != NULL]
    if found:
        home.resource.setdefault("extension", []).extend(found)
        path = f"{home.resource['resourceType']}.extension"
        ctx.ledger.append(_entry(segment.name, segment.sequence, number, "kept", path, why))
    else:
        ctx.ledger.append(_entry(segment.name, segment.sequence, number, "empty", "", "no value in it"))


def keep_segment(segment: Segment, home: Draft, ctx: Context, why: str) -> None:
    """Keep a whole segment that no table maps, field by field."""
    ctx.done.add(segment.index)
    for number, raw in enumerate(segment.fields):
        if number and raw:
            keep_field(segment, number, raw, home, ctx, why, sequence=True)


def _delete(segment: Segment, number: int, steps: tuple[Step, ...], drafts: tuple[Draft, ...], ctx: Context) -> None:
    """An explicit null: the sender deletes what the field maps to."""
    for step in steps:
        draft = drafts[step.draft]
        element = step.path.partition(".")[2].split("[", 1)[0].split(".", 1)[0]
        if element and element not in draft.deletes:
            draft.deletes = (*draft.deletes, element)
        ctx.ledger.append(_entry(segment.name, segment.sequence, number, "empty", step.path, "explicit null: deleted"))
