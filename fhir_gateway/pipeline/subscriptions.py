"""FHIR R4 Subscriptions: what may be subscribed, and which are told of what a transaction did.

`criteria` is a search (`Task?code=record-request`), told whenever a version that matches it is written; or one of our topics
(`urn:second-opinion-gateway:SubscriptionTopic:case-state`), told of what happened to a case. Only rest-hook, only ids: nothing about a person leaves by this
way but the address of what may be read under the subscriber's own rights. Nothing is sent before the endpoint has answered a handshake.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.news import TOPIC_URL, TOPICS
from fhir_gateway.errors import InvalidError
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.errors import SearchError
from fhir_gateway.store.search import SearchQuery, parse_query
from fhir_gateway.validation import Issue, shapes

Json = dict[str, Any]

TYPE: Final = "Subscription"
ASKING: Final = ("requested", "active")
LIVE: Final = ("active", "error")
_UNTOLD: Final = frozenset({TYPE, "AuditEvent"})
_LIVE_QUERY: Final = parse_query(TYPE, [("status", ",".join(LIVE)), ("_count", "1000")])


class Happening(NamedTuple):
    """Something that happened to a case. focus: the resource a subscriber is pointed at. name: the same for the same happening."""

    topic: str
    case: str
    focus: str
    name: str


def guard_subscription(resource: Json) -> None:
    """Raises InvalidError with every reason why this can't be subscribed."""
    issues = [Issue("error", code, text, f"{TYPE}.{where}") for code, text, where in _faults(resource)]
    if issues:
        raise InvalidError(issues[0].text, issues=issues)


def requested(tx: Transaction, written: Sequence[Stored]) -> None:
    """Queue the handshake of each Subscription among `written` that asks to be told."""
    for stored in written:
        if stored.type == TYPE and not stored.deleted and stored.resource.get("status") in ASKING:
            tx.outbox.put("handshake", f"handshake/{stored.id}/{stored.version}", {"subscription": stored.id, "version": stored.version})


def notify(tx: Transaction, happened: Sequence[Happening]) -> None:
    """Queue one notification per live Subscription and thing it asks about: what happened, and what this transaction wrote."""
    written = [stored for stored in tx.written() if not stored.deleted and stored.type not in _UNTOLD]
    if not (happened or written) or not tx.resources.any(TYPE):
        return
    for subscription in tx.on_behalf_of(GATEWAY).search(TYPE, _LIVE_QUERY).entries:
        criteria = str(subscription.resource.get("criteria", ""))
        if not tx.outbox.count(f"handshake/{subscription.id}/"):
            continue  # a client wrote it so: nobody has asked this endpoint
        if criteria.startswith(TOPIC_URL):
            topic = criteria.removeprefix(TOPIC_URL)
            sees = tx.on_behalf_of(_owner(subscription)).cases
            for one in happened:
                if one.topic == topic and sees.get(f"ServiceRequest/{one.case}") is not None:
                    _queue(tx, subscription, one.focus, one.name, criteria)
        else:
            for stored in _matching(tx, subscription, criteria, written):
                _queue(tx, subscription, stored.reference, f"{stored.reference}/{stored.version}", "")


def _matching(tx: Transaction, subscription: Stored, criteria: str, written: Sequence[Stored]) -> list[Stored]:
    """What was written that the criteria find, as the subscriber sees it."""
    type, query = search_of(criteria)
    mine = [stored for stored in written if stored.type == type]
    if not mine:
        return []
    view = tx.on_behalf_of(_owner(subscription))
    pairs = [*parse_qsl(query, keep_blank_values=True), ("_id", ",".join(stored.id for stored in mine)), ("_count", str(len(mine)))]
    try:
        found = {stored.id for stored in view.search(type, parse_query(type, pairs)).entries}
    except SearchError:  # a parameter that a later version of this program no longer has
        return []
    return [stored for stored in mine if stored.id in found]


