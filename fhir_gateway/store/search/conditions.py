"""Conditions of a search as SQL on the search rows, in two halves: the form of a condition (which is compiled once) and its values.

Each form begins with the parameter's name and can be answered by an index of its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, exists, not_, or_, select, union_all

from fhir_gateway.store import compartment, tables
from fhir_gateway.store.search.dates import moment
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.index import KINDS
from fhir_gateway.store.search.query import Chain, Composite, Condition, Has, Missing, Narrowing
from fhir_gateway.store.search.values import DateValue, NumberValue, ReferenceValue, Single, TextValue, TokenValue, UriValue, Value
from fhir_gateway.store.text import fit

_LAST: Final = "\U0010ffff"
_ESCAPE: Final = "\\"
_REF: Final = tables.reference
Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Form:
    """What a condition looks like without its values. params: names of the parameters, any of which may have the value. alternatives: (name in FORMS,
    how many values it takes), any of which will do. negated: none of them may hold.
    """

    params: tuple[str, ...]
    kind: str
    code: str
    alternatives: tuple[tuple[str, int], ...]
    negated: bool = False

    @property
    def ranged(self) -> bool:
        """Is it a range of values rather than one value?"""
        return self.kind in ("string", "date", "number", "quantity")


@dataclass(frozen=True, slots=True)
class MissingForm:
    """Rows of (parameter, kind of row) there must not be, or of which there must be one."""

    rows: tuple[tuple[str, str], ...]
    missing: bool


@dataclass(frozen=True, slots=True)
class ChainForm:
    """What a reference points at; options: (type of the target, what holds of it)."""

    param: str
    options: tuple[tuple[str, AnyForm], ...]


@dataclass(frozen=True, slots=True)
class HasForm:
    """What points at a resource of `type` by `param`."""

    type: str
    param: str
    inner: AnyForm


@dataclass(frozen=True, slots=True)
class CompositeForm:
    """Parts that must hold of rows of one resource, any of the options. An option: (is it also one `element`, forms of the parts). missing: none may hold."""

    options: tuple[tuple[bool, tuple[Form, ...]], ...]
    missing: bool


AnyForm = Form | MissingForm | CompositeForm | ChainForm | HasForm


def split(condition: Narrowing, type: str) -> tuple[AnyForm, list[Any]]:
    """The form of a condition on resources of a type and its values, in the order in which the form's clause takes them."""
    match condition:
        case Missing(parameter, missing, also):
            rows = [(held.name, held.kind) for held in (parameter, *also)]
            if parameter.kind == "reference":
                rows.append((f"{parameter.name}:identifier", "token"))
            return MissingForm(tuple(rows), missing), []
        case Composite():
            return _composite(condition)
        case Chain(parameter, options):
            made = [(target, *split(inner, target)) for target, inner in options]
            return ChainForm(parameter.name, tuple((target, form) for target, form, _ in made)), [v for _, _, values in made for v in values]
        case Has(other, parameter, inner):
            form, values = split(inner, other)
            return HasForm(type, parameter.name, form), values
    return _plain(condition)


def _plain(condition: Condition) -> tuple[Form, list[Any]]:
    point = condition.parameter.code == "_lastUpdated"
    parts = [part for value in condition.values for part in _parts(condition, value, point)]
    suffix = f":{condition.modifier}" if condition.modifier in ("identifier", "of-type") else ""
    kind = "token" if condition.modifier == "identifier" else condition.parameter.kind
    names = tuple(f"{parameter.name}{suffix}" for parameter in (condition.parameter, *condition.also))
    alternatives = tuple((part, len(values)) for part, values in parts)
    return Form(names, kind, condition.parameter.code, alternatives, condition.modifier == "not"), [value for _, values in parts for value in values]


def _composite(condition: Composite) -> tuple[CompositeForm, list[Any]]:
    """Each place where the parts meet with each of the values."""
    options: list[tuple[bool, tuple[Form, ...]]] = []
    bound: list[Any] = []
    for meeting in condition.meetings:
        for values in condition.values or [()]:
            asked = [Condition(part, "", values[n : n + 1]) for n, part in enumerate(meeting.parts)]
            parts = [_plain(one) for one in asked]
            options.append((meeting.repeats, tuple(form for form, _ in parts)))
            bound += [value for _, taken in parts for value in taken]
    return CompositeForm(tuple(options), condition.missing), bound


