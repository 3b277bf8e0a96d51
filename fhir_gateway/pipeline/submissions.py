"""FHIR Bundles: bytes → answer. A transaction passes the inbox like a message: bytes, effect and answer in one transaction.

A Bundle with an identifier is recognised when it comes again with the same content and gets the identical answer. One without is new
every time, as FHIR has it: a plain POST always creates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from fhir_gateway import metrics
from fhir_gateway.errors import ConflictError, GatewayError, InvalidError, UnsupportedError, operation_outcome
from fhir_gateway.events import event
from fhir_gateway.pipeline import bundles, writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.entries import ORDER, Entry, check_number, entries_of, entry_of
from fhir_gateway.pipeline.intake import FHIR_TYPE, Arrival
from fhir_gateway.pipeline.interactions import History
from fhir_gateway.pipeline.search import searched
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal, Role
from fhir_gateway.settings import Settings
from fhir_gateway.store import InboxEntry, Store, Transaction
from fhir_gateway.store.inbox import InboxState
from fhir_gateway.validation import encode, validate

Json = dict[str, Any]
Answer = tuple[int, bytes]
KINDS: Final = ("transaction", "batch")


@dataclass(frozen=True, slots=True)
class FhirIntake(ABC):
    """What passes the inbox over FHIR: a transaction, a batch, a message. Everything the flow needs, wired once."""

    store: Store
    casework: Casework
    settings: Settings
    clock: Callable[[], datetime]

    def receive(self, raw: bytes, principal: Principal, base: str) -> Answer:
        """Take it in. Never raises for what it holds: the answer is a Bundle or an OperationOutcome."""
        arrival = Arrival.now(raw, "fhir", principal.name, self.clock())
        with metrics.INTAKE.labels("fhir").time():
            return self._work(arrival, principal, base)

    def finish(self, entry: InboxEntry) -> bytes:
        """Work on what was kept again, with the rights of who sent it: no more is done than when it came. Safe to repeat."""
        arrival = Arrival(entry.raw, "fhir", "retry", self.clock(), entry.id, entry.content_hash)
        return self._work(arrival, sender_of(entry), "")[1]

    @abstractmethod
    def _work(self, arrival: Arrival, principal: Principal, base: str) -> Answer:
        """Do what it asks, and answer; a fault is an answer too."""


class BundleIntake(FhirIntake):
    """Transactions and batches."""

    __slots__ = ()

    def _work(self, arrival: Arrival, principal: Principal, base: str) -> Answer:
        bundle: Json = {}
        try:
            with translated():
                bundle = writes.given_object(arrival.raw)
                _check(bundle)
                if bundle["type"] == "batch":
                    return self._batch(arrival, principal, base, bundle)
                return self.store.run(principal, arrival.at, lambda tx: self._apply(tx, arrival, principal, base, bundle), brief=arrival.brief)
        except GatewayError as fault:
            return self._refuse(arrival, principal, bundle, fault)
        except Exception as fault:  # noqa: BLE001 - whatever a Bundle does to us, it is kept and answered
            return self._refuse(arrival, principal, bundle, self._broken(arrival, fault))

    def _broken(self, arrival: Arrival, fault: Exception) -> GatewayError:
        event("message-failed", "error", inbox=arrival.id, channel="fhir", type="Bundle", error=type(fault).__name__)
        return ConflictError("This could not be worked on; the Bundle is kept and can be sent or retried again")

    def _seen(self, tx: Transaction, arrival: Arrival, principal: Principal, bundle: Json) -> InboxEntry | None:
        """The same Bundle from the same sender, if it came before. Raises ConflictError when staff have put it aside."""
        control_id = identifier_of(bundle)
        same = tx.inbox.find_same(principal.organisation, control_id, arrival.hash) if control_id else None
        if same is not None and same.state == "discarded":
            raise AlreadyHereError(
                "This very Bundle came before and was put aside by the clinic; send it under another identifier", "Bundle.identifier"
            )
        return same

    def _apply(self, tx: Transaction, arrival: Arrival, principal: Principal, base: str, bundle: Json) -> Answer:
        same = self._seen(tx, arrival, principal, bundle)
        if same is not None and same.state == "processed" and same.answer is not None:
            return 200, same.answer
        inbox_id = keep_bundle(tx, arrival, principal, bundle, identifier_of(bundle), same)
        entries = entries_of(bundle, self.settings.bundle_entries, base)
        responses = self._transact(tx, entries, base, inbox_id, arrival)
        answer = _answer("transaction-response", responses)
        tx.inbox.settle(inbox_id, "processed", answer=answer, answer_type=FHIR_TYPE)
        log_bundle(arrival, "processed", "200")
        return 200, answer

    def _batch(self, arrival: Arrival, principal: Principal, base: str, bundle: Json) -> Answer:
        """Each entry on its own: what fails does not touch the others. Never replayed by recovery, which could repeat what was done."""
        given = bundle.get("entry") or []
        check_number(len(given), self.settings.bundle_entries)

        def keep(tx: Transaction) -> str | bytes:
            same = self._seen(tx, arrival, principal, bundle)
            if same is not None and same.state == "processed" and same.answer is not None:
                return same.answer
            if same is not None and same.state == "failed" and same.answer is None:
                raise AlreadyHereError("The same batch is being worked on, or was broken off and waits for the clinic", "Bundle.identifier")
            return keep_bundle(tx, arrival, principal, bundle, identifier_of(bundle), same, state="failed")

        kept = self.store.run(principal, arrival.at, keep)
        if isinstance(kept, bytes):
            return 200, kept
        responses: list[Json] = [{}] * len(given)
        for position in sorted(range(len(given)), key=lambda p: (ORDER[given[p]["request"]["method"]], p)):
            responses[position] = self._single(arrival, principal, base, given[position], position, kept)
        answer = _answer("batch-response", responses)
        self.store.run(principal, arrival.at, lambda tx: tx.inbox.settle(kept, "processed", answer=answer, answer_type=FHIR_TYPE))
        log_bundle(arrival, "processed", "200")
        return 200, answer

    def _single(self, arrival: Arrival, principal: Principal, base: str, given: Json, position: int, inbox_id: str) -> Json:
        def work(tx: Transaction) -> Json:
            entry = entry_of(given, f"Bundle.entry[{position}]", base)
            if entry.resource is not None:
                writes.checked(entry.resource, entry.type, f"{entry.path}.resource")
            return self._transact(tx, [entry], base, inbox_id, arrival)[0]

        try:
            with translated():
                return self.store.run(principal, arrival.at, work)
        except GatewayError as fault:
            return bundles.failed(fault)
        except Exception as fault:  # noqa: BLE001 - one entry's trouble is not the others'
            return bundles.failed(self._broken(arrival, fault))

    def _transact(self, tx: Transaction, entries: list[Entry], base: str, inbox_id: str, arrival: Arrival) -> list[Json]:
        """Write the entries, check what they point at, and let the cases they touch know."""
        done = bundles.transact(tx, entries, options(base, self.settings, inbox_id))
        if self.settings.strict_references:
            coming = {stored.reference for stored in done.written if not stored.deleted}
            writes.check_references(tx, [(f"{e.path}.resource", e.resource) for e in entries if e.resource], coming)
        hints = self.casework.after(tx, done.written, arrival.at).hints
        for position, entry in enumerate(entries):
            if (hint := hints.get(f"{entry.type}/{entry.id}")) is not None:
                done.responses[position] = bundles.hinted(done.responses[position], hint)
        tasks = [position for position, entry in enumerate(entries) if entry.type == "Task" and entry.method in ("POST", "PUT")]
        standing = tx.resources.read_many([f"Task/{entries[position].id}" for position in tasks])
        for position in tasks:  # a Task that became a case's coordination Task has moved on
            if (now := standing.get(f"Task/{entries[position].id}")) is not None:
                done.responses[position] = bundles.renewed(done.responses[position], now)
        return done.responses

    def _refuse(self, arrival: Arrival, principal: Principal, bundle: Json, fault: GatewayError) -> Answer:
        """Keep what can't be taken, with its located issues."""
        answer = encode(operation_outcome(fault.issues))
        findings = [{"severity": i.severity, "code": i.code, "text": i.text, "where": i.expression or None} for i in fault.issues]

        def keep(tx: Transaction) -> None:
            control_id = identifier_of(bundle)
            same = tx.inbox.find_same(principal.organisation, control_id, arrival.hash) if control_id else None
            if same is not None and same.state == "processed":
                return
            inbox_id = keep_bundle(tx, arrival, principal, bundle, identifier_of(bundle), same)
            state = "failed" if isinstance(fault, ConflictError) else "refused"
            tx.inbox.settle(inbox_id, state, answer=answer, answer_type=FHIR_TYPE, findings=findings)  # type: ignore[arg-type]  # one of two literals

        if not isinstance(fault, AlreadyHereError):
            self.store.run(principal, arrival.at, keep)
        log_bundle(arrival, "refused", str(fault.http))
        return fault.http, answer


