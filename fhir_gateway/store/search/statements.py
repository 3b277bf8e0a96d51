"""Search statements, built once per form of search: one statement walks an index in the answer's order and stops after a page.

The most telling condition drives (an identifier before a reference before a name before a code); the others are looked up per candidate. What a page
costs depends on the page and on how much the driving condition matches, not on how much is stored. In an order of its own (`_sort` by a parameter)
every match is looked at, because the order has no index.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, or_, select

from fhir_gateway.store import compartment, tables
from fhir_gateway.store.resources import COLUMNS
from fhir_gateway.store.search import conditions
from fhir_gateway.store.search.conditions import AnyForm, Form
from fhir_gateway.store.search.index import KINDS
from fhir_gateway.store.search.query import Sort

_R: Final = tables.resource
OWN: Final = frozenset({"_id", "_lastUpdated"})
"""Parameters answered by the resource's own columns."""
SORT_COLUMNS: Final = {"_id": _R.c.id, "_lastUpdated": _R.c.last_updated}
# Kind of parameter → the column its values are ordered by, rising and falling (3.1.1.5.2: of several the one that comes first).
_ORDERED_BY: Final = {
    "token": ("code", "code"),
    "uri": ("code", "code"),
    "string": ("folded", "folded"),
    "reference": ("target", "target"),
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("low", "high"),
}
# As many forms as clients are likely to use; a form costs about as much memory as its SQL text.
_KEPT: Final = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """A search without its values. forms: of the conditions, in order; their values are bound as v0, v1 …, those of `_id` as `ids`."""

    type: str
    reach: compartment.Scope
    sort: tuple[Sort, ...]
    continued: bool
    forms: tuple[AnyForm, ...]

    @property
    def plain(self) -> bool:
        """Can the answer's order be that of an index?"""
        return not self.sort or (len(self.sort) == 1 and self.sort[0].by in OWN)

    @property
    def key(self) -> Sort:
        """The one key of a plain order."""
        return self.sort[0] if self.sort else Sort()


@lru_cache(_KEPT)
def page(shape: Shape) -> Select[Any]:
    """One page in order, the sort values after the columns of the resource. Takes `size`, and to continue `after_value` (plain) or `after_0`, `after_0_none`
    … and `after_pk`.
    """
    if not shape.plain:
        return _ordered_page(shape)
    key = shape.key
    found = _found(shape).distinct()
    columns = list(found.selected_columns)
    keys = found.order_by(*_ordered(columns, key)).limit(bindparam("size")).subquery()
    order = [SORT_COLUMNS[key.by], _R.c.pk] if key.by else [_R.c.pk]
    return select(*COLUMNS).where(_R.c.pk.in_(select(keys.c.pk))).order_by(*_ordered(order, key))


@lru_cache(_KEPT)
def count(shape: Shape) -> Select[Any]:
    """The number of matches."""
    return select(func.count()).select_from(_found(shape).distinct().subquery())


def _ordered(columns: list[Any], sort: Sort) -> list[Any]:
    return [column.desc() if sort.descending else column for column in columns]


def _ordered_page(shape: Shape) -> Select[Any]:
    """Every match with its sort values, the first of them after where the page before ended. What has no value comes last."""
    found = _found(shape).distinct().subquery()
    values = [_sort_value(key, found.c.pk).label(f"k{n}") for n, key in enumerate(shape.sort)]
    keyed = select(found.c.pk, *values).subquery()
    order: list[ColumnElement[Any]] = []
    for n, key in enumerate(shape.sort):
        value = keyed.c[f"k{n}"]
        order += [case((value.is_(None), 1), else_=0), value.desc() if key.descending else value.asc()]
    chosen = select(*COLUMNS, *(keyed.c[f"k{n}"] for n in range(len(shape.sort)))).join(keyed, keyed.c.pk == _R.c.pk)
    if shape.continued:
        chosen = chosen.where(_beyond(shape.sort, keyed))
    return chosen.order_by(*order, keyed.c.pk).limit(bindparam("size"))


def _sort_value(key: Sort, pk: ColumnElement[Any]) -> ColumnElement[Any]:
    if key.by in OWN:
        row = _R.alias()
        return select(row.c.id if key.by == "_id" else row.c.last_updated).where(row.c.pk == pk).scalar_subquery()
    rows = KINDS[key.kind].table.alias()
    rising, falling = _ORDERED_BY[key.kind]
    column = rows.c[falling if key.descending else rising]
    worded = func.nullif(column, "") if key.kind in ("token", "uri") else column  # a code that is only a text has no place
    value = func.max(worded) if key.descending else func.min(worded)
    return select(value).where(rows.c.resource == pk, rows.c.param.in_(key.names)).scalar_subquery()


