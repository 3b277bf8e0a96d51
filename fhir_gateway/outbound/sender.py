"""The sending half of the worker: takes what is due from the outbox and carries it out, several partners at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fhir_gateway.pipeline.delivery import Delivery, Outcome
from fhir_gateway.pipeline.outgoing import Outgoing
from fhir_gateway.store import Job

Carry = Callable[[Delivery, float], Outcome]
"""Carry a delivery within some seconds; never raises for what the other side does."""
AT_ONCE: Final = 4
BATCH: Final = 16


class Sender:
    """One round sends what is due now. A partner that hangs holds one of AT_ONCE places for at most `seconds` per delivery."""

    def __init__(self, outgoing: Outgoing, carriers: Mapping[str, Carry], seconds: float) -> None:
        """carriers: by channel (`Delivery.channel`)."""
        self._outgoing = outgoing
        self._carriers = carriers
        self._seconds = seconds

    def round(self) -> int:
        """Do what is due; how many things there were."""
        jobs = self._outgoing.lease(BATCH)
        if jobs:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sender") as pool:
                list(pool.map(self._one, jobs))
        return len(jobs)

    def _one(self, job: Job) -> None:
        try:
            outcome = Outcome(good=True)
            for delivery in self._outgoing.prepare(job):
                outcome = self._carriers[delivery.channel](delivery, self._seconds)
                if not outcome.good:
                    break
        except Exception as fault:  # noqa: BLE001 - one job that can't be put into bytes must not hold up the others
            outcome = Outcome(good=False, error=type(fault).__name__)
        self._outgoing.settle(job, outcome)
