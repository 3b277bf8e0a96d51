"""Answers of payers that come as files: each 271 is matched by its number to the question it answers; what is nobody's stays in the inbox, refused.

One file is one transaction. The same file twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_gateway.events import event
from fhir_gateway.pipeline import payerx12
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.delivery import Unsendable
from fhir_gateway.pipeline.eligibility import Enquiries
from fhir_gateway.pipeline.outgoing import Outgoing
from fhir_gateway.pipeline.traces import keys_of
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import InboxEntry, Job, Store, Transaction, content_hash
from fhir_gateway.store.ids import new_id
from mappers import x12

Json = dict[str, Any]
LARGEST: Final = 16 * 1024 * 1024
"""The largest file that is read; of a larger one the beginning is kept."""
TYPE: Final = "271"


@dataclass(frozen=True, slots=True)
class AnswerFiles:
    """Everything it needs, wired once."""

    store: Store
    casework: Casework
    outgoing: Outgoing
    clock: Callable[[], datetime]

    def folders(self) -> list[tuple[str, str]]:
        """(payer, folder) of every payer that is asked by file."""
        with self.store.snapshot(GATEWAY) as tx:
            payers = self.casework.payers.all(tx).values()
        return [(payer.name, payer.x12.folder) for payer in payers if payer.channel == "x12" and payer.x12 and payer.x12.folder]

    def take(self, payer: str, name: str, raw: bytes) -> None:
        """Take the answers of one file. payer: whose folder it lay in; nobody else's questions are answered by it. name: of the file."""
        now = self.clock()

        def work(tx: Transaction) -> tuple[str, int, int] | None:
            if tx.inbox.find_same(payer, name, content_hash(raw)) is not None:
                return None
            id = new_id()
            taken, findings = self._taken(tx, id, payer, raw, now)
            tx.inbox.add(
                channel="payer",
                id=id,
                sender=payer,
                control_id=name,
                message_type=TYPE,
                raw=raw[:LARGEST],
                size=len(raw),
                content_hash=content_hash(raw),
                state="refused" if findings else "processed",
                findings=findings or None,
                answer_type=payerx12.X12,
            )
            return id, taken, len(findings)

        if found := self.store.run(GATEWAY, now, work):
            id, taken, unmatched = found
            event("payer-answer-file", "warning" if unmatched else "info", inbox=id, payer=payer, answers=taken, unmatched=unmatched)

    def finish(self, entry: InboxEntry) -> None:
        """Take a refused file once more: what its answers belong to may be known by now."""
        now = self.clock()

        def work(tx: Transaction) -> None:
            _, findings = self._taken(tx, entry.id, entry.sender, entry.raw, now) if entry.message_type == TYPE else (0, entry.findings or [])
            tx.inbox.settle(entry.id, "refused" if findings else "processed", findings=findings)

        self.store.run(GATEWAY, now, work)

    def _taken(self, tx: Transaction, id: str, payer: str, raw: bytes, now: datetime) -> tuple[int, list[Json]]:
        """How many answers found their question, and what is to be said of the rest."""
        try:
            interchanges = x12.read(raw)
        except x12.X12Error as fault:
            return 0, [_finding(fault.text, fault.where)]
        notices = [notice for one in interchanges for notice in x12.acknowledgements(one)]
        findings = [_finding(notice.text, notice.where) for notice in notices if not notice.taken]
        found = list(_answers(interchanges, findings))
        if not found and not findings and not notices:
            return 0, [_finding("the file holds no answer (271)", None)]
        taken = 0
        for transaction, answer in found:
            job = next((job for number in payerx12.numbers(answer) if (job := tx.outbox.find(keys_of(number)))), None)
            if job is None or not self._settled(tx, id, payer, job, transaction, now):
                findings.append(_finding("the answer belongs to no question of ours to this payer (TRN02)", transaction.segments[0].where()))
            else:
                taken += 1
        return taken, findings

    def _settled(self, tx: Transaction, id: str, payer: str, job: Job, transaction: x12.Transaction, now: datetime) -> bool:
        enquiries = Enquiries(self.casework, self.outgoing.settings)
        try:
            asked = enquiries.asked(tx, job, now)
        except Unsendable:
            return False
        if asked.payer.name != payer or job.payload["payer"] != payer:
            return False
        retry_at = enquiries.understood(tx, job, asked, lambda: payerx12.of([transaction], asked, enquiries.codes), id)
        again = self.outgoing.again(job, now, retry_at) if retry_at else None
        if retry_at and again is None:
            enquiries.exhausted(tx, job, now)
        tx.outbox.settle(job.pk, "the payer can't answer now", again)
        return True


def _answers(interchanges: list[x12.Interchange], findings: list[Json]) -> Iterator[tuple[x12.Transaction, x12.Answer]]:
    """Every answer of a file; a transaction set that can't be read costs only itself, and is told of."""
    for interchange in interchanges:
        for transaction in interchange.transactions:
            try:
                yield from ((transaction, answer) for answer in (x12.answers(transaction) if transaction.kind == TYPE else ()))
            except x12.X12Error as fault:
                findings.append(_finding(fault.text, fault.where))


def _finding(text: str, where: x12.Place | None) -> Json:
    return {"severity": "error", "code": "102", "text": text, "where": str(where) if where else None}
