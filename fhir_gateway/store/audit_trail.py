"""Acts that have no transaction of their own (reads), gathered and committed together by one thread.

A read does not wait for the disk. What is gathered is committed within `SECONDS`, and when the store is closed; if the machine stops in between, the
acts of that moment are lost, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from fhir_gateway.store.audit import Act

SECONDS: Final = 0.2
MOST: Final = 10_000
"""Acts that may wait; a caller that would exceed it writes them itself, so memory is bounded and nothing is dropped."""


class AuditTrail:
    """write: commits acts. The thread is started by the first act and ends with `close`."""

    def __init__(self, write: Callable[[Sequence[Act]], None]) -> None:
        self._write = write
        self._acts: list[Act] = []
        self._under_way: list[list[Act]] = []
        self._mutex = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def add(self, act: Act) -> None:
        """Note an act. Raises what writing raises when too many wait already."""
        with self._mutex:
            self._acts.append(act)
            full = len(self._acts) >= MOST
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit-trail", daemon=True)
                self._thread.start()
        if not self._wanted.is_set():
            self._wanted.set()
        if full:
            self.flush()

    def flush(self) -> None:
        """Commit what waits. What could not be written waits on."""
        with self._mutex:
            acts, self._acts = self._acts, []
            if not acts:
                return
            self._under_way.append(acts)
        try:
            self._write(acts)
        except Exception:
            with self._mutex:
                self._acts = acts + self._acts
            raise
        finally:
            with self._mutex:
                self._under_way = [batch for batch in self._under_way if batch is not acts]

    def waiting(self, type: str, id: str) -> list[Act]:
        """Acts on one resource that are not committed yet, or only just: whoever read it a moment ago."""
        with self._mutex:
            return [act for batch in (*self._under_way, self._acts) for act in batch if (act.type, act.id) == (type, id)]

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._wanted.clear()
            self._closing.wait(SECONDS)
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - the acts wait on, and readiness shows that the database is away
                self._wanted.set()
