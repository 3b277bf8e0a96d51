"""The database engine, set up for each of the two databases served.

SQLite: WAL, synchronous=FULL (a commit is on disk), foreign keys, BEGIN IMMEDIATE for writers, one fair queue of writers per process.
PostgreSQL: READ COMMITTED for writers, who lock what they change; REPEATABLE READ, READ ONLY for snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

from fhir_gateway.store.errors import ConflictError, DatabaseUrlError
from fhir_gateway.store.fairlock import FairLock, lock_for
from fhir_gateway.store.kept import KeptConnections
from fhir_gateway.store.shared import SharedTransactions

WAIT_SECONDS: Final = 30.0
"""How long a writer waits for others before it gives up."""
STATEMENTS: Final = 512
"""Statements a SQLite connection keeps prepared: the driver's default of 128 is less than a mixed day has, and each costs as much again to prepare."""
_POSTGRES_OPTIONS: Final = f"-c timezone=UTC -c lock_timeout={int(WAIT_SECONDS * 1000)}"


class Database:
    """An engine and the way to begin on it. `dialect`: "sqlite" or "postgresql"."""

    def __init__(self, url: str, pool_size: int = 20) -> None:
        address = make_url(url)
        self.dialect = address.get_backend_name()
        self._writers: FairLock | None = None
        self._kept: KeptConnections | None = None
        self.shared: SharedTransactions | None = None
        """Where brief writers share a transaction; None where each has a journey of its own to make anyway, and they don't wait for each other."""
        if self.dialect == "sqlite":
            self.engine = _sqlite(address, pool_size)
            self._writers = lock_for(str(address.database))
            self._kept = KeptConnections(self.engine)
            self.shared = SharedTransactions(self._writers, WAIT_SECONDS)
        elif self.dialect == "postgresql":
            self.engine = _postgresql(address, pool_size)
        else:
            raise DatabaseUrlError(f"{self.dialect} is not served: use sqlite:///file or postgresql+psycopg://…")

    @property
    def missing(self) -> bool:
        """An embedded database whose file does not exist yet; looking into it would make an empty one."""
        return self.dialect == "sqlite" and not Path(str(self.engine.url.database)).exists()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a write transaction: commits on normal exit, rolls back on an exception. Raises ConflictError when its turn does not come."""
        if self._writers is None or self._kept is None:
            with self.engine.connect() as connection, connection.begin():
                yield connection
            return
        if not self._writers.acquire(WAIT_SECONDS):
            raise ConflictError("other writers held the database for too long")
        try:
            with self._kept.begun("BEGIN IMMEDIATE") as connection:
                yield connection
        finally:
            self._writers.release()

    def glance(self, steps: int | None) -> AbstractContextManager[Connection]:
        """A connection for one query. steps: what it may take of SQLite's machine; StepsSpentError beyond."""
        return self.read() if self._kept is None else self._kept.glance(steps)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one unchanging state of the database."""
        if self._kept is not None:
            with self._kept.begun("BEGIN") as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close every connection that nobody uses."""
        if self._kept is not None:
            self._kept.close()
        self.engine.dispose()


def _sqlite(address: URL, pool_size: int) -> Engine:
    if address.database in (None, "", ":memory:"):
        raise DatabaseUrlError("an in-memory database cannot keep what it acknowledged: use sqlite:///file")
    arguments = {"check_same_thread": False, "timeout": WAIT_SECONDS, "cached_statements": STATEMENTS}
    engine = create_engine(address, pool_size=pool_size, max_overflow=pool_size, connect_args=arguments)

    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing on its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA wal_autocheckpoint=4000")  # 16 MB: a quarter of the checkpoints of the default, each of which a writer waits for
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute("PRAGMA cache_size=-8000")  # 8 MB a connection: what a writer touches of its indexes outgrows the 2 MB of the default soon
        cursor.close()

    event.listen(engine, "connect", configure)
    return engine


def _postgresql(address: URL, pool_size: int) -> Engine:
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    return create_engine(
        address,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={} if "options" in address.query else {"options": _POSTGRES_OPTIONS},
    )
