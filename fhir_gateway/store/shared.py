"""Brief writers of one process that wait for the same embedded database share a transaction, and with it the wait for the disk.

Whoever comes first leads: it begins, does its own work and then, on its own thread, that of those who came meanwhile, one after the other, and commits
once for all of them. Nobody is answered before that. The others sleep until then instead of taking the interpreter from the one who works, which costs
more than the disk does.

Each work is still all or nothing: when one fails after it has written something, or the commit fails, the whole is undone and each does its own again in a
transaction of its own. One that fails before it has written anything (most refusals) just has its error, and the others go on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import Connection

from fhir_gateway.store.errors import ConflictError
from fhir_gateway.store.fairlock import FairLock
from fhir_gateway.store.prepared import driver

T = TypeVar("T")

SECONDS: Final = 0.010
"""A leader that has worked this long takes no more on: the first of those it works for waits no longer than that, and one work, for the others."""
MOST: Final = 16
"""Works in one transaction."""


class Company:
    """What one shared transaction knows of itself. types: of the resources written in it, by whomever: nobody knows yet whether they will be committed."""

    def __init__(self) -> None:
        self.types: set[str] = set()


Do = Callable[[Connection, Company], T]
Begin = Callable[[], AbstractContextManager[Connection]]


class AloneError(Exception):
    """The shared transaction was undone: do this work again in one of its own."""


class _Ride(Generic[T]):
    """One work and what became of it."""

    def __init__(self, do: Do[T]) -> None:
        self.do = do
        self.context: Context | None = None
        self.turn = threading.Lock()
        self.turn.acquire()
        self.leads = False
        self.result: T | None = None
        self.error: Exception | None = None

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return cast("T", self.result)


class SharedTransactions:
    """writers: held by a write transaction. wait: seconds a work waits for its turn at most."""

    def __init__(self, writers: FairLock, wait: float) -> None:
        self._writers, self._wait = writers, wait
        self._mutex = threading.Lock()
        self._queue: deque[_Ride[Any]] = deque()
        self._led = False

    def run(self, do: Do[T], begin: Begin) -> T:
        """What `do` returns, once it is committed. It is called on some thread of this process, in the context of the caller.

        begin: a write transaction that commits when it is left, and is undone by an exception. Raises what `do` raises, ConflictError when its turn
        does not come, AloneError when it has to be done again, RuntimeError inside a transaction.
        """
        if self._writers.mine:
            raise RuntimeError("a write transaction inside another one on the same SQLite database would wait for itself")
        mine: _Ride[T] = _Ride(do)
        with self._mutex:
            if self._led:
                mine.context = copy_context()
                self._queue.append(mine)
            else:
                self._led = mine.leads = True
        if not mine.leads and not mine.turn.acquire(timeout=self._wait):
            with self._mutex:
                if mine in self._queue:
                    self._queue.remove(mine)
                    raise ConflictError("other writers held the database for too long")
            mine.turn.acquire()  # it is being done, or is to lead, just now
        if mine.leads:
            self._lead(mine, begin)
        return mine.outcome()

    def _lead(self, mine: _Ride[Any], begin: Begin) -> None:
        rides = [mine]
        try:
            self._together(mine, rides, begin)
        except BaseException as fault:
            for ride in rides[1:]:
                ride.error = AloneError()
            if len(rides) > 1 and isinstance(fault, Exception):
                raise AloneError from fault
            raise
        finally:
            with self._mutex:
                following = self._queue.popleft() if self._queue else None
                self._led = following is not None
            for ride in rides[1:]:
                ride.turn.release()
            if following is not None:
                following.leads = True
                following.turn.release()

    def _together(self, mine: _Ride[Any], rides: list[_Ride[Any]], begin: Begin) -> None:
        """Do the leader's work and that of whoever waits; who has been taken on is in `rides`. Raises what undid it all."""
        company = Company()
        with begin() as connection:
            raw = driver(connection)
            end = time.monotonic() + SECONDS
            mine.result = mine.do(connection, company)
            while len(rides) < MOST and self._queue and time.monotonic() < end:
                with self._mutex:
                    if not self._queue:  # its wait was over
                        break
                    rides.append(ride := self._queue.popleft())
                before = raw.total_changes
                assert ride.context is not None
                try:
                    ride.result = ride.context.run(ride.do, connection, company)
                except Exception as fault:
                    if raw.total_changes != before or not raw.in_transaction:
                        raise
                    ride.error = fault
