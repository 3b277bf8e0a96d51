"""FHIR messages: bytes → response message. R4 messaging.html, operation-messageheader-process-message.html; ADR 0027.

A message passes the inbox and is settled as an HL7 v2 message is: its resources become drafts, what it says has happened changes the referral or
appointment it is about, and the case follows. It is recognised by Bundle.identifier and by MessageHeader.id, and then gets the identical answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from fhir_gateway.errors import ConflictError, GatewayError, InvalidError, NotTheClinicError, operation_outcome
from fhir_gateway.events import event
from fhir_gateway.outcomes import ISSUE_TYPES
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.entries import check_number
from fhir_gateway.pipeline.intake import FHIR_TYPE, Arrival
from fhir_gateway.pipeline.linking import link
from fhir_gateway.pipeline.messageparts import Message, read_message, response
from fhir_gateway.pipeline.messagesteps import Steps, asked_for
from fhir_gateway.pipeline.settle import settle
from fhir_gateway.pipeline.submissions import AlreadyHereError, Answer, FhirIntake, keep_bundle, log_bundle
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.validation import Issue, encode
from mappers.result import Refused

Json = dict[str, Any]


class MessageIntake(FhirIntake):
    """Messages. The answer to one is a response message, or an OperationOutcome for what is no message."""

    __slots__ = ()

    def _work(self, arrival: Arrival, principal: Principal, base: str) -> Answer:
        message: Message | None = None
        try:
            with translated():
                _may_send(principal)
                message = Message.of(writes.given_object(arrival.raw))
                read_message(message)
                check_number(len(message.given), self.settings.bundle_entries)
                taken = message
                return self.store.run(principal, arrival.at, lambda tx: self._apply(tx, arrival, base, taken), brief=arrival.brief)
        except GatewayError as fault:
            return self._refuse(arrival, principal, base, message, fault)
        except Exception as fault:  # noqa: BLE001 - whatever a message does to us, it is kept and answered
            event("message-failed", "error", inbox=arrival.id, channel="fhir", type="Bundle", error=type(fault).__name__)
            busy = ConflictError("This could not be worked on; the message is kept and can be sent or retried again")
            return self._refuse(arrival, principal, base, message, busy)

    def _apply(self, tx: Transaction, arrival: Arrival, base: str, message: Message) -> Answer:
        """The one transaction: inbox row, resources, case evaluation, and the answer itself."""
        organisation = tx.principal.organisation
        same = tx.inbox.find_same(organisation, message.control_id, arrival.hash)
        if same is not None and same.state == "discarded":
            raise AlreadyHereError("This very message came before and was put aside by the clinic; send it under another id", "Bundle.entry[0]")
        entries = message.entries()
        link(tx, entries, base)
        if self.settings.strict_references:
            coming = {f"{entry.type}/{entry.id}" for entry in entries}
            writes.check_references(tx, [(f"{e.path}.resource", e.resource) for e in entries if e.resource], coming)
        work = tx.on_behalf_of(Principal("gateway", organisation, tx.principal.name))
        steps = Steps(work, tx, message, entries, arrival.at)
        names = message.names(organisation)
        held = work.keys.find([*names, *steps.keys])
        if (before := _answered(tx, message, [holder.id for holder in held if holder.key in names])) is not None:
            return 200, before
        inbox_id = keep_bundle(tx, arrival, tx.principal, message.bundle, message.control_id, same)
        work.keys.claim(names, "Binary", inbox_id, strict=True)
        drafts = steps.drafts(held)
        issues = self._settled(work, drafts, inbox_id, arrival.at) if message.event != "status" else []
        cases = [case for reference in steps.referrals(held) if (case := tx.cases.get(reference)) is not None]
        if message.event == "status":
            cases = [asked_for(tx, message, entries)]
        answer = encode(response(message, base, "ok", issues, _shown(tx, cases), arrival.at))
        tx.inbox.settle(inbox_id, "processed", answer=answer, answer_type=FHIR_TYPE)
        log_bundle(arrival, "processed", "200")
        return 200, answer

    def _settled(self, work: Transaction, drafts: Sequence[Any], inbox_id: str, at: datetime) -> list[Issue]:
        """Write what is new, let the cases know; what the sender should know of it."""
        try:
            settled = settle(work, drafts, inbox_id)
        except Refused as refusal:
            issues = [Issue("error", ISSUE_TYPES.get(f.code, "processing"), f.text, "Bundle.entry") for f in refusal.findings]
            raise InvalidError(issues[0].text, issues=issues) from None
        hints = self.casework.after(work, settled.written, at).hints
        return [Issue("information", "informational", hint) for hint in hints.values()]

    def _refuse(self, arrival: Arrival, principal: Principal, base: str, message: Message | None, fault: GatewayError) -> Answer:
        """Keep what can't be taken, with its located issues. The same message refused for the same reasons gets the same answer."""
        busy = isinstance(fault, ConflictError)
        if message is not None and message.id:
            answer = encode(response(message, base, "transient-error" if busy else "fatal-error", fault.issues, (), arrival.at))
        else:
            answer = encode(operation_outcome(fault.issues))
        findings = [{"severity": i.severity, "code": i.code, "text": i.text, "where": i.expression or None} for i in fault.issues]

        def keep(tx: Transaction) -> bytes:
            control_id = message.control_id if message is not None else ""
            same = tx.inbox.find_same(principal.organisation, control_id, arrival.hash) if control_id else None
            if same is not None and same.state != "pending" and same.answer is not None and same.findings == findings:
                return same.answer
            if same is None or same.state not in ("processed", "discarded"):
                inbox_id = keep_bundle(tx, arrival, principal, message.bundle if message else {}, control_id or None, same)
                tx.inbox.settle(inbox_id, "failed" if busy else "refused", answer=answer, answer_type=FHIR_TYPE, findings=findings)
            return answer

        if not isinstance(fault, AlreadyHereError):
            answer = self.store.run(Principal("gateway", principal.organisation, principal.name), arrival.at, keep)
        log_bundle(arrival, "refused", str(fault.http))
        return fault.http, answer


def _may_send(principal: Principal) -> None:
    if not principal.sees_everything and not (principal.role == "referrer" and principal.organisation):
        raise NotTheClinicError("Messages about referrals are taken from who refers, and from the clinic")


def _answered(tx: Transaction, message: Message, inbox_ids: Iterable[str]) -> bytes | None:
    """The answer this message got when it came before. Raises InvalidError when one of its ids belongs to another message (messaging.html#reliable)."""
    for inbox_id in dict.fromkeys(inbox_ids):
        entry = tx.inbox.get(inbox_id)
        if entry is None or entry.answer is None or not message.repeats(writes.given_object(entry.raw)):
            text = "The Bundle.identifier or MessageHeader.id came before with another content; what is new needs ids of its own"
            raise InvalidError(text, issues=[Issue("error", "duplicate", text, "Bundle.entry[0].resource.id")])
        event("message-repeated", inbox=entry.id, channel="fhir")
        return entry.answer
    return None


def _shown(tx: Transaction, cases: Sequence[Case]) -> list[Stored]:
    """The referrals and the Tasks of their cases, as far as the sender may see them; noted as read."""
    references = [name for case in cases for name in (f"ServiceRequest/{case.service_request_id}", f"Task/{case.task_id}")]
    held = tx.resources.read_many(references)
    shown = [held[name] for name in references if name in held and not held[name].deleted]
    for stored in shown:
        tx.audit.append("read", stored.type, stored.id)
    return shown
