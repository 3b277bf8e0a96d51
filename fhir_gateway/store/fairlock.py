"""A first-come, first-served lock, so that threads writing to one SQLite file queue instead of spinning on the file's lock.

SQLite itself lets waiting writers sleep and try again, in no order: under load some wait long while others pass them.
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary


class FairLock:
    """Not reentrant. The lock is handed to the thread that has waited longest."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._owner: int | None = None

    def acquire(self, seconds: float) -> bool:
        """True when the lock is held now, False when it was not to be had in that time. Raises RuntimeError when this thread holds it already."""
        me = threading.get_ident()
        with self._mutex:
            if self._owner == me:
                raise RuntimeError("a write transaction inside another one on the same SQLite database would wait for itself")
            if self._owner is None and not self._queue:
                self._owner = me
                return True
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        if turn.acquire(timeout=seconds):
            self._owner = me
            return True
        with self._mutex:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
        self._owner = me  # handed over while giving up
        return True

    @property
    def mine(self) -> bool:
        """Does this thread hold the lock?"""
        return self._owner == threading.get_ident()

    def release(self) -> None:
        """Hand the lock on."""
        with self._mutex:
            if self._queue:
                self._owner = -1  # nobody's yet, but not free: the next in line takes it
                self._queue.popleft().release()
            else:
                self._owner = None


_LOCKS: Final[WeakValueDictionary[str, FairLock]] = WeakValueDictionary()
_LOCKS_MUTEX: Final = threading.Lock()


def lock_for(path: str) -> FairLock:
    """The lock of a database file: one per process, however many stores open the file."""
    name = str(Path(path).resolve())
    with _LOCKS_MUTEX:
        lock = _LOCKS.get(name)
        if lock is None:
            lock = _LOCKS[name] = FairLock()
        return lock
