"""Segments as literal tables: one line per field, compiled once into plain functions.

    PATIENT = target("Patient", field("PID-3", "identifier[]", cx), field("PID-8", "gender", administrative_gender))
    PID = segment("PID", PATIENT, structural("PID-1"), keep("PID-27", why="veteran status: no element"))
    PID.map(pid_segment, ctx, Patient=draft)

Paths: `gender` sets an element, `identifier[]` adds to a list, `period.start` sets inside a structure, `class[plan].value` sets inside the list element made from the
target's slice `class[plan]`, `*` merges what the datatype returns (`{"valueQuantity": ...}`) into the resource. Where a path would need a language, write a function (`Put`).
The first value of a single element stands; a later different one is kept. Whatever no row takes — a field, a repetition, a component — is kept as a `v2-field` extension
on the element made from the same repetition or else on the first draft given to `map`, and every valued field gets its ledger entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final, NamedTuple

from mappers.result import Draft, Json, LedgerEntry, Location
from mappers.v2.context import WHOLE, Context, kept, leaves, named_location
from mappers.v2.message import Repetition, Segment

Convert = Callable[[Repetition, Context], Any]
Put = Callable[[Draft, Any, Context], int]
"""Puts a value into a draft: STORED, SAME when an equal value stands there already, or REFUSED."""
REFUSED, STORED, SAME = 0, 1, 2
NULL: Final = '""'
_SINGLE: Final = 1 << 1


class Primitive(NamedTuple):
    """A primitive value with extensions; either part may be missing (None, [])."""

    value: Any
    extension: list[Json]


@dataclass(frozen=True, slots=True)
class Datatype:
    """A converter from one repetition of a field to a FHIR value (None: not usable), and the components it takes care of as a bit mask (bit n for component n)."""

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
    """One line of a table. number is the field's; path "" marks a field that is kept or structural; shown is the path as the ledger and the docs say it."""

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
    """A compiled row: where the value goes and what the ledger says about it."""

    __slots__ = ("_entries", "convert", "draft", "nests", "path", "put", "uses", "why")

    def __init__(self, row: Row, owner: Target) -> None:
        if row.datatype is None:
            raise ValueError(f"{row.segment}-{row.number}: a row with a path needs a datatype")
        self.draft = owner.resource_type
        self.path = f"{owner.resource_type}.{row.shown}"
        self.put = row.path if callable(row.path) else _putter(row.path, owner.slices)
        # what a repetition leaves goes onto the element it made, if that is a structure of its own (an extension with a value may not hold another)
        self.nests = row.path != "*" and not row.shown.startswith("extension")
        self.convert = row.datatype.convert
        self.uses = row.datatype.uses
        self.why = row.why
        self._entries: dict[tuple[int, int], LedgerEntry] = {}

    def entry(self, segment: Segment, number: int) -> LedgerEntry:
        """The ledger entry for this row and segment; entries are immutable, so the first few are made once."""
        key = (segment.sequence, number)
        found = self._entries.get(key)
        if found is None:
            found = LedgerEntry(Location(segment.name, segment.sequence, number), "mapped", self.path, self.why)
            if segment.sequence < 64:
                self._entries[key] = found
        return found


class SegmentMap:
    """All tables of one segment, compiled."""

    def __init__(self, name: str, targets: tuple[Target, ...], rows: tuple[Row, ...]) -> None:
        self.name = name
        self.targets = targets
        self.rows = rows
        self._silent = {row.number: row for row in rows}
        self._plans: dict[tuple[str, ...], dict[int, list[Step]]] = {}

    def map(self, segment: Segment, ctx: Context, **drafts: Draft) -> None:
        """Fill the drafts, by resource type, from the segment. The first one takes home what no row maps. Targets without a draft are left out."""
        names = tuple(drafts)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._compile(names)
        home = next(iter(drafts.values()))
        ctx.segment = segment
        ctx.done.add(segment.index)
        parse = segment.message.parse
        msh = segment.name == "MSH"
        for number, raw in enumerate(segment.fields):
            if not raw or not number:
                continue
            ctx.number = number
            steps = plan.get(number)
            if steps is None:
                self._unmapped(segment, number, raw, home, ctx)
            elif raw == NULL:
                _delete(segment, number, steps, drafts, ctx)
            elif not msh or number > 2:
                _field(segment, number, parse(raw), steps, drafts, home, ctx)

    def _compile(self, names: tuple[str, ...]) -> dict[int, list[Step]]:
        plan: dict[int, list[Step]] = {}
        for owner in self.targets:
            if owner.resource_type in names:
                for row in owner.rows:
                    plan.setdefault(row.number, []).append(Step(row, owner))
        return plan

    def _unmapped(self, segment: Segment, number: int, raw: str, home: Draft, ctx: Context) -> None:
        row = self._silent.get(number)
        if row is not None and row.fate == "structural":
            ctx.ledger.append(LedgerEntry(Location(segment.name, segment.sequence, number), "structural", ""))
            return
        keep_field(segment, number, raw, home, ctx, row.why if row else "no element for it in the table")


