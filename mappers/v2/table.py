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
from itertools import compress
from typing import Any, Final, NamedTuple

from mappers.result import Draft, Fate, Json, Told
from mappers.v2.context import WHOLE, Context, Leaf, kept, leaves
from mappers.v2.message import SUB, Repetition, Segment
from mappers.v2.paths import STORED, Put, putter

Convert = Callable[[Repetition, Context], Any]
NULL: Final = '""'
NO_ROW: Final = "no element for it in the table"


@dataclass(frozen=True, slots=True)
class Datatype:
    """A converter from one repetition of a field to a FHIR value (None: not usable), and the components it takes care of as a bit mask (bit n for
    component n).

    marks: what tells its values in a list from those of other fields (`use=home`, `url=...`), so that an explicit null deletes these only.
    """

    name: str
    convert: Convert
    uses: int
    marks: str = ""

    def __call__(self, repetition: Repetition, ctx: Context) -> Any:
        return self.convert(repetition, ctx)


def takes(*components: int, marks: str = "") -> Callable[[Convert], Datatype]:
    """Declare which components a converter consumes; without arguments: all of them. marks: see Datatype."""
    mask = sum(1 << n for n in components) if components else WHOLE
    return lambda convert: Datatype(getattr(convert, "__name__", "datatype"), convert, mask, marks)


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


class Step(NamedTuple):
    """A compiled row: how the value is made, where it goes, what the ledger says about it.

    draft: the position of its draft in the call to `map`. nests: what a repetition leaves goes onto the element it made, if that is a structure of its
    own (an extension with a value may not hold another).
    """

    convert: Convert
    put: Put
    draft: int
    uses: int
    nests: bool
    told: Told
    erased: str  # what an explicit null deletes, as in Draft.deletes


def _step(row: Row, owner: Target, draft: int) -> Step:
    if row.datatype is None:
        raise ValueError(f"{row.segment}-{row.number}: a row with a path needs a datatype")
    put = row.path if callable(row.path) else putter(row.path, owner.slices)
    nests = row.path != "*" and not row.shown.startswith("extension")
    told = _told(row.segment, row.number, "mapped", f"{owner.resource_type}.{row.shown}", row.why)
    return Step(row.datatype.convert, put, draft, row.datatype.uses, nests, told, _erased(row))


def _erased(row: Row) -> str:
    """The element, or the items of a list, that an explicit null deletes; "" where it can't be told what the field had made.

    Identifiers without a mark stay: they are what the resource is known by.
    """
    path = row.path if isinstance(row.path, str) and row.path != "*" else row.shown if row.shown.isidentifier() else ""
    marks = row.datatype.marks if row.datatype else ""
    if path.endswith("[]"):
        return f"{path[:-2]}[{marks}]" if marks else "" if path in ("identifier[]", "extension[]") else path[:-2]
    return "" if "[" in path or path.startswith("extension") else path


def _told(name: str, number: int, fate: Fate, target_path: str, why: str) -> Told:
    """What the ledger says of a whole field."""
    return (name, number, None, None, None, fate, target_path, why)


class SegmentMap:
    """All tables of one segment, compiled."""

    def __init__(self, name: str, targets: tuple[Target, ...], rows: tuple[Row, ...]) -> None:
        self.name = name
        self.targets = targets
        self.rows = rows
        self._structural = {row.number: _told(name, row.number, "structural", "", "") for row in rows if row.fate == "structural"}
        self._reasons = {row.number: row.why for row in rows}
        self._plans: dict[tuple[str, ...], dict[int, tuple[Step, ...]]] = {}

    def map(self, segment: Segment, ctx: Context, **drafts: Draft) -> None:
        """Fill the drafts, by resource type, from the segment. The first one takes home what no row maps. Targets without a draft are left out."""
        names = tuple(drafts)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._compile(names)
        ctx.segment = segment
        told = ctx.account(segment)
        held = tuple(drafts.values())
        resources = [d.resource for d in held]
        parse = segment.lexer.parse
        fields = segment.fields
        for number, raw in compress(enumerate(fields), fields):
            steps = plan.get(number)
            if steps is None:
                told.append(self._structural.get(number) or keep_field(segment, number, raw, held[0], self._reasons.get(number, NO_ROW)))
            elif raw == NULL:
                told += _delete(steps, held)
            elif steps:
                ctx.number = number
                for ctx.repetition, repetition in enumerate([[raw]] if raw.isalnum() else parse(raw), 1):
                    _fill(repetition, steps, resources, told, ctx)
        ctx.repetition = 1

    def _compile(self, names: tuple[str, ...]) -> dict[int, tuple[Step, ...]]:
        """Steps by field number; none for the segment's name and the delimiters of MSH, which are no fields."""
        plan: dict[int, tuple[Step, ...]] = dict.fromkeys((0, 1, 2) if self.name == "MSH" else (0,), ())
        for owner in self.targets:
            if owner.resource_type in names:
                for row in owner.rows:
                    plan[row.number] = (*plan.get(row.number, ()), _step(row, owner, names.index(owner.resource_type)))
        return plan


