"""What a judgement changed that somebody outside may want to know: two flat answers of one case → news. Pure.

The topics are those of issue 3, point 11; docs and Subscriptions call them `urn:second-opinion-gateway:SubscriptionTopic:<topic>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from fhir_gateway.cases.machine import TRANSITIONS
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

# Topic → what it tells.
TOPICS: Final[dict[str, str]] = {
    "case-state": "a case moved to another state",
    "appointment": "an appointment was booked, moved, cancelled or missed",
    "item-requested": "a required record was asked for",
    "item-accepted": "a required record was accepted",
    "item-reopened": "a required record that was accepted is wanted again",
    "opinion-issued": "the opinion was issued",
}
TOPIC_URL: Final = canonical("SubscriptionTopic", "")
HELD: Final = ("accepted", "expiring")
OPEN: Final = ("missing", "requested", "expected", "received", "not-acceptable", "declined")


class News(NamedTuple):
    """One change. item: id of the required record, "" for the case as a whole. before, after: state (of the case or the item), or appointment start.

    event: the transition of the case's state machine that was taken, "" where none was.
    """

    topic: str
    item: str
    before: str
    after: str
    event: str = ""


def news(before: Json | None, after: Json) -> Iterator[News]:
    """Everything that changed from one flat answer to the next, the case first. before: None for a case just opened."""
    was: Json = before["case"] if before else {}
    now: Json = after["case"]
    if was.get("state") != now["state"]:
        event = _event(str(was.get("state") or ""), now["state"])
        yield News("case-state", "", str(was.get("state") or ""), now["state"], event)
        if now["state"] == "opinion-issued":
            yield News("opinion-issued", "", str(was.get("state") or ""), now["state"], event)
    yield from _appointment(was, now)
    held = {item["id"]: item["state"] for item in (before or {}).get("items", ())}
    for item in after["items"]:
        old, new = held.get(item["id"], "missing"), item["state"]
        if old == new:
            continue
        if new == "requested":
            yield News("item-requested", item["id"], old, new)
        elif new == "accepted" and old not in HELD and before is not None:
            yield News("item-accepted", item["id"], old, new)
        elif new in OPEN and old in HELD:
            yield News("item-reopened", item["id"], old, new)


def _appointment(was: Json, now: Json) -> Iterator[News]:
    """S12 booked, S13 moved, S15 cancelled, S26 missed."""
    old, new = str(was.get("appointment") or ""), str(now.get("appointment") or "")
    if old == new:
        return
    event = "appointment-booked" if not old else "appointment-moved"
    if not new:
        event = "no-show" if now["state"] == "no-show" else "appointment-cancelled"
    yield News("appointment", "", old, new, event)


def _event(source: str, to: str) -> str:
    """The event that led from one state to another; where several steps were taken at once, the one that ends there."""
    rows = [row for row in TRANSITIONS if row.to == to]
    direct = next((row.event for row in rows if row.source == source), None)
    return direct or ("receive" if not source and to == "received" else next((row.event for row in rows), ""))