def _queue(tx: Transaction, subscription: Stored, focus: str, name: str, topic: str) -> None:
    tx.lock(f"subscription:{subscription.id}")
    number = tx.outbox.count(f"hook/{subscription.id}/") + 1
    payload = {"subscription": subscription.id, "focus": focus, "number": number, "topic": topic}
    tx.outbox.put("hook", f"hook/{subscription.id}/{name}", payload, lane=f"hook/{subscription.id}")


def search_of(criteria: str) -> tuple[str, str]:
    """The type and the query of a search criterion."""
    type, _, query = criteria.partition("?")
    return type, query


def _owner(subscription: Stored) -> Principal:
    """On whose behalf a Subscription looks: its owner's."""
    name = f"Subscription/{subscription.id}"
    return Principal("referrer", subscription.owner, name) if subscription.owner else Principal("clinic", name=name)


def _faults(resource: Json) -> list[tuple[str, str, str]]:
    """(issue code, sentence, element)."""
    found: list[tuple[str, str, str]] = []
    found += _criteria_faults(str(resource.get("criteria", "")))
    channel = resource.get("channel") or {}
    if channel.get("type") != "rest-hook":
        found.append(("not-supported", "Only rest-hook notifications are sent", "channel.type"))
    found += [("value", fault, "channel.endpoint") for fault in _endpoint_faults(str(channel.get("endpoint") or ""))]
    if channel.get("payload") not in (None, "", "application/fhir+json", "application/json"):
        found.append(("not-supported", "Notifications are application/fhir+json, or empty where no payload is named", "channel.payload"))
    content = {str(one.get("valueCode")) for one in walk(channel, "_payload.extension") if isinstance(one, dict) and "valueCode" in one}
    if content - {"id-only", "empty"}:
        found.append(("not-supported", "Notifications carry ids only; read the resource under your own rights", "channel.payload"))
    for header in channel.get("header") or ():
        name, colon, value = str(header).partition(":")
        if not colon or not name.strip().isascii() or not value.strip().isprintable() or any(c in str(header) for c in "\r\n"):
            found.append(("value", "A header is written as Name: value", "channel.header"))
    return found


def _criteria_faults(criteria: str) -> list[tuple[str, str, str]]:
    if criteria.startswith(TOPIC_URL):
        if criteria.removeprefix(TOPIC_URL) not in TOPICS:
            return [("not-found", f"There is no such topic; there are {', '.join(TOPICS)}", "criteria")]
        return []
    if criteria.startswith(("http://", "https://")):
        return []  # a topic of somebody else: kept, and switched off with the reason (`unservable`)
    type, query = search_of(criteria)
    if not shapes.known(type):
        return [("value", f"The criteria must be a search such as Task?code=fulfill, or {TOPIC_URL} and one of {', '.join(TOPICS)}", "criteria")]
    try:
        parsed: SearchQuery = parse_query(type, parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except (SearchError, ValueError) as fault:
        return [("value", str(fault), "criteria")]
    return [] if not parsed.only_count else [("value", "The criteria must find resources, not count them", "criteria")]


def _endpoint_faults(endpoint: str) -> list[str]:
    """A hook is called from inside the clinic's network, so it must be said plainly where to: https, or http on this very machine."""
    try:
        parts = urlsplit(endpoint)
        port_is_fine = parts.port != 0
    except ValueError:
        return ["The endpoint is no address"]
    if not parts.hostname or parts.scheme not in ("https", "http") or not port_is_fine:
        return ["The endpoint must be an https address"]
    if parts.username or parts.password:
        return ["The endpoint must not carry a password; use channel.header"]
    return []


def unservable(resource: Json) -> str:
    """Why a legal Subscription is never called, "" for one that is. Called is https, or http on this very machine; known is a topic of ours or a search."""
    if str(resource.get("criteria", "")).startswith(("http://", "https://")):
        return f"This topic is not known here; there are {TOPIC_URL} and one of {', '.join(TOPICS)}, or a search such as Task?code=fulfill"
    parts = urlsplit(str((resource.get("channel") or {}).get("endpoint") or ""))
    return "" if parts.scheme == "https" or _loopback(parts.hostname or "") else "Notifications are sent to https addresses only"


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
