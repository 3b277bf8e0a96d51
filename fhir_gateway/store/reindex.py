"""Rebuilding what is derived from resources: search rows, links of Patients, records, what payers are shown. For when their parameters or tables changed.

Batch by batch, each in its own transaction, so that writers are not kept out; interrupted, it may simply be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import bindparam, delete, func, select

from fhir_gateway.store import identities, orphans, tables
from fhir_gateway.store.links import Link
from fhir_gateway.store.payerview.projection import ShareProjection
from fhir_gateway.store.payerview.shares import PATIENT, patient_of
from fhir_gateway.store.records import RECORDS, aspect, insert_records, lock_names
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search.projection import SearchProjection
from fhir_gateway.store.stored import Json, decode
from fhir_gateway.store.work import Work, Written

T = TypeVar("T")
_R: Final = tables.resource
_V: Final = tables.version
_T: Final = tables.record
_L: Final = tables.patient_link
_NEXT: Final = select(*COLUMNS).where(_R.c.pk > bindparam("after")).order_by(_R.c.pk).limit(bindparam("size")).with_for_update()
_OLDER: Final = select(_V.c.resource, _V.c.last_updated, _V.c.deleted, _V.c.body).where(_V.c.resource == bindparam("pk")).order_by(_V.c.version)


def size(work: Work) -> int:
    """How many resources there are to go through."""
    return int(work.execute(select(func.count()).select_from(_R)).scalar_one())


def batch(work: Work, search: SearchProjection, shares: ShareProjection, after: int, size: int) -> tuple[int, int]:
    """Rebuild the rows of the next `size` resources after a surrogate key. Returns the last key and how many there were (0: finished)."""
    rows = work.execute(_NEXT, {"after": after, "size": size}).all()
    if not rows:
        return after, 0
    written = [Written(row.pk, stored_of(row), created=False) for row in rows]
    search.write(work, written)
    _rebuild_links(work, [one for one in written if one.stored.type == "Patient"])
    _rebuild_records(work, [one for one in written if one.stored.type in RECORDS])
    work.flush()
    shares.settle(work, {patient_of(one.stored.resource) for one in written if one.stored.type in PATIENT} - {""})
    return rows[-1].pk, len(rows)


def _rebuild_links(work: Work, patients: Sequence[Written]) -> None:
    for one in patients:
        open_rows: dict[identities.Link, dict[str, Any]] = {}
        rows: list[dict[str, Any]] = []
        for moment, links in _read(work, one, identities.links_of):
            for link in open_rows.keys() - (links or frozenset()):
                open_rows.pop(link)["until"] = moment
            for link in sorted((links or frozenset()) - open_rows.keys()):
                open_rows[link] = identities.row(one.pk, link, moment)
                rows.append(open_rows[link])
        work.execute(delete(_L).where(_L.c.resource == one.pk))
        if rows:
            work.execute(_L.insert(), rows)
            work.people.clear()
            orphans.settle(work, identities.person(work, one.stored.id))


def _rebuild_records(work: Work, records: Sequence[Written]) -> None:
    stretches = {one.pk: list(_stretches(work, one, aspect)) for one in records}
    work.lock(name for found in stretches.values() for _, _, now in found for name in lock_names(now))
    for one in records:
        expired = work.execute(select(_T.c.expired).where(_T.c.resource == one.pk, _T.c.until.is_(None))).scalar()
        work.execute(delete(tables.record_link).where(tables.record_link.c.record.in_(select(_T.c.pk).where(_T.c.resource == one.pk))))
        work.execute(delete(_T).where(_T.c.resource == one.pk))
        for since, until, found in stretches[one.pk]:
            row: dict[str, Any] = {"resource": one.pk, "patient_id": found.patient_id, "since": since, "until": until, "orphan": True}
            row["expired"] = expired if until is None else None
            links: dict[int, frozenset[Link]] = {one.pk: found.links}
            insert_records(work, [row], links)


def _stretches(work: Work, one: Written, of: Callable[[Json], T | None]) -> Iterator[tuple[Any, Any, T]]:
    """(since, until, what `of` reads) from every version of a resource, oldest first; equal neighbours are one stretch."""
    since: Any = None
    held: T | None = None
    for moment, found in _read(work, one, of):
        if found == held:
            continue
        if held is not None:
            yield since, moment, held
        since, held = moment, found
    if held is not None:
        yield since, None, held


def _read(work: Work, one: Written, of: Callable[[Json], T | None]) -> Iterator[tuple[Any, T | None]]:
    for row in work.execute(_OLDER, {"pk": one.pk}):
        yield row.last_updated, None if row.deleted else of(decode(row.body))
    yield one.stored.last_updated, None if one.stored.deleted else of(one.stored.resource)
