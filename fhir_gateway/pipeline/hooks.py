"""rest-hook notifications: handshake, notification, and what becomes of the Subscription when its endpoint answers or does not.

R4 Subscription, shaped as the Subscriptions R5 Backport IG has it for R4: a `history` Bundle whose first entry is the subscription's status as Parameters,
payload content id-only. A Subscription that names no payload gets an empty POST.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from fhir_gateway.pipeline.delivery import Delivery, Unsendable
from fhir_gateway.pipeline.subscriptions import LIVE, TYPE, unservable
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Job, Stored, Transaction
from fhir_gateway.validation import encode

Json = dict[str, Any]
FHIR_JSON: Final = "application/fhir+json"
STATUS_PROFILE: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"
NOTIFICATION_PROFILE: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-notification-r4"
_URN: Final = "urn:uuid:"


def handshake(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """The first message to an endpoint: is anybody there? Nothing when the Subscription has moved on.

    Raises Unsendable for one that can't be served: it is switched off, and says why.
    """
    subscription = tx.resources.read(TYPE, job.payload["subscription"])
    if subscription is None or subscription.deleted or subscription.resource.get("status") not in ("requested", "active", "error"):
        return []
    if why := unservable(subscription.resource):
        raise Unsendable(why)
    return [_post(subscription, _bundle(subscription, "handshake", job, settings, None))]


def notification(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """That something happened, and the address to read it at. Nothing when the Subscription is no longer live."""
    subscription = tx.resources.read(TYPE, job.payload["subscription"])
    if subscription is None or subscription.deleted or subscription.resource.get("status") not in LIVE:
        return []
    return [_post(subscription, _bundle(subscription, "event-notification", job, settings, job.payload["focus"]))]


def reached(tx: Transaction, job: Job) -> None:
    """The endpoint has answered: the Subscription is active."""
    _become(tx, job, "active", None, ("requested", "active", "error"))


def missed(tx: Transaction, job: Job, error: str, *, gone: bool) -> None:
    """It has not: the Subscription is in error while it is tried again, off once that was given up. It stays off until the client asks anew."""
    _become(tx, job, "off" if gone else "error", error, ("requested", "active", "error"))


def _become(tx: Transaction, job: Job, status: str, error: str | None, only_from: tuple[str, ...]) -> None:
    if job.kind not in ("hook", "handshake"):
        return
    stored = tx.resources.read(TYPE, job.payload["subscription"])
    if stored is None or stored.deleted or stored.resource.get("status") not in only_from:
        return
    if job.kind == "handshake" and status == "error":
        status = "requested"  # not live yet: it waits for its handshake, and says what stands in the way
    content = {key: value for key, value in stored.resource.items() if key != "error"} | {"status": status} | ({"error": error} if error else {})
    if content != stored.resource:
        tx.on_behalf_of(Principal("gateway", stored.owner)).resources.update(content)


def _post(subscription: Stored, bundle: Json) -> Delivery:
    channel = subscription.resource.get("channel") or {}
    headers = {}
    for header in channel.get("header") or ():
        name, _, value = str(header).partition(":")
        headers[name.strip()] = value.strip()
    if not channel.get("payload"):
        return Delivery("http", str(channel["endpoint"]), b"", headers)
    return Delivery("http", str(channel["endpoint"]), encode(bundle), headers | {"Content-Type": f"{FHIR_JSON}; charset=utf-8"})


def _bundle(subscription: Stored, kind: str, job: Job, settings: Settings, focus: str | None) -> Json:
    base = settings.fhir_base
    status = _status(subscription, kind, job, base, focus)
    entries: list[Json] = [
        {
            "fullUrl": f"{_URN}{_named(job)}",
            "resource": status,
            "request": {"method": "GET", "url": f"{base}/Subscription/{subscription.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    if focus:
        entries.append({"fullUrl": f"{base}/{focus}", "request": {"method": "PUT", "url": focus}, "response": {"status": "200"}})
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [NOTIFICATION_PROFILE]},
        "type": "history",
        "timestamp": _stamp(job.queued_at),
        "entry": entries,
    }


def _status(subscription: Stored, kind: str, job: Job, base: str, focus: str | None) -> Json:
    number = int(job.payload.get("number", 0))
    parameters: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{subscription.id}"}},
        {"name": "topic", "valueCanonical": job.payload.get("topic") or _topic(subscription)},
        {"name": "status", "valueCode": "requested" if kind == "handshake" else "active"},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(number)},
    ]
    if focus:
        told = [
            {"name": "event-number", "valueString": str(number)},
            {"name": "timestamp", "valueInstant": _stamp(job.queued_at)},
            {"name": "focus", "valueReference": {"reference": f"{base}/{focus}"}},
        ]
        parameters.append({"name": "notification-event", "part": told})
    return {"resourceType": "Parameters", "id": f"status-{number}", "meta": {"profile": [STATUS_PROFILE]}, "parameter": parameters}


def _topic(subscription: Stored) -> str:
    """A search has no topic of its own: the search itself, as an address."""
    return quote(str(subscription.resource.get("criteria", "")), safe=":/?=&,|$-_.~%")


def _named(job: Job) -> str:
    """A UUID that is the same for the same job."""
    return str(uuid5(NAMESPACE_URL, job.key))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
