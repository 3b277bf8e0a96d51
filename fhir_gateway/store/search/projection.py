"""Keeps search rows in step with resources: written with a new one, rewritten with a changed one, removed with a deleted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete

from fhir_gateway.store import tables
from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.work import Work, Written

SEARCH_TABLES: Final = (tables.token, tables.string, tables.reference, tables.date, tables.quantity)
_REMOVE: Final = tuple(delete(table).where(table.c.resource == bindparam("pk")) for table in SEARCH_TABLES)


class SearchProjection:
    """The search rows of the resources written."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    def write(self, work: Work, written: Sequence[Written]) -> None:
        """See Projection. A resource written twice in one transaction keeps only the rows of its last version."""
        last = {one.pk: one for one in written}
        changed = [one.pk for one in last.values() if not one.created]
        for pk in changed:
            for statement in _REMOVE:
                work.execute(statement, {"pk": pk})
        for one in last.values():
            if not one.stored.deleted:
                for table, rows in self._index.rows(one.stored.resource, one.pk).items():
                    work.queue_values(table, rows)
