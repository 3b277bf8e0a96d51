"""Connections of the embedded database that stay as they are between transactions.

Taking one from SQLAlchemy's pool, beginning and ending on it costs more than a look-up by primary key. Here a transaction begins and ends by one statement
of the driver on a connection that nobody else uses; SQLAlchemy sees one long transaction and has no part in it.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from fhir_gateway.store.errors import StepsSpentError

STRIDE: Final = 1_000


class KeptConnections:
    """As many as were ever used at once; safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._free: deque[Connection] = deque()

    @contextmanager
    def glance(self, steps: int | None) -> Iterator[Connection]:
        """A connection for one query, which sees one state without a transaction around it.

        steps: what it may take of SQLite's machine, give or take `STRIDE`. Raises StepsSpentError beyond.
        """
        connection = self._take()
        raw: Any = connection.connection.dbapi_connection
        if steps is not None:
            raw.set_progress_handler(_Budget(steps).stop, STRIDE)
        try:
            yield connection
        except OperationalError as fault:
            if getattr(fault.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise StepsSpentError(f"more than {steps} steps") from None
            raise
        finally:
            if steps is not None:
                raw.set_progress_handler(None, 0)
            self._give_back(connection, raw)

    @contextmanager
    def begun(self, how: Literal["BEGIN", "BEGIN IMMEDIATE"]) -> Iterator[Connection]:
        """A connection in a transaction: commits on normal exit, rolls back on an exception. Raises as SQLAlchemy does."""
        connection = self._take()
        raw: Any = connection.connection.dbapi_connection
        try:
            _tell(connection, raw, how)
            yield connection
            _tell(connection, raw, "COMMIT")
        finally:
            self._give_back(connection, raw)

    def close(self) -> None:
        """Close those that nobody uses."""
        while True:
            try:
                self._free.pop().close()
            except IndexError:
                return

    def _take(self) -> Connection:
        try:
            return self._free.pop()  # the one used last: its pages are still at hand
        except IndexError:
            return self._engine.connect()

    def _give_back(self, connection: Connection, raw: sqlite3.Connection) -> None:
        try:
            if raw.in_transaction:
                raw.rollback()
        except sqlite3.Error:
            connection.invalidate()  # nobody knows what it is in the middle of
        if connection.invalidated:
            connection.close()
        else:
            self._free.append(connection)


class _Budget:
    """Counts by itself: SQLite goes on counting where the last execution of the same prepared statement ended."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def stop(self) -> bool:
        """Called every `STRIDE` steps; True ends the statement."""
        self._left -= STRIDE
        return self._left < 0


def _tell(connection: Connection, raw: sqlite3.Connection, text: str) -> None:
    try:
        raw.execute(text)
    except sqlite3.Error as fault:
        connection._handle_dbapi_exception(fault, text, (), None, None)