def segment(name: str, *parts: Target | Row) -> SegmentMap:
    """Compile the tables of a segment. Rows outside a target are those kept or structural."""
    rows = tuple(p for p in parts if isinstance(p, Row))
    targets = tuple(p for p in parts if isinstance(p, Target))
    for row in (*rows, *(r for t in targets for r in t.rows)):
        if row.segment != name:
            raise ValueError(f"{row.segment}-{row.number} stands in the table of {name}")
    return SegmentMap(name, targets, rows)


def _field(number_segment: Segment, number: int, repetitions: list[Repetition], steps: list[Step], drafts: Mapping[str, Draft], home: Draft, ctx: Context) -> None:
    used = [False] * len(steps)
    for ordinal, repetition in enumerate(repetitions, 1):
        ctx.repetition = ordinal
        taken = 0
        nest: Json | None = None
        for position, step in enumerate(steps):
            ctx.left = 0
            value = step.convert(repetition, ctx)
            if value is None or not (stored := step.put(drafts[step.draft], value, ctx)):
                continue
            taken |= step.uses & ~ctx.left
            used[position] = True
            if stored == STORED and step.nests and nest is None and type(value) is dict:
                nest = value
        if len(repetition) == 1:
            if not taken & _SINGLE:
                _keep(number_segment, number, ordinal, repetition, WHOLE, home, nest, ctx)
        elif taken != WHOLE:
            rest = ~taken
            if any(c and rest >> n & 1 for n, c in enumerate(repetition, 1)):
                _keep(number_segment, number, ordinal, repetition, rest, home, nest, ctx)
    ctx.repetition = 1
    for position, step in enumerate(steps):
        if used[position]:
            ctx.ledger.append(step.entry(number_segment, number))


def _keep(segment: Segment, number: int, ordinal: int, repetition: Repetition, mask: int, home: Draft, nest: Json | None, ctx: Context) -> None:
    place = f"{segment.name}-{number}" if ordinal == 1 else f"{segment.name}-{number}({ordinal})"
    owner = home.resource if nest is None else nest
    target_path = f"{home.resource['resourceType']}.extension"
    for component, sub, text in leaves(repetition, mask):
        where = named_location(segment, number, ordinal, component, sub)
        if text == NULL:
            ctx.ledger.append(LedgerEntry(where, "empty", target_path, "explicit null"))
            continue
        name = place if len(repetition) == 1 and sub is None else f"{place}.{component}" if sub is None else f"{place}.{component}.{sub}"
        owner.setdefault("extension", []).append(kept(name, text))
        ctx.ledger.append(LedgerEntry(where, "kept", target_path, "no element for it"))


