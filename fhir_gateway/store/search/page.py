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
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search import conditions, includes, statements
from fhir_gateway.store.search.conditions import AnyForm, Form
from fhir_gateway.store.search.query import Condition, SearchQuery, Sort
from fhir_gateway.store.search.statements import OWN, Shape
from fhir_gateway.store.search.values import TokenValue
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in order. next: the cursor of the following page, None at the end. total: None unless asked for.

    included: what was asked for beside them, each once and no match again; cut: there is more of it than is given.
    """

    entries: tuple[Stored, ...]
    next: str | None = None
    total: int | None = None
    included: tuple[Stored, ...] = ()
    cut: bool = False


def run(work: Work, principal: Principal, query: SearchQuery) -> Page:
    """The page of a search that a principal sees. Raises CursorError."""
    work.flush()
    shape, values = _split(query, compartment.scope(principal))
    values |= compartment.values(principal)
    total = None
    if query.only_count or query.total == "accurate":
        total = work.execute(statements.count(replace(shape, sort=(), continued=False)), values).scalar_one()
    if query.only_count:
        return Page((), None, total)
    if query.cursor is not None:
        values |= _read_cursor(query.cursor, shape)
    # One row more than the page says that there is another page.
    rows = work.execute(statements.page(shape), {**values, "size": query.count + 1}).all()
    entries = tuple(stored_of(row[: len(COLUMNS)]) for row in rows[: query.count])
    following = _cursor(shape, rows[query.count - 1]) if len(rows) > query.count else None
    included, cut = includes.beside(work, principal, query.includes, entries) if query.includes else ((), False)
    return Page(entries, following, total, included, cut)


def _split(query: SearchQuery, reach: compartment.Scope) -> tuple[Shape, dict[str, Any]]:
    """The shape of a search and what its statement has to be given."""
    values: dict[str, Any] = {}
    forms: list[AnyForm] = []
    n = 0
    for condition in query.conditions:
        form, bound = conditions.split(condition, query.type)
        if isinstance(condition, Condition) and isinstance(form, Form) and condition.parameter.code == "_id":
            ids = {value.code for value in condition.values if isinstance(value, TokenValue) and value.code}
            values["ids"] = sorted(ids & set(values["ids"]) if "ids" in values else ids)
            form = replace(form, alternatives=())
        else:
            for value in bound:
                values[f"v{n}"] = value
                n += 1
        forms.append(form)
    return Shape(query.type, reach, _order(query, forms), query.cursor is not None, tuple(forms)), values


def _order(query: SearchQuery, forms: list[AnyForm]) -> tuple[Sort, ...]:
    """The order asked for, or the one in which the driving index lies anyway."""
    if query.sort:
        return query.sort
    codes = {form.code if isinstance(form, Form) else "" for form in forms}
    if codes <= OWN:
        return (Sort("_lastUpdated" if codes == {"_lastUpdated"} else "_id"),)
    return (Sort("_id"),) if "_id" in codes else ()


def _cursor(shape: Shape, row: Any) -> str:
    keys = [[key.by, key.descending] for key in shape.sort]
    if shape.plain:
        last = [{"": "", "_id": row.id, "_lastUpdated": row.last_updated.isoformat()}[shape.key.by]]
    else:
        last = [value.isoformat() if isinstance(value, datetime) else value for value in row[len(COLUMNS) :]]
    return base64.urlsafe_b64encode(msgspec.json.encode([keys, last, row.pk])).decode().rstrip("=")


def _read_cursor(cursor: str, shape: Shape) -> dict[str, Any]:
    """What a statement takes to go on where the page before ended. Raises CursorError."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        keys, last, pk = msgspec.json.decode(text, type=tuple[list[tuple[str, bool]], list[str | int | float | None], int])
        if keys == [(key.by, key.descending) for key in shape.sort] and -(2**63) <= pk < 2**63:
            return _after(shape, last) | {"after_pk": pk}
    except (binascii.Error, msgspec.MsgspecError, ValueError, TypeError):
        pass
    raise CursorError("this page address was not made for this search: start from the first page", "_cursor")


def _after(shape: Shape, last: list[str | int | float | None]) -> dict[str, Any]:
    if shape.plain:
        (value,) = last
        if not isinstance(value, str) or "\0" in value:
            raise ValueError("a plain order goes by a text")
        return {"after_value": datetime.fromisoformat(value) if shape.key.by == "_lastUpdated" else value}
    found: dict[str, Any] = {}
    for n, (key, value) in enumerate(zip(shape.sort, last, strict=True)):
        texts = key.by == "_id" or key.kind in ("token", "uri", "string", "reference")
        if value is not None and key.by != "_lastUpdated" and isinstance(value, str) != texts:
            raise ValueError("the value is of another kind")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("no such text was ever stored")
        empty: Any = "" if texts else 0
        moment = datetime.fromisoformat(str(value)) if key.by == "_lastUpdated" else value
        found |= {f"after_{n}": empty if value is None else moment, f"after_{n}_none": int(value is None)}
    return found
