"""Search statements, built once per form of search: one statement walks an index in the answer's order and stops after a page.

The most telling condition drives (an identifier before a reference before a name before a code); the others are looked up per candidate. What a page
costs depends on the page and on how much the driving condition matches, not on how much is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, or_, select

from fhir_gateway.store import compartment, tables
from fhir_gateway.store.resources import COLUMNS
from fhir_gateway.store.search import conditions
from fhir_gateway.store.search.conditions import Form
from fhir_gateway.store.search.query import Sort

_R: Final = tables.resource
OWN: Final = frozenset({"_id", "_lastUpdated"})
"""Parameters answered by the resource's own columns."""
SORT_COLUMNS: Final = {"_id": _R.c.id, "_lastUpdated": _R.c.last_updated}
# How much a condition usually leaves over, least first.
_DRIVERS: Final = ("identifier", "reference", "string", "uri", "date", "token")
# As many forms as clients are likely to use; a form costs about as much memory as its SQL text.
_KEPT: Final = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """A search without its values. forms: of the conditions, in order; their values are bound as v0, v1 …, those of `_id` as `ids`."""

    type: str
    reach: compartment.Scope
    sort: Sort
    continued: bool
    forms: tuple[Form, ...]


@lru_cache(_KEPT)
def page(shape: Shape) -> Select[Any]:
    """One page in order. Takes `size`, and to continue `after_value` and `after_pk`."""
    found = _found(shape).distinct()
    columns = list(found.selected_columns)
    keys = found.order_by(*_ordered(columns, shape.sort)).limit(bindparam("size")).subquery()
    order = [SORT_COLUMNS[shape.sort.by], _R.c.pk] if shape.sort.by else [_R.c.pk]
    return select(*COLUMNS).where(_R.c.pk.in_(select(keys.c.pk))).order_by(*_ordered(order, shape.sort))


@lru_cache(_KEPT)
def count(shape: Shape) -> Select[Any]:
    """The number of matches."""
    return select(func.count()).select_from(_found(shape).distinct().subquery())


def _ordered(columns: list[Any], sort: Sort) -> list[Any]:
    return [column.desc() if sort.descending else column for column in columns]


def _found(shape: Shape) -> Select[Any]:
    """The sort value (if any) and surrogate key of every match; may name one twice."""
    bound = _bound(shape.forms)
    own = [one for one in bound if one.form.code in OWN]
    others = [one for one in bound if one.form.code not in OWN]
    driver = None if any(one.form.code == "_id" for one in own) else min(others, key=_rank, default=None)
    sort_column = SORT_COLUMNS.get(shape.sort.by)
    if driver is None:
        pk: ColumnElement[Any] = _R.c.pk
        chosen = select(*_selected(sort_column, pk)).where(_R.c.type == shape.type, _R.c.deleted.is_(False))
    else:
        rows = conditions.rows_of(driver.form)
        pk = rows.c.resource
        chosen = select(*_selected(sort_column, pk)).where(conditions.matches(driver.form, rows, iter(driver.names)))
        if own or sort_column is not None or shape.reach != "everything":
            chosen = chosen.join_from(rows, _R, _R.c.pk == pk)
    if shape.reach != "everything":
        chosen = chosen.where(compartment.resources(shape.reach))
    chosen = chosen.where(*map(_own, own), *(_other(one, pk) for one in others if one is not driver))
    return chosen.where(_after(shape.sort, sort_column, pk)) if shape.continued else chosen


class _Bound(NamedTuple):
    """A form and the names its values are bound under."""

    form: Form
    names: list[str]


def _bound(forms: tuple[Form, ...]) -> list[_Bound]:
    bound: list[_Bound] = []
    n = 0
    for form in forms:
        size = sum(values for _, values in form.alternatives)
        bound.append(_Bound(form, [f"v{number}" for number in range(n, n + size)]))
        n += size
    return bound


def _selected(sort_column: ColumnElement[Any] | None, pk: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [pk.label("pk")] if sort_column is None else [sort_column, pk.label("pk")]


def _own(one: _Bound) -> ColumnElement[bool]:
    if one.form.code == "_lastUpdated":
        return conditions.last_updated(one.form, _R.c.last_updated, iter(one.names))
    return _R.c.id.in_(bindparam("ids", expanding=True))


def _other(one: _Bound, pk: ColumnElement[Any]) -> ColumnElement[bool]:
    rows = conditions.rows_of(one.form)
    return exists().where(rows.c.resource == pk, conditions.matches(one.form, rows, iter(one.names), driving=False))


def _rank(one: _Bound) -> int:
    form = one.form
    return _DRIVERS.index("identifier" if form.code == "identifier" or form.param.endswith(":identifier") else form.kind)


def _after(sort: Sort, column: ColumnElement[Any] | None, pk: ColumnElement[Any]) -> ColumnElement[bool]:
    last: ColumnElement[Any] = bindparam("after_pk")
    beyond = pk < last if sort.descending else pk > last
    if column is None:
        return beyond
    value: ColumnElement[Any] = bindparam("after_value", type_=column.type)
    if sort.descending:
        return and_(column <= value, or_(column < value, beyond))
    return and_(column >= value, or_(column > value, beyond))