def size(form: AnyForm) -> int:
    """How many values a form takes."""
    match form:
        case Form(alternatives=alternatives):
            return sum(number for _, number in alternatives)
        case CompositeForm(options=options):
            return sum(size(part) for _, parts in options for part in parts)
        case ChainForm(options=options):
            return sum(size(inner) for _, inner in options)
        case HasForm(inner=inner):
            return size(inner)
    return 0


def drives(form: AnyForm) -> bool:
    """Can the resources it holds of be walked, rather than looked at one by one?"""
    match form:
        case Form(negated=negated):
            return not negated
        case CompositeForm():  # that there is some value narrows little
            return size(form) > 0
        case ChainForm(options=options):
            return all(drives(inner) for _, inner in options)
        case HasForm(inner=inner):
            return drives(inner)
    return False


def rank(form: AnyForm) -> int:
    """How much a condition usually leaves over, least first."""
    match form:
        case Form():
            return DRIVERS.index("identifier" if form.code == "identifier" or form.params[0].endswith(":identifier") else form.kind)
        case CompositeForm(options=options):  # its first part drives, and the others leave less of it
            return max(rank(parts[0]) for _, parts in options) - 1
        case ChainForm(options=options):
            return max(1 + rank(inner) for _, inner in options)
        case HasForm(inner=inner):
            return 1 + rank(inner)
    return len(DRIVERS)


# How much a condition usually leaves over, least first.
DRIVERS: Final = ("identifier", "reference", "string", "uri", "quantity", "number", "date", "token")


def rows_of(form: Form) -> FromClause:
    """The table a condition is about, as an alias of its own (one parameter may be given twice)."""
    return KINDS[form.kind].table.alias()


def walked(form: AnyForm, names: Iterator[str], reach: compartment.Scope) -> Select[Any]:
    """Surrogate keys of the resources a form holds of, some perhaps twice. names: for the values, which are bound in this order."""
    if isinstance(form, Form):
        rows = rows_of(form)
        return select(rows.c.resource).where(matches(form, rows, names))
    if isinstance(form, CompositeForm):
        return _any_of([_met(option, names, None) for option in form.options])
    held = tables.resource.alias()
    points = _REF.alias()
    if isinstance(form, ChainForm):
        kinds = [kind for kind, _ in form.options]
        found = [walked(inner, names, reach) for _, inner in form.options]
        target = held.c.pk.in_(_any_of(found))
        of_kind = [held.c.type.in_(kinds), points.c.target == held.c.id, points.c.target_type == held.c.type]
        return select(points.c.resource).where(points.c.param == form.param, *of_kind, target, compartment.resources(reach, held))
    assert isinstance(form, HasForm)
    inner = walked(form.inner, names, reach)
    pointing = [points.c.param == form.param, points.c.target_type == form.type, points.c.resource.in_(inner)]
    seen = _visible(points, reach)
    return select(held.c.pk).where(*pointing, *seen, held.c.type == form.type, held.c.id == points.c.target, held.c.deleted.is_(False))


def holds(form: AnyForm, of: FromClause, pk: ColumnElement[Any], names: Iterator[str], reach: compartment.Scope) -> Clause:
    """Does a form hold of one resource? of: its row of `resource`; pk: its surrogate key, which may stand in another table already at hand."""
    if isinstance(form, Form):
        rows = rows_of(form)
        found = exists().where(rows.c.resource == pk, matches(replace(form, negated=False), rows, names, driving=False))
        return not_(found) if form.negated else found
    if isinstance(form, MissingForm):
        there = or_(*(_has_rows(param, kind, pk) for param, kind in form.rows))
        return not_(there) if form.missing else there
    if isinstance(form, CompositeForm):
        met = or_(*(_met(option, names, pk).exists() for option in form.options))
        return not_(met) if form.missing else met
    points = _REF.alias()
    other = tables.resource.alias()
    if isinstance(form, ChainForm):
        options = []
        for kind, inner in form.options:
            options.append(and_(points.c.target_type == kind, other.c.type == kind, holds(inner, other, other.c.pk, names, reach)))
        here = [points.c.resource == pk, points.c.param == form.param, other.c.id == points.c.target, other.c.deleted.is_(False)]
        return exists().where(*here, or_(*options), compartment.resources(reach, other))
    held = holds(form.inner, other, other.c.pk, names, reach)
    here = [points.c.param == form.param, points.c.target == of.c.id, points.c.target_type == form.type, other.c.pk == points.c.resource]
    return exists().where(*here, held, compartment.resources(reach, other))