def segment(name: str, *parts: Target | Row) -> SegmentMap:
    """Compile the tables of a segment. Rows outside a target are those kept or structural."""
    rows = tuple(p for p in parts if isinstance(p, Row))
    targets = tuple(p for p in parts if isinstance(p, Target))
    for row in (*rows, *(r for t in targets for r in t.rows)):
        if row.segment != name:
            raise ValueError(f"{row.segment}-{row.number} stands in the table of {name}")
    return SegmentMap(name, targets, rows)


def _fill(repetition: Repetition, steps: tuple[Step, ...], resources: list[Json], told: list[Told], ctx: Context) -> None:
    """Take one repetition through the steps of its field, and keep what none of them used."""
    taken = 0
    nest: Json | None = None
    for convert, put, draft, uses, nests, row, _ in steps:
        ctx.left = 0
        value = convert(repetition, ctx)
        if value is None:
            continue
        stored = put(resources[draft], value, ctx)
        if not stored:
            continue
        taken |= uses & ~ctx.left
        if ctx.repetition == 1 or row not in told:
            told.append(row)
        if nests and stored == STORED and nest is None and type(value) is dict:
            nest = value
    valued = (2 << len(repetition)) - 2
    if taken & valued != valued and (found := leaves(repetition, ~taken)):
        told += _keep(found, len(repetition) > 1, resources[0], nest, ctx)


def _keep(found: list[Leaf], named: bool, home: Json, nest: Json | None, ctx: Context) -> list[Told]:
    """Keep leaves of a repetition on the element made of it, or on the first draft. named: the component belongs in their names."""
    name, number, place = ctx.segment.name, ctx.number, ctx.place()
    repetition = ctx.repetition if ctx.repetition > 1 else None
    owner = home if nest is None else nest
    target_path = f"{home['resourceType']}.extension"
    told: list[Told] = []
    for component, sub, text in found:
        if text == NULL:
            told.append((name, number, repetition, component, sub, "empty", target_path, "explicit null"))
        else:
            told.append((name, number, repetition, component, sub, "kept", target_path, "no element for it"))
            leaf = f"{place}.{component}.{sub}" if sub is not None else f"{place}.{component}" if named else place
            owner.setdefault("extension", []).append(kept(leaf, text))
    return told


def keep_field(segment: Segment, number: int, raw: str, home: Draft, why: str, *, sequence: bool = False) -> Told:
    """Keep every leaf of a field on a draft, each under its own name. sequence: the name carries the segment's number (for drafts several segments
    share).
    """
    name = segment.name
    prefix = f"{name}[{segment.sequence}]-{number}" if sequence else f"{name}-{number}"
    found = [kept(prefix, raw)] if raw.isalnum() else _kept_leaves(segment.lexer.parse(raw), prefix)
    if not found:
        return _told(name, number, "empty", "", "no value in it")
    home.resource.setdefault("extension", []).extend(found)
    return _told(name, number, "kept", f"{home.resource['resourceType']}.extension", why)


def _kept_leaves(repetitions: list[Repetition], prefix: str) -> list[Json]:
    found: list[Json] = []
    for ordinal, repetition in enumerate(repetitions, 1):
        place = prefix if ordinal == 1 else f"{prefix}({ordinal})"
        named = len(repetition) > 1
        for component, value in compress(enumerate(repetition, 1), repetition):
            if SUB in value:
                subs = [(sub, leaf.strip()) for sub, leaf in enumerate(value.split(SUB), 1)]
                found += [kept(f"{place}.{component}.{sub}", text) for sub, text in subs if text and text != NULL]
            elif (text := value.strip()) and text != NULL:
                found.append(kept(f"{place}.{component}" if named else place, text))
    return found


def keep_segment(segment: Segment, home: Draft, ctx: Context, why: str) -> None:
    """Keep a whole segment that no table maps, field by field."""
    told = ctx.account(segment)
    for number, raw in enumerate(segment.fields):
        if number and raw:
            told.append(keep_field(segment, number, raw, home, why, sequence=True))


def _delete(steps: tuple[Step, ...], drafts: tuple[Draft, ...]) -> list[Told]:
    """An explicit null: the sender deletes what the field maps to."""
    told: list[Told] = []
    for step in steps:
        draft = drafts[step.draft]
        name, number, path = step.told[0], step.told[1], step.told[6]
        if step.erased and step.erased not in draft.deletes:
            draft.deletes = (*draft.deletes, step.erased)
        told.append(_told(name, number, "empty", path, "explicit null: deleted" if step.erased else "explicit null: names nothing held"))
    return told
