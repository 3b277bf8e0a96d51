"""The worker: re-evaluates cases whose time has come. One thread per process; several processes share the work through the store.

Each round is idempotent: a crash in the middle repeats at most one case's evaluation, which gives the same answer.
"""

from __future__ import annotations

import threading
from typing import Protocol

from fhir_gateway.events import event


class Rounds(Protocol):
    """What the worker needs of the pipeline."""

    def evaluate_due(self, limit: int) -> int:
        """Re-evaluate up to `limit` cases whose next change is past; how many there were."""


class Worker:
    """Runs rounds until stopped; a failing round is logged and tried again at the next beat."""

    def __init__(self, rounds: Rounds, beat: float) -> None:
        self._rounds = rounds
        self._beat = beat
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Is the thread running?"""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin working."""
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the round under way and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                while self._rounds.evaluate_due(100) and not self._stop.is_set():
                    continue
            except Exception as fault:  # noqa: BLE001 - one bad round must not end all later ones; it is logged and tried again
                event("worker-failed", "error", task="evaluate", error=type(fault).__name__)
            self._stop.wait(self._beat)
