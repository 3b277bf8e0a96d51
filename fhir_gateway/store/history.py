"""What was written, newest first: of one resource, of one type, of everything. R4 http.html#history.

Current and older versions lie in two tables; a page takes its rows from both, each by an index in the order of the answer. What a page costs depends on the
page, and for everything on how many types there are; not on how much is stored.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import CTE, ColumnElement, Select, and_, bindparam, func, or_, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.errors import CursorError
from fhir_gateway.store.resources import COLUMNS, OLDER_COLUMNS, stored_of
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work

_R: Final = tables.resource
_V: Final = tables.version


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """type, id: "" for every one. since: written at this moment or after it. count: size of a page. cursor: where to go on."""

    type: str = ""
    id: str = ""
    since: datetime | None = None
    count: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Versions, newest first. next: the cursor of the following page, None at the end."""

    entries: tuple[Stored, ...]
    next: str | None = None


def run(work: Work, principal: Principal, query: HistoryQuery) -> HistoryPage:
    """The page of a history that a principal sees. Raises CursorError."""
    work.flush()
    reach = compartment.scope(principal)
    values: dict[str, Any] = {**compartment.values(principal), "size": query.count + 1}
    if query.since is not None:
        values["since"] = query.since
    if query.cursor is not None:
        values |= _read_cursor(query.cursor)
    kinds = [query.type] if query.type else [str(type) for (type,) in work.execute(_types()) if type is not None]
    rows: list[Any] = []
    form = (reach, bool(query.id), query.since is not None, query.cursor is not None)
    for statement, per_type in ((_current(*form), True), (_older(*form, bool(query.type)), False)):
        for kind in kinds if per_type else [query.type]:
            rows += work.execute(statement, values | _named(kind, query.id)).all()
    rows.sort(key=_place, reverse=True)
    entries = tuple(stored_of(row) for row in rows[: query.count])
    return HistoryPage(entries, _cursor(rows[query.count - 1]) if len(rows) > query.count > 0 else None)


def _named(type: str, id: str) -> dict[str, str]:
    return {**({"type": type} if type else {}), **({"id": id} if id else {})}


def _place(row: Any) -> tuple[datetime, str, str, int]:
    """Where a version stands: by time, and among those of one moment in one order for good."""
    return row.last_updated, row.type, row.id, row.version


@cache
def _types() -> Select[Any]:
    """The types there are, by leaps through the index."""
    first: CTE = select(func.min(_R.c.type).label("type")).cte("kinds", recursive=True)
    following = select(func.min(_R.c.type)).where(_R.c.type > first.c.type).scalar_subquery()
    return select(first.union_all(select(following).where(first.c.type.is_not(None))).c.type)


@cache
def _current(reach: compartment.Scope, one: bool, since: bool, continued: bool) -> Select[Any]:
    """Versions that stand, of one type."""
    chosen = select(*COLUMNS).where(_R.c.type == bindparam("type"), compartment.resources(reach), *_narrowed(_R.c, _R.c, one, since, continued))
    return chosen.order_by(_R.c.last_updated.desc(), _R.c.id.desc()).limit(bindparam("size"))


@cache
def _older(reach: compartment.Scope, one: bool, since: bool, continued: bool, typed: bool) -> Select[Any]:
    """Versions that others have taken the place of."""
    chosen = select(*OLDER_COLUMNS).join(_R, _V.c.resource == _R.c.pk)
    chosen = chosen.where(compartment.resources(reach), *([_R.c.type == bindparam("type")] if typed else ()))
    chosen = chosen.where(*_narrowed(_V.c, _R.c, one, since, continued))
    return chosen.order_by(_V.c.last_updated.desc(), _R.c.type.desc(), _R.c.id.desc(), _V.c.version.desc()).limit(bindparam("size"))


def _narrowed(version: Any, resource: Any, one: bool, since: bool, continued: bool) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    if one:
        clauses.append(resource.id == bindparam("id"))
    if since:
        clauses.append(version.last_updated >= bindparam("since", type_=version.last_updated.type))
    if continued:
        clauses.append(_beyond(version, resource))
    return clauses


def _beyond(version: Any, resource: Any) -> ColumnElement[bool]:
    """After the last one of the page before: the first clause alone lets an index find the place."""
    moment = bindparam("last_moment", type_=version.last_updated.type)
    same_id = and_(resource.id == bindparam("last_id"), version.version < bindparam("last_version"))
    within = or_(
        resource.type < bindparam("last_type"), and_(resource.type == bindparam("last_type"), or_(resource.id < bindparam("last_id"), same_id))
    )
    return and_(version.last_updated <= moment, or_(version.last_updated < moment, within))


def _cursor(row: Any) -> str:
    text = msgspec.json.encode([row.last_updated.isoformat(), row.type, row.id, row.version])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_cursor(cursor: str) -> dict[str, Any]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        moment, type, id, version = msgspec.json.decode(text, type=tuple[str, str, str, int])
        if -(2**31) <= version < 2**31 and "\0" not in type + id:
            at = datetime.fromisoformat(moment)
            if at.tzinfo is not None:
                return {"last_moment": at, "last_type": type, "last_id": id, "last_version": version}
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        pass
    raise CursorError("this page address was not made for this history: start from the first page", "_cursor")