def _any_of(found: list[Select[Any]]) -> Select[Any]:
    """All of them as one select, since SQLite takes no compound within a compound."""
    return select(*union_all(*found).subquery().c) if len(found) > 1 else found[0]


def _met(option: tuple[bool, tuple[Form, ...]], names: Iterator[str], pk: ColumnElement[Any] | None) -> Select[Any]:
    """Surrogate keys of the resources with rows of every part that belong together, some perhaps twice. pk: only of this one; otherwise the rows of the
    first part are walked.
    """
    repeats, (first, *others) = option
    rows = rows_of(first)
    found = select(rows.c.resource).where(matches(first, rows, names, driving=pk is None))
    if pk is not None:
        found = found.where(rows.c.resource == pk)
    for part in others:
        beside = rows_of(part)
        same = [beside.c.resource == rows.c.resource, *([beside.c.element == rows.c.element] if repeats else [])]
        found = found.where(exists().where(*same, matches(part, beside, names, driving=False)))
    return found


def _has_rows(param: str, kind: str, pk: ColumnElement[Any]) -> Clause:
    rows = KINDS[kind].table.alias()
    return exists().where(rows.c.resource == pk, rows.c.param == param)


def _visible(points: FromClause, reach: compartment.Scope) -> list[Clause]:
    """That what points here is seen by whoever asks: else its content could be guessed."""
    if reach == "everything":
        return []
    other = tables.resource.alias()
    return [exists().where(other.c.pk == points.c.resource, compartment.resources(reach, other))]


def matches(form: Form, rows: FromClause, names: Iterator[str], driving: bool = True) -> Clause:
    """Which of these search rows satisfy the condition. names: for the values, which are bound in this order.

    driving: the rows are walked by this condition. Otherwise they are those of one resource, and a range must not tempt SQLite's planner to walk the
    whole range again for each resource: adding "" to the parameter's name hides it from the planner.
    """
    param = rows.c.param if driving or not form.ranged else rows.c.param + ""
    named = param == form.params[0] if len(form.params) == 1 else param.in_(form.params)
    return and_(named, _any(form, rows.c, names)) if form.alternatives else named


def last_updated(form: Form, column: ColumnElement[Any], names: Iterator[str]) -> Clause:
    """`_lastUpdated`, which is a column of the resource itself and a single point in time."""
    return _any(form, column, names)


def _any(form: Form, columns: Any, names: Iterator[str]) -> Clause:
    return or_(*(FORMS[name](columns, [bindparam(next(names)) for _ in range(count)]) for name, count in form.alternatives))


def _parts(condition: Condition, value: Value, point: bool) -> list[tuple[str, tuple[Any, ...]]]:
    if not isinstance(value, UriValue):
        return [_part(condition, value, point)]
    found: list[tuple[str, tuple[Any, ...]]] = [("code", (address,)) for address in value.exact]
    return [*found, ("address", (value.begins, value.begins + _LAST))] if value.begins else found


def _part(condition: Condition, value: Single, point: bool) -> tuple[str, tuple[Any, ...]]:
    match value:
        case TokenValue():
            return _token(value)
        case TextValue(folded):
            return "text", (folded, folded + _LAST)
        case ReferenceValue(type, target):
            return ("target", (target,)) if type is None else ("typed target", (target, type))
        case DateValue(prefix, span):
            return (f"at {prefix}", tuple(moment(end) for end in span)) if point else (prefix, tuple(span))
        case NumberValue():
            return _number(value)
    if condition.modifier == "exact":
        return "exact", (fit(fold(value)), fit(value))
    if condition.modifier == "contains":
        for special in (_ESCAPE, "%", "_"):
            value = value.replace(special, _ESCAPE + special)
        return "contains", (f"%{value}%",)
    return "beginning", (value, value + _LAST)


def _number(value: NumberValue) -> tuple[str, tuple[Any, ...]]:
    bounds = (value.low, value.high) if value.prefix in ("eq", "ne", "ap") else (value.exact,)
    unit = tuple(part for part in (value.system, value.code) if part is not None)
    kind = {(False, False): "", (True, False): " of system", (False, True): " in unit", (True, True): " in unit of system"}
    return f"number {value.prefix}{kind[value.system is not None, value.code is not None]}", (*bounds, *unit)


def _token(value: TokenValue) -> tuple[str, tuple[Any, ...]]:
    if value.code is None:
        return "system", (value.system,)
    if value.system is None:
        return "code", (value.code,)
    return ("code without system", (value.code,)) if value.system == "" else ("code in system", (value.code, value.system))


