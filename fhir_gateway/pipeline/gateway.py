"""The gateway as the edges see it: one object, wired once, safe to call from any thread."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from fhir_gateway.cases import chase
from fhir_gateway.cases.evidence import walk
from fhir_gateway.events import event
from fhir_gateway.pages.letter import full_name, letter
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.actions import Actions
from fhir_gateway.pipeline.answerfiles import AnswerFiles
from fhir_gateway.pipeline.authorising import Authorising
from fhir_gateway.pipeline.bundles import represented
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.checks import due_checks
from fhir_gateway.pipeline.codetables import CodeTables
from fhir_gateway.pipeline.codework import CodeWork
from fhir_gateway.pipeline.conflicts import Take
from fhir_gateway.pipeline.conflicts import settle as settle_conflict
from fhir_gateway.pipeline.custody import Custody
from fhir_gateway.pipeline.dryrun import DryRun
from fhir_gateway.pipeline.forms import form_of
from fhir_gateway.pipeline.hearing import Hearing
from fhir_gateway.pipeline.intake import FHIR_TYPE, V2_TYPE, is_brief
from fhir_gateway.pipeline.messages import V2Intake
from fhir_gateway.pipeline.messaging import MessageIntake
from fhir_gateway.pipeline.operations import Operations
from fhir_gateway.pipeline.opinion import Opinions
from fhir_gateway.pipeline.orphans import Orphans
from fhir_gateway.pipeline.outgoing import Outgoing
from fhir_gateway.pipeline.paperwork import Paperwork
from fhir_gateway.pipeline.payerregister import PayerRegister
from fhir_gateway.pipeline.payerview import Releases, closed, refusal
from fhir_gateway.pipeline.replay import Replay
from fhir_gateway.pipeline.restful import RestfulInteractions
from fhir_gateway.pipeline.results import RawMessage
from fhir_gateway.pipeline.submissions import BundleIntake, sender_of
from fhir_gateway.pipeline.submit import Submission
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import InboxEntry, Store, Stored, Transaction
from fhir_gateway.store.search import parse_query
from fhir_gateway.validation import shapes
from mappers import v2
from profiles import codesystems, conceptmaps

Json = dict[str, Any]
Result = TypeVar("Result")
COMMON: Final = ("Bundle", "ServiceRequest", "Patient", "DiagnosticReport", "Observation", "Coverage", "Task", "DocumentReference", "Provenance")
"""Types nearly every message holds: their models are built at the start."""


def open_store(settings: Settings) -> Store:
    """The store the settings name; nothing is opened or migrated yet. Raises DatabaseUrlError."""
    return Store(settings.database_url, pool_size=settings.threads + 2)


def settle_collector() -> None:
    """What is built by now lives as long as the process: the garbage collector need not walk it for every large message. And it looks less often at what a
    message makes, which is nearly all freed without it: by default a message of 10,000 results costs a third more for each result than one of 1,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


class SchemaMissingError(RuntimeError):
    """The tables are older or newer than this program."""


