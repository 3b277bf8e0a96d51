"""What a judgement changed, queued for whoever has to be told: in the same transaction, each thing once (ADR 0013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fhir_gateway.cases.model import Json
from fhir_gateway.cases.news import News, news
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.pipeline.subscriptions import Happening, notify
from fhir_gateway.store import Transaction

# Topic → which registration of a partner (store.partners.REPLIES) wants it by HL7 v2; any of them will do.
_REPLIES: Final = {"case-state": ("rri", "osu", "opinion"), "appointment": ("siu",)}


def announce(tx: Transaction, judged: Sequence[Judged]) -> None:
    """Queue HL7 v2 replies to the sender's partner, and notifications to Subscriptions that these judgements and this transaction's writes concern."""
    happened: list[Happening] = []
    for one in judged:
        told = list(news(one.before, one.after))
        for item in told:
            happened.append(Happening(item.topic, one.case.service_request_id, _focus(one, item), _name(one, item)))
        _reply(tx, one, told)
    notify(tx, happened)


def _reply(tx: Transaction, one: Judged, told: Sequence[News]) -> None:
    partner = tx.partners.get(one.case.owner) if told and one.case.owner else None
    if partner is None:
        return
    lane = f"case/{one.case.service_request_id}"
    for item in told:
        if item.topic == "opinion-issued" and partner.fhir_base:
            name = f"opinion/{one.case.service_request_id}/{_name(one, item)}"
            tx.outbox.put("opinion", name, {"case": one.case.service_request_id}, lane=lane)
        if any(partner.wants(reply) for reply in _REPLIES.get(item.topic, ())):
            payload: Json = {
                "case": one.case.service_request_id,
                "topic": item.topic,
                "event": item.event,
                "state": one.after["case"]["state"],
                "task": one.task.version if one.task else None,
                "appointment": _version(one.file.appointment),
                "answers": _asked_by(tx, one) if item.event == "receive" else None,
            }
            tx.outbox.put("reply", f"reply/{one.case.service_request_id}/{_name(one, item)}", payload, lane=lane)


def _focus(one: Judged, item: News) -> str:
    """What a subscriber is pointed at: the appointment, what supplied an item, else the coordination Task."""
    if item.topic == "appointment" and one.file.appointment is not None:
        return f"Appointment/{one.file.appointment['id']}"
    return f"Task/{one.task.id}" if one.task is not None else f"ServiceRequest/{one.case.service_request_id}"


def _name(one: Judged, item: News) -> str:
    """The same for the same news however often the transaction is tried, another for every other news of the case."""
    if item.topic == "appointment" and one.file.appointment is not None:
        meta = one.file.appointment["meta"]
        return f"appointment/{one.file.appointment['id']}/{meta['versionId']}/{item.event}"
    version = one.task.version if one.task is not None else 0
    if item.item:
        return f"{item.topic}/{item.item}/{one.after['case']['asOf']}"
    return f"{item.topic}/{version}/{item.after}"


def _asked_by(tx: Transaction, one: Judged) -> str | None:
    """MSH-10 of the referral, when it came as HL7 v2: the first reply answers it."""
    entry = tx.inbox.get(one.file.source) if one.file.source else None
    return entry.control_id if entry is not None and entry.channel in ("mllp", "http") else None


def _version(resource: Json | None) -> list[str] | None:
    """[id, version], so that what is told later is what was true now."""
    return [str(resource["id"]), str(resource["meta"]["versionId"])] if resource is not None else None