def _clause(value: Any) -> Clause:
    return cast("Clause", value)


def _measured(compare: Callable[[Any, list[Any]], Clause], takes: int) -> dict[str, Callable[[Any, list[Any]], Clause]]:
    """A comparison of numbers, alone and with a unit. The unit may be given by its code or as it is written (3.1.1.4.11)."""
    return {
        "": compare,
        " of system": lambda c, b: and_(compare(c, b), c.system == b[takes]),
        " in unit": lambda c, b: and_(compare(c, b), or_(c.code == b[takes], c.unit == b[takes])),
        " in unit of system": lambda c, b: and_(compare(c, b), c.system == b[takes], c.code == b[takes + 1]),
    }


# Prefix → comparison of the range a resource's number has with the number asked for (3.1.1.4.6).
_COMPARED: Final[dict[str, tuple[Callable[[Any, list[Any]], Clause], int]]] = {
    "eq": (lambda c, b: and_(c.low >= b[0], c.low <= b[1], c.high <= b[1]), 2),
    "ne": (lambda c, b: or_(c.low < b[0], c.high > b[1]), 2),
    "ap": (lambda c, b: and_(c.low <= b[1], c.high >= b[0]), 2),
    "gt": (lambda c, b: _clause(c.high > b[0]), 1),
    "ge": (lambda c, b: _clause(c.high >= b[0]), 1),
    "lt": (lambda c, b: _clause(c.low < b[0]), 1),
    "le": (lambda c, b: _clause(c.low <= b[0]), 1),
    "sa": (lambda c, b: _clause(c.low > b[0]), 1),
    "eb": (lambda c, b: _clause(c.high < b[0]), 1),
}

# Name of a form → the clause on columns `c` with the bound values `b`.
# Ranges: search.html#prefix, where a row is a range too, low to high. ap: the ranges overlap, which the standard leaves to the server.
# A token whose system is implied (NULL) answers to any system asked for, but not to "no system".
FORMS: Final[dict[str, Callable[[Any, list[Any]], Clause]]] = {
    "code": lambda c, b: _clause(c.code == b[0]),
    "system": lambda c, b: _clause(c.system == b[0]),
    "code without system": lambda c, b: and_(c.code == b[0], c.system == ""),
    "code in system": lambda c, b: and_(c.code == b[0], or_(c.system == b[1], c.system.is_(None))),
    "address": lambda c, b: and_(c.code >= b[0], c.code < b[1]),
    "text": lambda c, b: and_(c.text >= b[0], c.text < b[1]),
    "target": lambda c, b: _clause(c.target == b[0]),
    "typed target": lambda c, b: and_(c.target == b[0], c.target_type == b[1]),
    "exact": lambda c, b: and_(c.folded == b[0], c.exact == b[1]),
    "contains": lambda c, b: _clause(c.folded.like(b[0], escape=_ESCAPE)),
    "beginning": lambda c, b: and_(c.folded >= b[0], c.folded < b[1]),
    "eq": lambda c, b: and_(c.low >= b[0], c.low <= b[1], c.high <= b[1]),
    "ne": lambda c, b: or_(c.low < b[0], c.high > b[1]),
    "gt": lambda c, b: _clause(c.high > b[1]),
    "lt": lambda c, b: _clause(c.low < b[0]),
    "ge": lambda c, b: and_(c.high >= b[0], or_(c.high > b[1], c.low >= b[0])),
    "le": lambda c, b: and_(c.low <= b[1], or_(c.low < b[0], c.high <= b[1])),
    "sa": lambda c, b: _clause(c.low > b[1]),
    "eb": lambda c, b: _clause(c.high < b[0]),
    "ap": lambda c, b: and_(c.low <= b[1], c.high >= b[0]),
    "at eq": lambda c, b: _clause(c.between(b[0], b[1])),
    "at ne": lambda c, b: or_(c < b[0], c > b[1]),
    "at gt": lambda c, b: _clause(c > b[1]),
    "at lt": lambda c, b: _clause(c < b[0]),
    "at ge": lambda c, b: _clause(c >= b[0]),
    "at le": lambda c, b: _clause(c <= b[1]),
    "at sa": lambda c, b: _clause(c > b[1]),
    "at eb": lambda c, b: _clause(c < b[0]),
    "at ap": lambda c, b: _clause(c.between(b[0], b[1])),
    **{f"number {prefix}{unit}": clause for prefix, (compare, takes) in _COMPARED.items() for unit, clause in _measured(compare, takes).items()},
}
