"""Interactions of the FHIR API beyond the plain ones: PATCH, writes by a condition, history. R4 http.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec

from fhir_gateway.errors import NotFoundError, PreconditionError, UnknownParameterError, UnreadableError
from fhir_gateway.pipeline import conditions, writes
from fhir_gateway.pipeline.looks import PARAMETERS, Looks, looks_of, shown
from fhir_gateway.pipeline.patches import patched
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.pipeline.results import Written
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.errors import RaceLostError, VersionConflictError
from fhir_gateway.store.history import HistoryQuery
from fhir_gateway.wording import moment_of

Json = dict[str, Any]
HISTORY: Final = ("_since", "_count", "_cursor", "_sort", "_total", *PARAMETERS)
"""Parameters of a history. `_sort` may only say the order that it has; `_total` is answered where it costs nothing."""


def patch(tx: Transaction, type: str, id: str, body: bytes, kind: str, expected: Expected | None) -> Written:
    """A new version made of the current one. Without `expected` the last writer stands: losing a race is tried again on the new version."""
    tx.resources.hold(type, id)
    held = writes.read(tx, type, id)
    if expected is not None:
        expected.check(held, f"{type}/{id}")
    made = writes.checked(patched(held.resource, body, kind), type)
    try:
        return writes.update(tx, made, id, Expected.version(held.version), create_allowed=False)
    except (VersionConflictError, PreconditionError) as fault:
        if expected is None:
            raise RaceLostError("another transaction changed the resource between reading and patching it") from fault
        raise


def where(tx: Transaction, type: str, text: str) -> Stored | None:
    """The one resource a condition means, None when it means none. Raises PreconditionError for several."""
    condition = conditions.read(type, text)
    conditions.hold(tx, [condition])
    return conditions.match(tx, condition)


def update_where(tx: Transaction, resource: Json, text: str, expected: Expected | None, *, create_allowed: bool) -> Written:
    """http.html#cond-update: the one match in a new version; none and no id in the resource, a new one; none and an id, that one made."""
    type, given = str(resource["resourceType"]), resource.get("id")
    condition = conditions.read(type, text)
    conditions.hold(tx, [condition])
    found = conditions.match(tx, condition)
    if found is None and expected is not None:
        expected.check(None, f"What the condition on {type} means")
    if found is None and given is None:
        return writes.create_if_none(tx, resource, text)
    if found is not None and given not in (None, found.id):
        raise UnreadableError("The condition means another resource than the id in the body", f"{type}.id")
    id = found.id if found is not None else str(given)
    return writes.update(tx, {**resource, "id": id}, id, expected, create_allowed=create_allowed or found is not None)


def meant(tx: Transaction, type: str, text: str) -> str:
    """The id of the one resource a condition means. Raises NotFoundError for none, PreconditionError for several."""
    found = where(tx, type, text)
    if found is None:
        raise NotFoundError(f"No {type} matches the condition", type)
    return found.id


@dataclass(frozen=True, slots=True)
class History:
    """A history as asked for. base: what its links are built from."""

    type: str
    id: str
    base: str
    pairs: Sequence[tuple[str, str]]
    zone: ZoneInfo

    def bundle(self, tx: Transaction, size: int, most: int) -> Json:
        """The history Bundle, newest first. Raises NotFoundError for a resource that never was, UnknownParameterError, CursorError."""
        looks, query = looks_of(self.pairs), self._query(size, most)
        if query.id and tx.resources.read(query.type, query.id) is None:
            raise NotFoundError(f"There is no {query.type}/{query.id}")
        page = tx.history(query)
        bundle: Json = {"resourceType": "Bundle", "type": "history", "link": self._links(page.next)}
        entries = [self._entry(stored, looks) for stored in page.entries]
        return bundle | ({"entry": entries} if entries else {})

    def _query(self, size: int, most: int) -> HistoryQuery:
        since: datetime | None = None
        cursor: str | None = None
        count = min(size, most)
        for name, value in self.pairs:
            match name:
                case "_since":
                    since = moment_of(f"{value}T00:00:00" if len(value) == 10 else value, self.zone, "_since")
                case "_cursor":
                    cursor = value
                case "_count" if value.isascii() and value.isdigit():
                    count = max(1, min(int(value[:9]), most))
                case "_sort" if value == "-_lastUpdated":
                    pass
                case _ if name not in HISTORY or name in ("_count", "_sort"):
                    raise UnknownParameterError(f"'{name[:64]}={value[:40]}' can't be asked of a history; it takes {', '.join(HISTORY)}")
        return HistoryQuery(self.type, self.id, since, count, cursor)

    def _links(self, following: str | None) -> list[Json]:
        pairs = [pair for pair in self.pairs if pair[0] != "_cursor"]
        links = [{"relation": "self", "url": self._address(self.pairs)}]
        return [*links, {"relation": "next", "url": self._address([*pairs, ("_cursor", following)])}] if following else links

    def _address(self, pairs: Sequence[tuple[str, str]]) -> str:
        place = "/".join(part for part in (self.base, self.type, self.id, "_history") if part)
        return f"{place}?{urlencode(pairs)}" if pairs else place

    def _entry(self, stored: Stored, looks: Looks) -> Json:
        entry: Json = {"fullUrl": f"{self.base}/{stored.reference}"}
        if not stored.deleted:
            entry["resource"] = msgspec.Raw(shown(stored, looks))
        method, url, status = _request(stored)
        moment = stored.last_updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry["request"] = {"method": method, "url": url}
        entry["response"] = {"status": status, "etag": f'W/"{stored.version}"', "lastModified": moment}
        return entry


def _request(stored: Stored) -> tuple[str, str, str]:
    """What made this version, as far as versions can tell."""
    if stored.deleted:
        return "DELETE", stored.reference, "204 No Content"
    return ("POST", stored.type, "201 Created") if stored.version == 1 else ("PUT", stored.reference, "200 OK")
