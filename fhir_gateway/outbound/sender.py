"""The sending half of the worker: takes what is due from the outbox and carries it out, several partners at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fhir_gateway.pipeline.delivery import Delivery, Later, Outcome, Unsendable
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
        """Do what is due, each lane in its order; how many things there were."""
        jobs = self._outgoing.lease(BATCH)
        lanes: dict[str, list[Job]] = {}
        for job in jobs:
            lanes.setdefault(job.lane or job.key, []).append(job)
        if lanes:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sender") as pool:
                list(pool.map(self._lane, lanes.values()))
        return len(jobs)

    def _lane(self, jobs: Sequence[Job]) -> None:
        held_up = False
        for job in sorted(jobs, key=lambda job: job.pk):
            if held_up:
                self._outgoing.give_back(job)
            else:
                held_up = not self._one(job)

    def _one(self, job: Job) -> bool:
        """Do one thing; may what is behind it in its lane go on?"""
        try:
            outcome = Outcome(good=True)
            for delivery in self._outgoing.prepare(job):
                outcome = self._carriers[delivery.channel](delivery, delivery.seconds or self._seconds)
                if not outcome.good:
                    break
        except Later as rest:
            outcome = Outcome(good=False, error=str(rest), retry_at=rest.at)
        except Unsendable as why:
            outcome = Outcome(good=False, error=str(why), final=True)
        except Exception as fault:  # noqa: BLE001 - one job that can't be put into bytes must not hold up the others
            outcome = Outcome(good=False, error=type(fault).__name__)
        return self._outgoing.settle(job, outcome)