def options(base: str, settings: Settings, inbox_id: str | None) -> bundles.Options:
    """How the entries of a Bundle are worked on that came to this base."""

    def search(tx: Transaction, type: str, pairs: bundles.Pairs, patient: str | None) -> Json:
        return searched(tx, type, pairs, base, settings, patient=patient)

    def history(tx: Transaction, type: str, id: str, pairs: bundles.Pairs) -> Json:
        return History(type, id, base, pairs, settings.zone).bundle(tx, settings.page_size, settings.page_size_max)

    return bundles.Options(base, settings.update_as_create, inbox_id, search, history)


def _check(bundle: Json) -> None:
    """Is this a Bundle that is worked on here? Raises InvalidError with every fault, UnsupportedEntryError for another kind of Bundle."""
    if bundle.get("resourceType") != "Bundle":
        raise InvalidError("Only a Bundle may be posted to the base address", "resourceType")
    kind = bundle.get("type")
    if kind not in KINDS:
        raise UnsupportedEntryError(
            f"A Bundle of type '{str(kind)[:40]}' is not taken here; send transaction or batch (a message goes to $process-message)", "Bundle.type"
        )
    issues = validate(bundle if kind == "transaction" else _shell(bundle))
    if issues:
        raise InvalidError(issues[0].text, issues=issues)