def keep_field(segment: Segment, number: int, raw: str, home: Draft, ctx: Context, why: str, *, sequence: bool = False) -> None:
    """Keep every leaf of a field on a draft, each under its own name. sequence: the name carries the segment's number (for drafts several segments share)."""
    prefix = f"{segment.name}[{segment.sequence}]-{number}" if sequence else f"{segment.name}-{number}"
    path = f"{home.resource['resourceType']}.extension"
    extension = home.resource.setdefault("extension", [])
    single = True
    for ordinal, repetition in enumerate(segment.message.parse(raw), 1):
        place = prefix if ordinal == 1 else f"{prefix}({ordinal})"
        for component, sub, text in leaves(repetition):
            if text == NULL:
                continue
            name = place if len(repetition) == 1 and sub is None else f"{place}.{component}" if sub is None else f"{place}.{component}.{sub}"
            extension.append(kept(name, text))
            single = False
    if single:
        ctx.ledger.append(LedgerEntry(Location(segment.name, segment.sequence, number), "empty", "", "explicit null"))
    else:
        ctx.ledger.append(LedgerEntry(Location(segment.name, segment.sequence, number), "kept", path, why))
    if not extension:
        del home.resource["extension"]


def keep_segment(segment: Segment, home: Draft, ctx: Context, why: str) -> None:
    """Keep a whole segment that no table maps, field by field."""
    ctx.done.add(segment.index)
    for number, raw in enumerate(segment.fields):
        if number and raw:
            keep_field(segment, number, raw, home, ctx, why, sequence=True)


def _delete(segment: Segment, number: int, steps: list[Step], drafts: Mapping[str, Draft], ctx: Context) -> None:
    """An explicit null: the sender deletes what the field maps to."""
    for step in steps:
        draft = drafts[step.draft]
        element = step.path.removeprefix(step.draft).lstrip(".").split("[", 1)[0]
        if element and element not in draft.deletes:
            draft.deletes = (*draft.deletes, element)
        ctx.ledger.append(LedgerEntry(Location(segment.name, segment.sequence, number), "empty", step.path, "explicit null: deleted"))


def _putter(path: str, slices: Mapping[str, Json]) -> Put:
    if path == "*":
        return _merge
    head, _, rest = path.partition(".")
    if head.endswith("]") and not head.endswith("[]"):
        return _into_slice(head, _setter(rest), slices.get(head, {}))
    inner = _setter(path)
    return lambda draft, value, _ctx: inner(draft.resource, value)


def _merge(draft: Draft, value: Json, _ctx: Context) -> int:
    resource = draft.resource
    if any(name in resource and resource[name] != found for name, found in value.items()):
        return REFUSED
    resource.update(value)
    return STORED


def _setter(path: str) -> Callable[[Json, Any], int]:
    head, _, rest = path.partition(".")
    if rest:
        inner = _setter(rest)
        return lambda holder, value: inner(holder.setdefault(head, {}), value)
    return _append(path[:-2]) if path.endswith("[]") else _set(path)


_SETS: Final = frozenset({"identifier", "name", "telecom", "address", "performer", "basedOn", "participant", "generalPractitioner", "resultsInterpreter"})
"""Lists in which the same value twice says nothing more; ORC and OBR, for one, repeat each other."""


def _append(name: str) -> Callable[[Json, Any], int]:
    unique = name in _SETS

    def append(holder: Json, value: Any) -> int:
        held = holder.setdefault(name, [])
        if type(value) is list:
            held.extend(value)
        elif unique and value in held:
            return SAME
        else:
            held.append(value)
        return STORED

    return append


def _set(name: str) -> Callable[[Json, Any], int]:
    shadow = "_" + name

    def put(holder: Json, value: Any) -> int:
        if type(value) is Primitive:
            if name in holder or shadow in holder:
                return SAME if holder.get(name) == value.value and not value.extension else REFUSED
            if value.value is not None:
                holder[name] = value.value
            if value.extension:
                holder[shadow] = {"extension": value.extension}
            return STORED
        if name in holder:
            return SAME if holder[name] == value else REFUSED
        holder[name] = value
        return STORED

    return put


def _into_slice(head: str, inner: Callable[[Json, Any], int], fixed: Json) -> Put:
    name = head.partition("[")[0]

    def put(draft: Draft, value: Any, ctx: Context) -> int:
        key = (draft.full_url, head, ctx.segment.index)
        element = ctx.slices.get(key)
        if element is None:
            element = ctx.slices[key] = {k: _copy(v) for k, v in fixed.items()}
            draft.resource.setdefault(name, []).append(element)
        return inner(element, value)

    return put


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {k: _copy(v) for k, v in value.items()}
    if type(value) is list:
        return [_copy(v) for v in value]
    return value
