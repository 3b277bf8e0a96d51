"""What a FHIR message says has happened, done to its drafts: as the HL7 v2 mapper does it for REF^I12 to I15 and SIU (ADR 0027).

The event changes the status of the referral or appointment; the case follows from that, by its state machine, as it does for every other entrance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.messageevent import CALLED_OFF, V2_EVENTS, event_code
from fhir_gateway.errors import InvalidError, NotFoundError
from fhir_gateway.pipeline.entries import Entry
from fhir_gateway.pipeline.identity import keys_of
from fhir_gateway.pipeline.linking import linked
from fhir_gateway.pipeline.messagedrafts import clock_text, drafts_of
from fhir_gateway.pipeline.messageparts import HEADER, Message
from fhir_gateway.store import Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.keys import Holder
from fhir_gateway.store.links import record_links
from fhir_gateway.validation import Issue
from mappers.result import Clock, Draft, IdentityKey

Json = dict[str, Any]

FOCUS: Final = f"{HEADER}.focus"
ENDED: Final = ("revoked", "entered-in-error")
# Task.code of the Task that asks for the whole referral, rather than for one thing of it.
COORDINATES: Final = frozenset({"fulfill", "process-request", "approve"})


class Steps:
    """The drafts of one message and what happens to them. work: sees everything, on behalf of the sender. tx: sees what the sender may."""

    def __init__(self, work: Transaction, tx: Transaction, message: Message, entries: Sequence[Entry], at: datetime) -> None:
        self._work, self._message = work, message
        made = clock_text(message.bundle.get("timestamp")) or clock_text(at)
        drafts = drafts_of(entries, work.principal.organisation, made)
        self._focus = _focused(entries)
        called_off = self._called_off()
        withdrawn = message.event == "cancel" or self._task_ended(drafts)
        self._drafts = [_appointment(draft, called_off) for draft in drafts]
        if withdrawn:
            self._drafts = [_withdrawn(d) if d.full_url in self._focus else d for d in self._drafts]
            self._drafts += list(self._elsewhere(tx, made))
        if message.event == "new" and not any(reference.startswith("ServiceRequest/") for reference in self._focus):
            text = "A new referral is a ServiceRequest that the MessageHeader, or its Task, focuses on"
            raise InvalidError(text, issues=[Issue("error", "required", text, FOCUS)])
        if message.event == "cancel" and not any(d.resource.get("status") in ENDED for d in self._drafts if _is_request(d)):
            text = "A cancellation names the referral it takes back: its ServiceRequest or the identifier of it"
            raise InvalidError(text, issues=[Issue("error", "required", text, FOCUS)])

    @property
    def keys(self) -> list[IdentityKey]:
        """Every name the drafts go by."""
        return [key for draft in self._drafts for key in draft.keys]

    def referrals(self, held: Iterable[Holder]) -> list[str]:
        """The referrals the message is about, as held here now."""
        focused = [draft for draft in self._drafts if _is_request(draft) and draft.full_url in self._focus]
        known = [key for draft in focused for key in draft.keys]
        named = [reference for reference in self._focus if reference.startswith("ServiceRequest/")]
        found = [f"{holder.type}/{holder.id}" for holder in self._work.keys.find(known)]
        return list(dict.fromkeys([*found, *named]))

    def drafts(self, held: Sequence[Holder]) -> list[Draft]:
        """What is to be settled. A Task that coordinates a case which is open already is the case's own, and changes nothing."""
        homes = {holder.key: f"{holder.type}/{holder.id}" for holder in held}
        at_home = {d.full_url: next((homes[key] for key in d.keys if key in homes), d.full_url) for d in self._drafts if _is_request(d)}
        standing: dict[str, str] = {}
        for draft in self._drafts:
            if draft.resource["resourceType"] == "Task" and _coordinates(draft.resource):
                about = str(next(iter(walk(draft.resource, "focus.reference")), ""))
                case = self._work.cases.get(at_home.get(about, about)) if about.startswith("ServiceRequest/") else None
                if case is not None and case.task_id:
                    standing[draft.full_url] = f"Task/{case.task_id}"
        kept = [draft for draft in self._drafts if draft.full_url not in standing]
        return [replace(draft, resource=linked(draft.resource, standing.get)) for draft in kept] if standing else kept

    def _called_off(self) -> str:
        system, code = event_code(self._message.header)
        return CALLED_OFF.get(code, "") if system == V2_EVENTS else ""

    def _task_ended(self, drafts: Sequence[Draft]) -> bool:
        """The placer's own Task about the whole referral, told as cancelled."""
        tasks = [d.resource for d in drafts if d.full_url in self._focus and d.resource["resourceType"] == "Task"]
        return self._message.event == "modify" and any(t.get("status") == "cancelled" and _coordinates(t) for t in tasks)

    def _elsewhere(self, tx: Transaction, made: str) -> Iterator[Draft]:
        """Withdrawals of referrals that are named and not sent along: by our own id, or by their number.

        Raises NotFoundError for one the sender does not have here.
        """
        sent = {draft.full_url for draft in self._drafts}
        for reference in self._focus:
            if reference.startswith("ServiceRequest/") and reference not in sent:
                if (stored := tx.resources.read("ServiceRequest", reference.partition("/")[2])) is None or stored.deleted:
                    raise NotFoundError("No referral of yours is held under that id", FOCUS)
                names = self._work.keys.of("ServiceRequest", stored.id)
                if not names:
                    names = [IdentityKey("ServiceRequest:SENT", f"{reference}")]
                    self._work.keys.claim(names, "ServiceRequest", stored.id, strict=True)
                yield _ending(reference, tuple(names), made)
        for identifier in _numbers(self._message, self._drafts):
            keys = keys_of({"resourceType": "ServiceRequest", "identifier": [identifier]})
            if not self._work.keys.find(keys):
                raise NotFoundError("No referral of yours has this number", f"{FOCUS}.identifier")
            yield _ending(f"ServiceRequest/{identifier['value']}", keys, made)