class Gateway:
    """Everything that can be asked of the service. Errors are those of `fhir_gateway.errors`."""

    def __init__(self, settings: Settings, executor: Executor, clock: Callable[[], datetime] | None = None) -> None:
        self.settings = settings
        self.executor = executor
        self.clock = clock or (lambda: datetime.now(UTC))
        self.store = open_store(settings)
        self.casework = Casework.from_settings(settings)
        codes, site = CodeTables(conceptmaps.load()), v2.Site(timezone=settings.source_zone)
        self.messages = V2Intake(self.store, codes, site, self.casework, self.clock)
        self.replay = Replay(self.store, codes, site, self.casework, self.clock)
        self.codework = CodeWork(self.store, codes, self.replay, self.clock)
        self.actions = Actions(self.store, self.casework, self.clock, codesystems.load()["item-reason"])
        self.custody = Custody(self.store, self.casework, self.clock)
        self.paperwork = Paperwork(self.store, self.casework, self.clock, settings)
        self.opinions = Opinions(self.store, self.casework, self.clock, settings.clinic_name, settings.zone)
        self.orphans = Orphans(self.store, self.casework, self.clock, settings.orphan_days)
        self.dry_run = DryRun(self.store, self.casework, settings, codes, site, self.clock)
        self.outgoing = Outgoing(self.store, self.casework, settings, self.clock)
        self.answer_files = AnswerFiles(self.store, self.casework, self.outgoing, self.clock)
        self.submission = Submission(self.store, self.casework, self.outgoing, settings, self.clock)
        self.bundles = BundleIntake(self.store, self.casework, settings, self.clock)
        self.operations = Operations(self.store, self.casework, settings, self.clock)
        self.authorising = Authorising(self.store, self.casework, self.clock, settings)
        self.hearing = Hearing(self.store, self.casework, self.clock, settings)
        self.releases = Releases(self.store, self.clock)
        self.fhir = RestfulInteractions(self.store, self.casework, settings, self.clock)
        self.messaging = MessageIntake(self.store, self.casework, settings, self.clock)
        self.payers = PayerRegister(self.store, self.casework.payers, self.outgoing, settings, self.clock)
        self.store.knows_payers(self.payers.shown, settings.zone)

    # Running

    def start(self) -> None:
        """Check the schema, build the models of the common types, finish what a crash left half done. Raises SchemaMissingError."""
        if not self.store.check():
            raise SchemaMissingError("The database is not at this version's schema; run: fhir-gateway db upgrade")
        for name in COMMON:
            shapes.shape_of_resource(name)
        self.casework.checklists.seed(self.store, self.clock())
        self.payers.begin()
        event("recovered", messages=self.recover())
        settle_collector()

    def stop(self) -> None:
        """Close the database."""
        self.store.close()

    def recover(self) -> int:
        """Work on every message that was acknowledged as received and not yet applied; how many there were."""
        done = 0
        while entries := self._pending():
            for entry in entries:
                self._finish(entry)
            done += len(entries)
        return done

    def _pending(self) -> list[InboxEntry]:
        with self.store.snapshot(GATEWAY) as tx:
            return list(tx.inbox.pending(limit=50))

    def _finish(self, entry: InboxEntry) -> None:
        if entry.message_type == "Bundle/message":
            self.messaging.finish(entry)
        elif entry.channel == "payer":
            self.answer_files.finish(entry)
        elif entry.channel == "fhir":
            self.bundles.finish(entry)
        else:
            self.messages.finish(entry)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Does the database answer at the right version, and what is waiting?"""
        if not self.store.ready():
            return False, {}
        return True, asdict(self.store.statistics(self.clock()))

    # HL7 v2

    def receive_v2(self, raw: bytes, channel: str, peer: str) -> Iterator[bytes]:
        """See V2Intake.receive."""
        return self.messages.receive(raw, channel, peer)

    def refuse_oversize(self, head: bytes, length: int, sha256: str, channel: str, peer: str) -> bytes:
        """Keep the beginning of what is over the limit; the AR to send."""
        return self.messages.oversize(head, length, sha256, channel, peer, self.settings.message_bytes)

    def keep_broken(self, content: bytes, length: int, why: str, channel: str, peer: str) -> None:
        """Keep bytes that made no whole message."""
        self.messages.broken(content, length, why, channel, peer)

    def retry(self, inbox_id: str) -> InboxEntry:
        """Work on a refused or failed message again. Safe to repeat. Raises NotFoundError, ConflictError when it was processed or discarded, or nobody
        knows any more under whose rights.
        """
        with translated():
            with self.store.snapshot(GATEWAY) as tx:
                held = tx.inbox.get(inbox_id)
            if held is not None and held.channel == "fhir":
                sender_of(held)
            entry = self.store.run(GATEWAY, self.clock(), lambda tx: tx.inbox.claim_for_retry(inbox_id))
            self._finish(entry)
            with self.store.snapshot(GATEWAY) as tx:
                after = tx.inbox.get(inbox_id)
        assert after is not None
        return after

    def settle_conflict(self, task_id: str, take: Take, who: str) -> None:
        """Settle what a replay would change but somebody edited. Raises NotFoundError, ConflictError."""
        now = self.clock()

        def work(tx: Transaction) -> None:
            written = settle_conflict(tx, task_id, take, who, now)
            tx.audit.append("settle", "Task", task_id, detail=take)
            self.casework.after(tx, written, now)

        with translated():
            self.store.run(GATEWAY, now, work)

    def discard(self, inbox_id: str) -> None:
        """Put a refused or failed message aside for good; it stays readable."""
        with translated():
            self.store.run(GATEWAY, self.clock(), lambda tx: tx.inbox.discard(inbox_id))

    # FHIR

    def receive_bundle(self, raw: bytes, principal: Principal, base: str, *, whole: bool = False) -> tuple[int, bytes]:
        """A transaction or batch: HTTP status and the answer's bytes. A payer's is refused and not kept: what is kept can be worked on again by staff.

        whole: with the resources that were written; the answer that is kept has none.
        """
        status, answer = self._refused(principal, "A transaction or batch") or self.bundles.receive(raw, principal, base)
        if not whole or status != 200:
            return status, answer
        with translated(), self.store.snapshot(principal) as tx:
            full, names = represented(tx, answer)
        for name in names:
            self._audit(principal, "read", *name)
        return status, full

    def receive_message(self, raw: bytes, principal: Principal, base: str) -> tuple[int, bytes]:
        """A message for $process-message: HTTP status and the answer's bytes. A payer's is refused, as above."""
        return self._refused(principal, "$process-message") or self.messaging.receive(raw, principal, base)

    def raw_message(self, principal: Principal, inbox_id: str) -> RawMessage | None:
        """A kept message by its inbox id, None when there is none for this principal (ADR 0009)."""
        with self.store.snapshot(principal) as tx:
            entry = tx.inbox.get(inbox_id)
        if entry is None:
            return None
        self._audit(principal, "read", "Binary", inbox_id)
        kinds = {"fhir": FHIR_TYPE, "payer": entry.answer_type or "application/octet-stream"}
        return RawMessage(entry.id, entry.raw, kinds.get(entry.channel, V2_TYPE))

    def completeness(self, principal: Principal, id: str, as_of: datetime | None) -> Json:
        """The GuidanceResponse of one case. Raises NotFoundError when there is no such case for this principal."""
        with translated(), self.store.snapshot(principal) as tx:
            guidance = self.casework.guidance(tx, id, as_of, self.clock())
        self._audit(principal, "completeness", "ServiceRequest", id)
        return guidance

    def questionnaire(self, principal: Principal, id: str) -> Json:
        """What one checklist asks for, as a Questionnaire. Raises NotFoundError, GoneError, NotOpenError for a payer."""
        closed(principal, "What the clinic asks of referrers")
        with translated(), self.store.snapshot(principal) as tx:
            form = form_of(tx, self.casework.checklists, id)
        self._audit(principal, "questionnaire", "PlanDefinition", id)
        return form

    def submit_eligibility(self, principal: Principal, raw: bytes, base: str = "") -> Stored:
        """The CoverageEligibilityResponse to a question; see `Submission.submit`. Raises UnreadableError, InvalidError."""
        return self.submission.submit(principal, writes.given_object(raw), base, brief=is_brief(raw))

    def check_coverage(self, principal: Principal, name: str) -> Json:
        """Ask the payer of a case now; its flat answer afterwards. Raises NotFoundError, ConflictError."""
        now = self.clock()
        with translated():
            self.store.run(principal, now, lambda tx: self.casework.check(tx, name, now), brief=True)
        return self.case(principal, name, None)

    def checks_due(self, principal: Principal, limit: int) -> list[str]:
        """Ids of the open cases whose payer has not answered for the insurance as it is now, in this month."""
        with translated(), self.store.snapshot(principal) as tx:
            return due_checks(tx, limit)

    # Cases

    def case(self, principal: Principal, name: str, as_of: datetime | None) -> Json:
        """The flat answer of one case, named by ServiceRequest id, Task id or the referral's identifier."""
        with translated(), self.store.snapshot(principal) as tx:
            flat = self.casework.flat(tx, name, as_of, self.clock())
        self._audit(principal, "completeness", "ServiceRequest", str(flat["case"]["id"]))
        return flat

    def cases(self, principal: Principal, limit: int) -> list[Json]:
        """Open cases, most urgent first."""
        with translated(), self.store.snapshot(principal) as tx:
            return self.casework.listed(tx, limit)

    def opinion(self, principal: Principal, id: str, raw: bytes) -> Stored:
        """Issue an opinion given as Parameters; the coordination Task afterwards. Raises InvalidError, TransitionError, NotFoundError."""
        flat = self.opinions.issue_parameters(principal, f"ServiceRequest/{id}", writes.checked(writes.given_object(raw), "Parameters"))
        with translated(), self.store.snapshot(principal) as tx:
            case = tx.cases.get(f"ServiceRequest/{flat['case']['id']}")
            return writes.read(tx, "Task", case.task_id if case and case.task_id else "")

    def letter(self, principal: Principal, name: str) -> str:
        """The printable letter that asks for what a case lacks (HTML)."""
        now = self.clock()
        with translated(), self.store.snapshot(principal) as tx:
            flat, referral, patient = self.casework.addressed(tx, name, now)
        self._audit(principal, "letter", "ServiceRequest", str(flat["case"]["id"]))
        number = next(iter(walk(referral, "identifier.value")), flat["case"]["id"])
        written = now.astimezone(self.settings.zone).date()
        return letter(flat, clinic=self.settings.clinic_name, patient=full_name(patient), referral=str(number), written=written)

    def letters(self, principal: Principal, limit: int) -> list[Json]:
        """Cases with requests that only a printed letter delivers: the case, what is asked for and the earliest date it is wanted by."""
        open_requests = parse_query("Task", [("code", "record-request,question"), ("status", ",".join(chase.OPEN_REQUEST)), ("_count", "1000")])
        with translated(), self.store.snapshot(principal) as tx:
            tasks = [stored.resource for stored in tx.search("Task", open_requests).entries]
        self._audit(principal, "letters", "Task")
        return chase.letters(tasks)[:limit]

    # Time

    def evaluate_due(self, limit: int) -> int:
        """Re-evaluate cases that time alone may have changed, and give up records that have waited too long; how many there were."""
        now = self.clock()
        with self.store.snapshot(GATEWAY) as tx:
            due = [case.service_request_id for case in tx.cases.due_for_evaluation(now, limit)]
        for identity in due:
            self.store.run(GATEWAY, now, partial(self.casework.reevaluate, service_request_id=identity, at=now))
        return len(due) + self.orphans.expire(limit)

    def _refused(self, principal: Principal, what: str) -> tuple[int, bytes] | None:
        """The answer to a payer that sends what is not taken from payers, noted; None for anybody else."""
        answer = refusal(principal, what)
        if answer is not None:
            self._audit(principal, "refused", "Bundle", detail=what)
        return answer

    def _audit(self, principal: Principal, action: str, type: str, id: str = "", detail: str = "") -> None:
        """Note a read. It is committed with others within a moment, so that reading costs no fsync of its own."""
        self.store.audit_later(principal, action, type, id, self.clock(), detail)
