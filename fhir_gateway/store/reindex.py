"""Rebuilding what is derived from resources: search rows and record rows. To be run after the search parameters or the record table have changed.

Batch by batch, each in its own transaction, so that writers are not kept out; interrupted, it may simply be run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select

from fhir_gateway.store import tables
from fhir_gateway.store.links import Link
from fhir_gateway.store.records import RECORDS, Aspect, aspect, insert_records, lock_names
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search.projection import SearchProjection
from fhir_gateway.store.stored import Stored, decode
from fhir_gateway.store.work import Work, Written

_R: Final = tables.resource
_V: Final = tables.version
_T: Final = tables.record
_NEXT: Final = select(*COLUMNS).where(_R.c.pk > bindparam("after")).order_by(_R.c.pk).limit(bindparam("size")).with_for_update()
_OLDER: Final = select(_V.c.resource, _V.c.last_updated, _V.c.deleted, _V.c.body).where(_V.c.resource == bindparam("pk")).order_by(_V.c.version)


def size(work: Work) -> int:
    """How many resources there are to go through."""
    return int(work.execute(select(func.count()).select_from(_R)).scalar_one())


def batch(work: Work, search: SearchProjection, after: int, size: int) -> tuple[int, int]:
    """Rebuild the rows of the next `size` resources after a surrogate key. Returns the last key and how many there were (0: finished)."""
    rows = work.execute(_NEXT, {"after": after, "size": size}).all()
    if not rows:
        return after, 0
    written = [Written(row.pk, stored_of(row), created=False) for row in rows]
    search.write(work, written)
    _rebuild_records(work, [one for one in written if one.stored.type in RECORDS])
    work.flush()
    return rows[-1].pk, len(rows)


def _rebuild_records(work: Work, records: Sequence[Written]) -> None:
    stretches = {one.pk: list(_stretches(work, one)) for one in records}
    work.lock(name for found in stretches.values() for _, _, now in found for name in lock_names(now))
    for one in records:
        work.execute(delete(tables.record_link).where(tables.record_link.c.record.in_(select(_T.c.pk).where(_T.c.resource == one.pk))))
        work.execute(delete(_T).where(_T.c.resource == one.pk))
        for since, until, found in stretches[one.pk]:
            row = {"resource": one.pk, "patient_id": found.patient_id, "since": since, "until": until, "orphan": True}
            links: dict[int, frozenset[Link]] = {one.pk: found.links}
            insert_records(work, [row], links)


def _stretches(work: Work, one: Written) -> Iterator[tuple[Any, Any, Aspect]]:
    """(since, until, aspect) from every version of a record, oldest first; equal neighbours are one stretch."""
    since: Any = None
    held: Aspect | None = None
    for moment, found in _aspects(work, one.pk, one.stored):
        if found == held:
            continue
        if held is not None:
            yield since, moment, held
        since, held = moment, found
    if held is not None:
        yield since, None, held


def _aspects(work: Work, pk: int, current: Stored) -> Iterator[tuple[Any, Aspect | None]]:
    for row in work.execute(_OLDER, {"pk": pk}):
        yield row.last_updated, None if row.deleted else aspect(decode(row.body))
    yield current.last_updated, None if current.deleted else aspect(current.resource)