def asked_for(tx: Transaction, message: Message, entries: Sequence[Entry]) -> Case:
    """The case a status message asks about, among those of the sender's own referrals. Raises NotFoundError, InvalidError."""
    focused = _focused(entries)
    identifiers: list[Json] = list(_numbers(message, [Draft(e.resource or {}, f"{e.type}/{e.id}") for e in entries]))
    for entry in entries:
        if entry.type == "ServiceRequest" and (f"{entry.type}/{entry.id}" in focused or not focused):
            identifiers += [one for one in walk(entry.resource or {}, "identifier") if isinstance(one, dict)]
    for reference in focused:
        if reference.startswith("ServiceRequest/") and (case := tx.cases.get(reference)) is not None:
            return case
    for strong in (True, False):
        found = tx.cases.by_keys(link.key for link in record_links(identifiers) if link.strong is strong)
        if len(found) > 1:
            raise InvalidError("Several referrals have this number", FOCUS)
        if found:
            return found[0]
    raise NotFoundError("No referral of yours has this number", FOCUS)


def _focused(entries: Sequence[Entry]) -> list[str]:
    """What the MessageHeader is about, and what the Tasks among that are about."""
    resources = {f"{entry.type}/{entry.id}": entry.resource or {} for entry in entries}
    header = entries[0].resource or {}
    focused = [str(reference) for reference in walk(header, "focus.reference")]
    through = [str(r) for reference in focused if reference.startswith("Task/") for r in walk(resources.get(reference, {}), "focus.reference")]
    based = [str(r) for reference in focused if reference.startswith("Task/") for r in walk(resources.get(reference, {}), "basedOn.reference")]
    return list(dict.fromkeys([*focused, *through, *based]))


def _numbers(message: Message, drafts: Sequence[Draft]) -> Iterator[Json]:
    """Identifiers by which the focus, or the Task in it, names a referral without a reference."""
    tasks = [draft.resource for draft in drafts if draft.resource.get("resourceType") == "Task"]
    for focus in [one for holder in (message.header, *tasks) for one in walk(holder, "focus")]:
        identifier = focus.get("identifier") if isinstance(focus, dict) and "reference" not in focus else None
        if isinstance(identifier, dict) and identifier.get("value") and focus.get("type", "ServiceRequest") == "ServiceRequest":
            yield identifier


def _coordinates(task: Json) -> bool:
    codes = {code for _, code in codings(task.get("code"))}
    return not codes or bool(codes & COORDINATES)


def _is_request(draft: Draft) -> bool:
    return bool(draft.resource["resourceType"] == "ServiceRequest")


def _withdrawn(draft: Draft) -> Draft:
    """The placer takes the referral back. Who does so need not send all of it again, and what is not said then stays."""
    if not _is_request(draft):
        return draft
    status = draft.resource["status"] if draft.resource.get("status") in ENDED else "revoked"
    return replace(draft, resource=draft.resource | {"status": status}, merge="enrich", clock=replace(draft.clock, clinical=""))


def _ending(full_url: str, keys: tuple[IdentityKey, ...], made: str) -> Draft:
    resource: Json = {"resourceType": "ServiceRequest", "status": "revoked"}
    return Draft(resource, full_url, keys, Clock(message=made), merge="enrich", steps=True)


def _appointment(draft: Draft, called_off: str) -> Draft:
    if called_off and draft.resource["resourceType"] == "Appointment" and draft.resource.get("status") in ("booked", "pending", "proposed"):
        return replace(draft, resource=draft.resource | {"status": called_off})
    return draft
