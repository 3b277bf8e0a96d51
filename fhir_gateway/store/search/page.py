"""Running a search: one statement that walks an index in the answer's order and stops after a page.

The most telling condition drives (an identifier before a reference before a name before a code); the others are looked up per candidate. What a page
costs depends on the page and on how much the driving condition matches, not on how much is stored.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, or_, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.errors import CursorError
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search import conditions
from fhir_gateway.store.search.query import Condition, SearchQuery, Sort, TokenValue
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work

_R: Final = tables.resource
# How much a condition usually leaves over, least first. What is not named here comes last.
_DRIVERS: Final = ("identifier", "reference", "string", "uri", "date", "token")


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in order. next: the cursor of the following page, None at the end. total: None unless asked for."""

    entries: tuple[Stored, ...]
    next: str | None = None
    total: int | None = None


def run(work: Work, principal: Principal, query: SearchQuery) -> Page:
    """The page of a search that a principal sees. Raises CursorError."""
    work.flush()
    reach, values = compartment.scope(principal), compartment.values(principal)
    total = None
    if query.only_count or query.total == "accurate":
        counted = select(func.count()).select_from(_found(query, reach, Sort()).distinct().subquery())
        total = work.execute(counted, values).scalar_one()
    if query.only_count:
        return Page((), None, total)
    rows = work.execute(statement(query, reach), values).all()
    entries = tuple(stored_of(row) for row in rows[: query.count])
    following = _cursor(_order(query), rows[query.count - 1]) if len(rows) > query.count else None
    return Page(entries, following, total)


def statement(query: SearchQuery, reach: compartment.Scope) -> Select[Any]:
    """One page and one row more (which says that there is another page)."""
    sort = _order(query)
    found = _found(query, reach, sort, _read_cursor(query, sort)).distinct()
    columns = list(found.selected_columns)
    keys = found.order_by(*(column.desc() if sort.descending else column for column in columns)).limit(query.count + 1).subquery()
    ordered = [_SORT_COLUMNS[sort.by], _R.c.pk] if sort.by else [_R.c.pk]
    return (
        select(*COLUMNS).where(_R.c.pk.in_(select(keys.c.pk)))
        .order_by(*(column.desc() if sort.descending else column for column in ordered))
    )


_OWN: Final = frozenset({"_id", "_lastUpdated"})
_SORT_COLUMNS: Final = {"_id": _R.c.id, "_lastUpdated": _R.c.last_updated}


def _order(query: SearchQuery) -> Sort:
    """The order asked for, or the one in which the driving index lies anyway."""
    if query.sort.by:
        return query.sort
    codes = {condition.parameter.code for condition in query.conditions}
    if codes <= _OWN:
        return Sort("_lastUpdated" if codes == {"_lastUpdated"} else "_id")
    return Sort("_id") if "_id" in codes else query.sort


def _found(query: SearchQuery, reach: compartment.Scope, sort: Sort, after: tuple[Any, int] | None = None) -> Select[Any]:
    """The sort value (if any) and surrogate key of every match after a cursor; may name one twice."""
    own = [condition for condition in query.conditions if condition.parameter.code in _OWN]
    others = [condition for condition in query.conditions if condition not in own]
    driver = None if any(condition.parameter.code == "_id" for condition in own) else min(others, key=_rank, default=None)
    sort_column = _SORT_COLUMNS.get(sort.by)
    if driver is None:
        pk: ColumnElement[Any] = _R.c.pk
        chosen = select(*_selected(sort_column, pk)).where(_R.c.type == query.type, _R.c.deleted.is_(False))
    else:
        rows = conditions.rows_of(driver)
        pk = rows.c.resource
        chosen = select(*_selected(sort_column, pk)).where(conditions.matches(driver, rows))
        if own or sort_column is not None or reach != "everything":
            chosen = chosen.join_from(rows, _R, _R.c.pk == pk)
    if reach != "everything":
        chosen = chosen.where(compartment.resources(reach))
    chosen = chosen.where(*(_own(condition) for condition in own), *(_other(condition, pk) for condition in others if condition is not driver))
    return chosen if after is None else chosen.where(_after(sort, sort_column, pk, after))


def _selected(sort_column: ColumnElement[Any] | None, pk: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [pk.label("pk")] if sort_column is None else [sort_column, pk.label("pk")]


def _own(condition: Condition) -> ColumnElement[bool]:
    if condition.parameter.code == "_lastUpdated":
        return conditions.last_updated(condition, _R.c.last_updated)
    return _R.c.id.in_([value.code for value in condition.values if isinstance(value, TokenValue)])


def _other(condition: Condition, pk: ColumnElement[Any]) -> ColumnElement[bool]:
    rows: FromClause = conditions.rows_of(condition)
    return exists().where(rows.c.resource == pk, conditions.matches(condition, rows, driving=False))


def _rank(condition: Condition) -> int:
    name = "identifier" if "identifier" in (condition.parameter.code, condition.modifier) else condition.parameter.kind
    return _DRIVERS.index(name)


def _after(sort: Sort, column: ColumnElement[Any] | None, pk: ColumnElement[Any], after: tuple[Any, int]) -> ColumnElement[bool]:
    value, last = after
    beyond = pk < last if sort.descending else pk > last
    if column is None:
        return beyond
    if sort.descending:
        return and_(column <= value, or_(column < value, beyond))
    return and_(column >= value, or_(column > value, beyond))


def _cursor(sort: Sort, row: Any) -> str:
    value = {"": "", "_id": row.id, "_lastUpdated": row.last_updated.isoformat()}[sort.by]
    text = msgspec.json.encode([sort.by, sort.descending, value, row.pk])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_cursor(query: SearchQuery, sort: Sort) -> tuple[Any, int] | None:
    if query.cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
        by, descending, value, pk = msgspec.json.decode(text, type=tuple[str, bool, str, int])
        if Sort(by, descending) == sort:
            return (datetime.fromisoformat(value) if by == "_lastUpdated" else value), pk
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        pass
    raise CursorError("this page address was not made for this search: start from the first page", "_cursor")