def _beyond(sort: tuple[Sort, ...], keyed: Any) -> ColumnElement[bool]:
    """After the last one of the page before: equal in the first keys and beyond in the next; the surrogate key settles what is equal in all."""
    same: list[ColumnElement[bool]] = []
    options: list[ColumnElement[bool]] = []
    for n, key in enumerate(sort):
        value = keyed.c[f"k{n}"]
        none: ColumnElement[Any] = bindparam(f"after_{n}_none")
        last: ColumnElement[Any] = bindparam(f"after_{n}", type_=value.type)
        further = value < last if key.descending else value > last
        options.append(and_(*same, none == 0, or_(value.is_(None), further)))
        same.append(or_(and_(none == 1, value.is_(None)), and_(none == 0, value == last)))
    options.append(and_(*same, keyed.c.pk > bindparam("after_pk")))
    return or_(*options)


def _found(shape: Shape) -> Select[Any]:
    """The sort value (if any) and surrogate key of every match; may name one twice."""
    bound = _bound(shape.forms)
    own = [one for one in bound if isinstance(one.form, Form) and one.form.code in OWN]
    others = [one for one in bound if one not in own]
    driver = None if any(_code(one) == "_id" for one in own) else min((o for o in others if conditions.drives(o.form)), key=_rank, default=None)
    sort_column = SORT_COLUMNS.get(shape.key.by) if shape.plain else None
    if driver is None:
        pk: ColumnElement[Any] = _R.c.pk
        chosen = select(*_selected(sort_column, pk)).where(_R.c.type == shape.type, _R.c.deleted.is_(False))
    else:
        chosen, pk = _driven(driver, sort_column, shape)
        needs_row = own or sort_column is not None or shape.reach != "everything" or any(isinstance(o.form, conditions.HasForm) for o in others)
        if needs_row:
            chosen = chosen.join(_R, _R.c.pk == pk)
    if shape.reach != "everything":
        chosen = chosen.where(compartment.resources(shape.reach))
    rest = [conditions.holds(one.form, _R, pk, iter(one.names), shape.reach) for one in others if one is not driver]
    chosen = chosen.where(*map(_own, own), *rest)
    return chosen.where(_after(shape.key, sort_column, pk)) if shape.continued and shape.plain else chosen


def _driven(driver: _Bound, sort_column: ColumnElement[Any] | None, shape: Shape) -> tuple[Select[Any], ColumnElement[Any]]:
    """The search rows, or what comes of walking a chain, as the source of surrogate keys."""
    if isinstance(driver.form, Form):
        rows = conditions.rows_of(driver.form)
        pk: ColumnElement[Any] = rows.c.resource
        chosen = select(*_selected(sort_column, pk)).select_from(rows)
        return chosen.where(conditions.matches(driver.form, rows, iter(driver.names))), pk
    found = conditions.walked(driver.form, iter(driver.names), shape.reach).subquery()
    (pk,) = found.c
    return select(*_selected(sort_column, pk)).select_from(found), pk


class _Bound(NamedTuple):
    """A form and the names its values are bound under."""

    form: AnyForm
    names: list[str]


def _bound(forms: tuple[AnyForm, ...]) -> list[_Bound]:
    ends = [0]
    for form in forms:
        ends.append(ends[-1] + conditions.size(form))
    return [_Bound(form, [f"v{n}" for n in range(first, last)]) for form, (first, last) in zip(forms, pairwise(ends), strict=True)]


def _code(one: _Bound) -> str:
    return one.form.code if isinstance(one.form, Form) else ""


def _selected(sort_column: ColumnElement[Any] | None, pk: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [pk.label("pk")] if sort_column is None else [sort_column, pk.label("pk")]


def _own(one: _Bound) -> ColumnElement[bool]:
    assert isinstance(one.form, Form)
    if one.form.code == "_lastUpdated":
        return conditions.last_updated(one.form, _R.c.last_updated, iter(one.names))
    return _R.c.id.in_(bindparam("ids", expanding=True))


def _rank(one: _Bound) -> int:
    return conditions.rank(one.form)


def _after(sort: Sort, column: ColumnElement[Any] | None, pk: ColumnElement[Any]) -> ColumnElement[bool]:
    last: ColumnElement[Any] = bindparam("after_pk")
    beyond = pk < last if sort.descending else pk > last
    if column is None:
        return beyond
    value: ColumnElement[Any] = bindparam("after_value", type_=column.type)
    if sort.descending:
        return and_(column <= value, or_(column < value, beyond))
    return and_(column >= value, or_(column > value, beyond))
