"""Running a search: a page at a time, in an order that what arrives meanwhile does not disturb."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment
from fhir_gateway.store.errors import CursorError
from fhir_gateway.store.resources import stored_of
from fhir_gateway.store.search import conditions, statements
from fhir_gateway.store.search.conditions import Form
from fhir_gateway.store.search.query import SearchQuery, Sort, TokenValue
from fhir_gateway.store.search.statements import OWN, Shape
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in order. next: the cursor of the following page, None at the end. total: None unless asked for."""

    entries: tuple[Stored, ...]
    next: str | None = None
    total: int | None = None


def run(work: Work, principal: Principal, query: SearchQuery) -> Page:
    """The page of a search that a principal sees. Raises CursorError."""
    work.flush()
    shape, values = _split(query, compartment.scope(principal))
    values |= compartment.values(principal)
    total = None
    if query.only_count or query.total == "accurate":
        total = work.execute(statements.count(replace(shape, sort=Sort(), continued=False)), values).scalar_one()
    if query.only_count:
        return Page((), None, total)
    if query.cursor is not None:
        values["after_value"], values["after_pk"] = _read_cursor(query.cursor, shape.sort)
    # One row more than the page says that there is another page.
    rows = work.execute(statements.page(shape), {**values, "size": query.count + 1}).all()
    entries = tuple(stored_of(row) for row in rows[: query.count])
    following = _cursor(shape.sort, rows[query.count - 1]) if len(rows) > query.count else None
    return Page(entries, following, total)


def _split(query: SearchQuery, reach: compartment.Scope) -> tuple[Shape, dict[str, Any]]:
    """The shape of a search and what its statement has to be given."""
    values: dict[str, Any] = {}
    forms: list[Form] = []
    n = 0
    for condition in query.conditions:
        form, bound = conditions.split(condition)
        if condition.parameter.code == "_id":
            ids = {value.code for value in condition.values if isinstance(value, TokenValue) and value.code}
            values["ids"] = sorted(ids & set(values["ids"]) if "ids" in values else ids)
            form = replace(form, alternatives=())
        else:
            for value in bound:
                values[f"v{n}"] = value
                n += 1
        forms.append(form)
    return Shape(query.type, reach, _order(query), query.cursor is not None, tuple(forms)), values


def _order(query: SearchQuery) -> Sort:
    """The order asked for, or the one in which the driving index lies anyway."""
    if query.sort.by:
        return query.sort
    codes = {condition.parameter.code for condition in query.conditions}
    if codes <= OWN:
        return Sort("_lastUpdated" if codes == {"_lastUpdated"} else "_id")
    return Sort("_id") if "_id" in codes else query.sort


def _cursor(sort: Sort, row: Any) -> str:
    value = {"": "", "_id": row.id, "_lastUpdated": row.last_updated.isoformat()}[sort.by]
    text = msgspec.json.encode([sort.by, sort.descending, value, row.pk])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_cursor(cursor: str, sort: Sort) -> tuple[Any, int]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        by, descending, value, pk = msgspec.json.decode(text, type=tuple[str, bool, str, int])
        if Sort(by, descending) == sort and -(2**63) <= pk < 2**63:
            return (datetime.fromisoformat(value) if by == "_lastUpdated" else value), pk
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        pass
    raise CursorError("this page address was not made for this search: start from the first page", "_cursor")