def _answer(kind: str, responses: list[Json]) -> bytes:
    return encode({"resourceType": "Bundle", "type": kind, **({"entry": responses} if responses else {})})


def _shell(batch: Json) -> Json:
    """A batch without its resources: each of those is judged on its own."""
    entries = batch.get("entry")
    if not isinstance(entries, list):
        return batch
    bare = [{key: value for key, value in e.items() if key != "resource"} if isinstance(e, dict) else e for e in entries]
    return {**batch, "entry": bare}


class UnsupportedEntryError(UnsupportedError):
    """A Bundle of a kind that is not worked on: the body is at fault, not the method."""

    http = 422


class AlreadyHereError(ConflictError):
    """This very Bundle is kept already, and nothing more is done with it now."""


def log_bundle(arrival: Arrival, state: str, code: str) -> None:
    """Say that a Bundle came, and what became of it."""
    metrics.MESSAGES.labels("fhir", "Bundle", code).inc()
    event("message-received", inbox=arrival.id, channel="fhir", type="Bundle", bytes=len(arrival.raw), state=state, code=code)


def sender_of(entry: InboxEntry) -> Principal:
    """Who sent a kept Bundle. Raises ConflictError for one that was kept before that was noted."""
    if entry.role is None:
        raise ConflictError("Who sent this was not kept with it, and nobody else's rights will do; have it sent again")
    return Principal(cast(Role, entry.role), entry.owner, entry.agent or "")


def keep_bundle(
    tx: Transaction,
    arrival: Arrival,
    sender: Principal,
    bundle: Json,
    control_id: str | None,
    same: InboxEntry | None,
    state: InboxState = "pending",
) -> str:
    """The inbox row of this Bundle: the one it has already, or a new one."""
    if same is not None:
        return same.id
    if tx.inbox.get(arrival.id) is not None:
        return arrival.id
    return tx.inbox.add(
        id=arrival.id,
        state=state,
        channel="fhir",
        sender=sender.organisation,
        sent_by=sender,
        control_id=control_id,
        message_type=kind_of(bundle),
        raw=arrival.raw,
        content_hash=arrival.hash,
        charset="UTF-8",
    )


def kind_of(bundle: Json) -> str:
    """What the inbox calls it: `Bundle/transaction`, the type of a resource that is none, "" for what could not be read."""
    name, kind = bundle.get("resourceType"), bundle.get("type")
    if name != "Bundle":
        return name[:60] if isinstance(name, str) else ""
    return f"Bundle/{kind[:40]}" if isinstance(kind, str) else "Bundle"


def identifier_of(bundle: Json) -> str | None:
    """Bundle.identifier as the control id; None when the Bundle has none to be recognised by."""
    given = bundle.get("identifier")
    if not isinstance(given, dict) or not given.get("value"):
        return None
    return f"{given.get('system', '')}|{given['value']}"
