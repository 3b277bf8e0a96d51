"""The worker: what is done because time passes or because the outbox holds something. One thread per task; several processes share the work through the
store.

Each round is idempotent: a crash in the middle repeats at most what was under way, which gives the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from fhir_gateway.events import event

Round = Callable[[], int]
"""Do some of what is due; how much there was. A full round is followed by another at once."""


class Worker:
    """Runs rounds until stopped; a failing round is logged and tried again at the next beat."""

    def __init__(self, rounds: Mapping[str, Round], beat: float) -> None:
        """rounds: by the name of the task."""
        self._rounds = rounds
        self._beat = beat
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        """Are all threads running?"""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Begin working."""
        self._threads = [threading.Thread(target=self._run, args=(name,), name=f"worker-{name}", daemon=True) for name in self._rounds]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the rounds under way and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout)

    def _run(self, name: str) -> None:
        while not self._stop.is_set():
            try:
                while self._rounds[name]() and not self._stop.is_set():
                    continue
            except Exception as fault:  # noqa: BLE001 - one bad round must not end all later ones; it is logged and tried again
                event("worker-failed", "error", task=name, error=type(fault).__name__)
            self._stop.wait(self._beat)
