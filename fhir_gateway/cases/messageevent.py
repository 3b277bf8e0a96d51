"""What a FHIR message says has happened (MessageHeader.event[x]), in the words of those who send referrals. Pure.

Source: DOMAIN 1.2 (BSeR: HL7 v2 table 0003), 1.3 (pan-Canadian eReferral, NHS BaRS, which says new, update or delete in MessageHeader.reason).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from fhir_gateway.cases.evidence import codings
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

Event = Literal["new", "modify", "cancel", "status", "records", "appointment"]

MESSAGE_EVENTS: Final = canonical("CodeSystem", "message-event")
V2_EVENTS: Final = "http://terminology.hl7.org/CodeSystem/v2-0003"
BARS_EVENTS: Final = "https://fhir.nhs.uk/CodeSystem/message-events-bars"
OWN: Final[tuple[Event, ...]] = ("new", "modify", "cancel", "status", "records", "appointment")
V2: Final[dict[str, Event]] = {
    **dict.fromkeys(("I12",), "new"),
    **dict.fromkeys(("I13",), "modify"),
    **dict.fromkeys(("I14",), "cancel"),
    **dict.fromkeys(("I15",), "status"),
    **dict.fromkeys(("R01", "T02"), "records"),
    **dict.fromkeys(("S12", "S13", "S14", "S15", "S26"), "appointment"),
}
# The eReferral messages are named alike in several code systems (pan-Canadian, Ontario by version): the code alone says it.
EREFERRAL: Final[dict[str, Event]] = {
    "add-service-request": "new",
    "update-service-request": "modify",
    "notify-update-service-request": "modify",
    "notify-data-correction": "modify",
    "revoke-service-request": "cancel",
    "notify-add-process-request": "modify",
    "notify-update-process-request": "modify",
    "notify-add-appointment": "appointment",
    "notify-update-appointment": "appointment",
    "send-communication": "records",
    "send-communication-from-requester": "records",
    "send-communication-from-provider": "records",
}
BARS: Final[dict[tuple[str, str], Event]] = {
    ("servicerequest-request", "new"): "new",
    ("servicerequest-request", "update"): "modify",
    ("servicerequest-request", "delete"): "cancel",
    ("booking-request", "new"): "appointment",
    ("booking-request", "update"): "appointment",
    ("booking-request", "delete"): "appointment",
}
# MessageHeader.event that speaks of one appointment which will not be, → what its status becomes.
CALLED_OFF: Final = {"S15": "cancelled", "S26": "noshow"}


class Saying(NamedTuple):
    """A way to say that something has happened. system: "" where the code alone says it. reason: the code that MessageHeader.reason must have, "" for none."""

    event: Event
    system: str
    code: str
    reason: str = ""


def sayings() -> Iterator[Saying]:
    """Every way `event_of` understands."""
    yield from (Saying(event, MESSAGE_EVENTS, event) for event in OWN)
    yield from (Saying(event, V2_EVENTS, code) for code, event in V2.items())
    yield from (Saying(event, BARS_EVENTS, code, reason) for (code, reason), event in BARS.items())
    yield from (Saying(event, "", code) for code, event in EREFERRAL.items())


def event_of(header: Json) -> Event | None:
    """What the message says has happened, None for an event nobody here knows."""
    system, code = event_code(header)
    if system == MESSAGE_EVENTS:
        return next((event for event in OWN if event == code), None)
    if system == V2_EVENTS:
        return V2.get(code)
    if system == BARS_EVENTS:
        reasons = [reason for _, reason in codings(header.get("reason"))] or ["new"]
        return BARS.get((code, reasons[0]))
    return EREFERRAL.get(code)


def event_code(header: Json) -> tuple[str, str]:
    """(system, code) of the event; of an eventUri what stands before and behind its `#`, or its last step."""
    coding = header.get("eventCoding")
    if isinstance(coding, dict):
        return str(coding.get("system", "")), str(coding.get("code", ""))
    uri = str(header.get("eventUri", ""))
    system, mark, code = uri.rpartition("#" if "#" in uri else "/" if "/" in uri else ":")
    return (system, code) if mark else ("", uri)
