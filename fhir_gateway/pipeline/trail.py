"""The audit of reads, committed in groups: a read is answered only when its trace is on disk, and reads that wait together share one commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from fhir_gateway.store import Act, Store


class _Noted:
    """One act waiting for its commit."""

    __slots__ = ("act", "done")

    def __init__(self, act: Act) -> None:
        self.act, self.done = act, False


class Trail:
    """Leader and followers: whoever gets the commit first writes for everyone queued behind; the others find their act done."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._queue: list[_Noted] = []
        self._queueing, self._committing = threading.Lock(), threading.Lock()

    def note(self, act: Act) -> None:
        """Returns when the act is on disk. Raises what the database raises: what can't be audited is not answered."""
        mine = _Noted(act)
        with self._queueing:
            self._queue.append(mine)
        with self._committing:
            if mine.done:
                return
            with self._queueing:
                batch, self._queue = self._queue, []
            self._store.audit([noted.act for noted in batch], self._clock())
            for noted in batch:
                noted.done = True
