"""The store: where everything the gateway knows is kept, asked in the domain's words and on someone's behalf."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import audit, migrate
from fhir_gateway.store.engine import Database
from fhir_gateway.store.errors import ConflictError
from fhir_gateway.store.retry import ATTEMPTS, is_transient, pause
from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.search.projection import SearchProjection
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
        self._projections = (SearchProjection(index or SearchIndex.load()),)
        self.dialect = self._database.dialect

    def upgrade(self) -> None:
        """Bring the tables to the version this program was written for; several processes may do so at once."""
        migrate.upgrade(self._database)

    def check(self) -> bool:
        """Are the tables at that version? Raises the driver's error when the database cannot be reached."""
        return migrate.at_head(self._database)

    def ready(self) -> bool:
        """Can the database be read, and is it at the right version?"""
        try:
            return self.check()
        except SQLAlchemyError:
            return False

    @contextmanager
    def transaction(self, principal: Principal, now: datetime) -> Iterator[Transaction]:
        """A write transaction: commits on normal exit (durably), rolls back on any exception. now: aware; the time of everything written."""
        with self._database.write() as connection:
            work = Work(connection, self.dialect, now.astimezone(UTC), self._projections)
            yield Transaction(work, principal)
            work.flush()

    @contextmanager
    def snapshot(self, principal: Principal) -> Iterator[Transaction]:
        """One unchanging view of the database; writes raise ReadOnlyError."""
        with self._database.read() as connection:
            yield Transaction(Work(connection, self.dialect, None), principal)

    def run(self, principal: Principal, now: datetime, work: Callable[[Transaction], T]) -> T:
        """`work` in a transaction, started over when another transaction was in the way. It must not do anything outside the transaction.

        Raises ConflictError after the last try, and whatever `work` raises.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transaction(principal, now) as tx:
                    return work(tx)
            except Exception as error:
                if not is_transient(error):
                    raise
                if attempt == ATTEMPTS:
                    raise ConflictError("other writers kept getting in the way; nothing was written") from error
            time.sleep(pause(attempt))
        raise AssertionError("unreachable")

    def audit(self, acts: Sequence[audit.Act], now: datetime) -> None:
        """Write acts that have no transaction of their own (reads), many at once."""
        with self.transaction(GATEWAY, now) as tx:
            tx.audit.append_all(acts)

    def close(self) -> None:
        """Close every connection."""
        self._database.dispose()
