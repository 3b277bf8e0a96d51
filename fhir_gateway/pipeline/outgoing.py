"""What the gateway sends of its own accord: leased from the outbox, put into bytes, and settled by what came of it.

The bytes are made here, from what is stored; the edge (`fhir_gateway.outbound`) only carries them. Every sending has a name that stays the same however
often it is tried (MSH-10, an identifier), so that a partner that got it twice because we crashed in between can tell.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from fhir_gateway import metrics
from fhir_gateway.errors import ConflictError, NotFoundError
from fhir_gateway.events import event
from fhir_gateway.pipeline import checks, hooks, requests, telling
from fhir_gateway.pipeline.authorisations import KIND as AUTHORISATION
from fhir_gateway.pipeline.authorisations import Authorisations
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.chasing import follow_up
from fhir_gateway.pipeline.delivery import Delivery, Outcome
from fhir_gateway.pipeline.eligibility import Enquiries
from fhir_gateway.pipeline.enquiry import KIND as ELIGIBILITY
from fhir_gateway.pipeline.payerview import VIEWS, show_next
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.settings import Settings
from fhir_gateway.store import Job, Store, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.payerview.projection import TURN

Json = dict[str, Any]
Prepare = Callable[[Transaction, Job, Settings], list[Delivery]]

LOCAL: Final = ("remind", "escalate", checks.KIND, TURN, VIEWS)
LEASE_FACTOR: Final = 20
"""A lease lasts this many times as long as one sending may take: a batch of slow partners ends within it, a worker that died is not missed for long."""
FIRST_WAIT: Final = 10.0
LONGEST_WAIT: Final = 3600.0
ANSWER_FILE: Final = timedelta(hours=24)
"""How long a payer that is asked by file may take: files are often worked on overnight."""

# Kind of job → what is to be sent for it, as things stand now; nothing when there is nobody to tell (any more).
PREPARE: Final[dict[str, Prepare]] = {
    "request": requests.record_requests,
    "opinion": requests.opinion,
    "hook": hooks.notification,
    "handshake": hooks.handshake,
    "reply": telling.reply,
    "answer": telling.answer,
}
# Kind of job → who turns a question to a payer into bytes, and what comes back into an answer.
ASKED: Final[dict[str, type[Enquiries] | type[Authorisations]]] = {ELIGIBILITY: Enquiries, AUTHORISATION: Authorisations}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Everything it needs, wired once."""

    store: Store
    casework: Casework
    settings: Settings
    clock: Callable[[], datetime]
    name: str = field(default_factory=new_id)

    def enquiries(self, kind: str) -> Enquiries | Authorisations | None:
        """What becomes of a question to a payer; None for a job that is none."""
        found = ASKED.get(kind)
        return found(self.casework, self.settings) if found else None

    def lease(self, n: int) -> list[Job]:
        """The next things to do. Nobody else is given them while the lease lasts."""
        now = self.clock()
        return self.store.run(
            GATEWAY, now, lambda tx: tx.outbox.lease(now, n, LEASE_FACTOR * self.settings.send_seconds, self.name, [*PREPARE, *LOCAL, *ASKED])
        )

    def claim(self, key: str) -> Job | None:
        """One thing by its name, to do it at once. None when it is done, or in somebody's hands."""
        now, seconds = self.clock(), LEASE_FACTOR * self.settings.send_seconds
        return self.store.run(GATEWAY, now, lambda tx: tx.outbox.claim(key, now, seconds, self.name))

    def prepare(self, job: Job) -> list[Delivery]:
        """What to send; a job that is the gateway's own affair is done here and now, and nothing is sent for it."""
        if job.kind in LOCAL:
            self._follow_up(job)
            return []
        if (asking := self.enquiries(job.kind)) is not None:
            now = self.clock()
            return self.store.run(GATEWAY, now, lambda tx: asking.prepare(tx, job, now))
        with self.store.snapshot(GATEWAY) as tx:
            return PREPARE[job.kind](tx, job, self.settings)

    def give_back(self, job: Job) -> None:
        """A job that was not begun: what goes before it in its lane has to be tried again."""
        self.store.run(GATEWAY, self.clock(), lambda tx: tx.outbox.release(job.pk, self.name))

    def settle(self, job: Job, outcome: Outcome) -> bool:
        """Say what came of it: done, to be tried again later, or given up; is it settled for good?"""
        now = self.clock()
        asking = self.enquiries(job.kind)

        def work(tx: Transaction) -> Literal["done", "again", "given-up"]:
            if outcome.good and asking is not None:
                return self._answered(tx, job, outcome, now, asking)
            if outcome.good:
                if tx.outbox.done(job.pk, self.name):
                    hooks.reached(tx, job)
                return "done"
            retry_at = None if outcome.final else self._retry_at(job, outcome, now)
            if tx.outbox.fail(job.pk, self.name, outcome.error, retry_at):
                hooks.missed(tx, job, outcome.error, gone=retry_at is None)
                if asking is not None:
                    asking.missed(tx, job, outcome, now, gone=retry_at is None)
            return "again" if retry_at else "given-up"

        became = self.store.run(GATEWAY, now, work)
        metrics.SENDINGS.labels(job.kind, became).inc()
        if became != "done":
            event(
                "not-delivered", "warning", job=job.pk, kind=job.kind, attempts=job.attempts, error=outcome.error or "not yet answered", became=became
            )
        return became != "again"

    def _retry_at(self, job: Job, outcome: Outcome, now: datetime) -> datetime | None:
        """The usual time, or the one it was told; where the other side wants to be left alone, not before that, but within the time there is."""
        usual = self.again(job, now, outcome.retry_at)
        if usual is None or outcome.retry_after is None:
            return usual
        return max(usual, now + timedelta(seconds=min(outcome.retry_after, self.settings.retry_hours * 3600)))

    def _answered(
        self, tx: Transaction, job: Job, outcome: Outcome, now: datetime, asking: Enquiries | Authorisations
    ) -> Literal["done", "again", "given-up"]:
        """A payer has answered, if only that it can't answer now: then it is asked again while there is time."""
        if not tx.outbox.done(job.pk, self.name):
            return "done"
        if outcome.answer is None and isinstance(asking, Enquiries):
            return self._handed_over(tx, job, now, asking)
        wanted = asking.taken(tx, job, outcome, now)
        retry_at = self.again(job, now, wanted) if wanted else None
        if retry_at is None:
            if wanted and isinstance(asking, Enquiries):
                asking.exhausted(tx, job, now)
            return "done"
        tx.outbox.reopen(job.pk, "the payer can't answer now", retry_at)
        return "again"

    def _handed_over(self, tx: Transaction, job: Job, now: datetime, asking: Enquiries) -> Literal["done", "given-up"]:
        """The question lies in a folder and its answer comes later (`pipeline.answerfiles`). Without one it is asked once more; then a person is told."""
        if now - job.queued_at < ANSWER_FILE:
            tx.outbox.reopen(job.pk, "handed over, not yet answered", now + ANSWER_FILE)
            return "done"
        asking.missed(tx, job, Outcome(good=False, error="no answer was laid down", final=True), now, gone=True)
        return "given-up"

    def again(self, job: Job, now: datetime, wanted: datetime | None = None) -> datetime | None:
        """Doubling from ten seconds to an hour, with jitter so that what failed together is not tried together; None when its time is over.

        wanted: not before then.
        """
        if now - job.queued_at >= timedelta(hours=self.settings.retry_hours):
            return None
        if wanted is not None:
            return wanted + timedelta(seconds=FIRST_WAIT * random.uniform(0.0, 1.0))  # noqa: S311 - not a secret
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(job.attempts - 1, 20))
        return now + timedelta(seconds=wait * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret

    def _follow_up(self, job: Job) -> None:
        now = self.clock()

        def work(tx: Transaction) -> None:
            if job.kind == TURN:
                if tx.outbox.done(job.pk, self.name):
                    tx.shares.settle(job.payload["patient"])
            elif job.kind == VIEWS:
                if tx.outbox.done(job.pk, self.name):
                    show_next(tx, job.payload)
            elif job.kind == checks.KIND:
                if tx.outbox.done(job.pk, self.name):
                    with suppress(NotFoundError, ConflictError):  # the case or its insurance went while this waited
                        self.casework.check(tx, job.payload["case"], now)
            elif tx.outbox.done(job.pk, self.name) and (changed := follow_up(tx, job.kind, job.payload, now)):
                self.casework.after(tx, [changed], now)

        self.store.run(GATEWAY, now, work)
