"""The store: where everything the gateway knows is kept, asked in the domain's words and on someone's behalf."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import migrate, reindex, statistics
from fhir_gateway.store.audit import Act
from fhir_gateway.store.audit_trail import AuditTrail
from fhir_gateway.store.engine import Database
from fhir_gateway.store.errors import ConflictError
from fhir_gateway.store.identities import LinkProjection
from fhir_gateway.store.payerview.projection import PayersOf, ShareProjection
from fhir_gateway.store.records import RecordProjection
from fhir_gateway.store.retry import ATTEMPTS, has_waited, is_transient, pause
from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.search.projection import SearchProjection
from fhir_gateway.store.shared import AloneError, Company
from fhir_gateway.store.statistics import Statistics
from fhir_gateway.store.transaction import Transaction
from fhir_gateway.store.work import Work

T = TypeVar("T")


class Store:
    """One database. Safe to share between threads; a transaction belongs to the thread that began it."""

    def __init__(self, url: str, pool_size: int = 20, index: SearchIndex | None = None) -> None:
        """url: `sqlite:///file` or `postgresql+psycopg://…`; index: the shipped search parameters unless given. Opens nothing yet.

        Raises DatabaseUrlError.
        """
        self._database = Database(url, pool_size)
        self._search = SearchProjection(index or SearchIndex.load())
        self._shares = ShareProjection()
        self._projections = (self._search, LinkProjection(), RecordProjection(), self._shares)
        self._trail = AuditTrail(self._write_acts)
        self.dialect = self._database.dialect

    def knows_payers(self, source: PayersOf | None, zone: tzinfo = UTC) -> None:
        """Say who tells which payer some payors mean; without it, or with None, no payer is shown anything that is written from now on. zone: the clinic's."""
        self._shares.source, self._shares.zone = source, zone

    def upgrade(self) -> None:
        """Bring the tables to the version this program was written for; several processes may do so at once."""
        migrate.upgrade(self._database)

    def check(self) -> bool:
        """Are the tables at that version? Raises the driver's error when the database cannot be reached."""
        return migrate.at_head(self._database)

    def ready(self) -> bool:
        """Can the database be read, and is it at the right version?"""
        try:
            return not self._database.missing and self.check()
        except SQLAlchemyError:
            return False

    @contextmanager
    def transaction(self, principal: Principal, now: datetime) -> Iterator[Transaction]:
        """A write transaction: commits on normal exit (durably), rolls back on any exception. now: aware; the time of everything written."""
        with self._database.write() as connection:
            work = self._begun(connection, now)
            yield Transaction(work, principal)
            work.flush()

    @contextmanager
    def snapshot(self, principal: Principal) -> Iterator[Transaction]:
        """One unchanging view of the database; writes raise ReadOnlyError."""
        with self._database.read() as connection:
            yield Transaction(Work(connection, self.dialect, None), principal)

    @contextmanager
    def glance(self, principal: Principal, steps: int | None = None) -> Iterator[Transaction]:
        """A snapshot for what takes one query: a read by id, a page of a plain search. A payer, whose view takes several, gets a whole one.

        steps: on the embedded database, what the query may take of SQLite's machine (some 20,000 are a millisecond). Raises StepsSpentError beyond.
        """
        if principal.role == "payer":
            with self.snapshot(principal) as tx:
                yield tx
            return
        with self._database.glance(steps) as connection:
            yield Transaction(Work(connection, self.dialect, None), principal)

    def run(self, principal: Principal, now: datetime, work: Callable[[Transaction], T], *, brief: bool = False) -> T:
        """`work` in a transaction, started over when another transaction was in the way. It must not do anything outside the transaction.

        brief: it takes some milliseconds, so that others may do theirs in the same transaction (`store.shared`). Raises ConflictError after the last try,
        and whatever `work` raises.
        """
        shared = self._database.shared if brief else None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if shared is not None:
                    return shared.run(lambda connection, company: self._in_company(connection, company, principal, now, work), self._database.write)
                with self.transaction(principal, now) as tx:
                    return work(tx)
            except AloneError:
                shared = None
                continue
            except Exception as error:
                if has_waited(error):
                    raise ConflictError("other writers held what this one needed for too long; nothing was written") from error
                if not is_transient(error):
                    raise
                if attempt == ATTEMPTS:
                    raise ConflictError("other writers kept getting in the way; nothing was written") from error
            time.sleep(pause(attempt))
        raise AssertionError("unreachable")

    def _begun(self, connection: Connection, now: datetime) -> Work:
        work = Work(connection, self.dialect, now.astimezone(UTC), self._projections)
        work.acts, work.shares = self._trail.waiting, self._shares
        return work

    def _in_company(self, connection: Connection, company: Company, principal: Principal, now: datetime, work: Callable[[Transaction], T]) -> T:
        begun = self._begun(connection, now)
        begun.types = company.types
        result = work(Transaction(begun, principal))
        begun.flush()
        return result

    def audit_later(self, principal: Principal, action: str, type: str, id: str, at: datetime, detail: str = "") -> None:
        """Note an act that has no transaction of its own (a read); committed with others within a moment."""
        self._trail.add(Act(principal, action, type, id, detail=detail, at=at))

    def flush_audit(self) -> None:
        """Commit the acts noted by `audit_later` now."""
        self._trail.flush()

    def statistics(self, now: datetime) -> Statistics:
        """What waits to be done."""
        with self._database.read() as connection:
            return statistics.read(Work(connection, self.dialect, None), now.astimezone(UTC))

    def size(self) -> int:
        """How many resources there are, deleted ones included."""
        with self._database.read() as connection:
            return reindex.size(Work(connection, self.dialect, None))

    def reindex(self, now: datetime, size: int = 200, progress: Callable[[int], None] | None = None) -> int:
        """Rebuild search and record rows, and what payers are shown, from the stored resources; how many resources there were. progress: told how many are done."""
        after = total = 0
        while True:
            with self._database.write() as connection:
                work = Work(connection, self.dialect, now.astimezone(UTC))
                after, count = reindex.batch(work, self._search, self._shares, after, size)
            if count == 0:
                return total
            total += count
            if progress is not None:
                progress(total)

    def close(self) -> None:
        """Commit what waits and close every connection."""
        self._trail.close()
        self._database.dispose()

    def _write_acts(self, acts: Sequence[Act]) -> None:
        with self.transaction(GATEWAY, datetime.now(UTC)) as tx:
            tx.audit.append_all(acts)
