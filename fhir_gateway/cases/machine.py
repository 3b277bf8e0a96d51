"""Case states, and who may move a case between them. Source: DOMAIN 3.5 (360X, BSeR STU2, COW).

The coordination Task holds the state: businessStatus (our CodeSystem case-state) says it exactly, Task.status roughly. Every entrance
that would change it (an event, a PUT or PATCH on the Task) passes through TRANSITIONS or is refused with the legal events named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.model import Gate, Json, Judgement
from profiles.canonical import canonical

CASE_STATE_SYSTEM: Final = canonical("CodeSystem", "case-state")


class State(NamedTuple):
    """One case state in everybody's words."""

    name: str
    request: str  # ServiceRequest.status
    task: str  # Task.status
    business: str  # Task.businessStatus
    bser: str  # BSeR STU2 business status
    rf1: str  # RF1-1 referral status, table 0283
    orc1: str  # ORC-1 order control, table 0119
    orc5: str  # ORC-5 order status, table 0038


# DOMAIN 3.5, 1.1. BSeR STU1 used 5.x for other things; a partner on STU1 needs its own table. Table 0038 has no word for "not yet decided": HD (on
# hold) is the nearest. Table 0283 has none for "withdrawn": R with the reason in words. Until a withdrawal is confirmed the order is in process.
CASE_STATES: Final = (
    # name, ServiceRequest, Task, businessStatus, BSeR, RF1-1, ORC-1, ORC-5
    State("received", "active", "received", "received", "2.0", "P", "SC", "HD"),
    State("awaiting-information", "active", "received", "awaiting-information", "2.0", "P", "SC", "HD"),
    State("accepted", "active", "accepted", "accepted", "3.0", "A", "SC", "IP"),
    State("collecting", "active", "in-progress", "records-incomplete", "3.0", "A", "SC", "IP"),
    State("records-complete", "active", "in-progress", "ready-for-review", "3.0", "A", "SC", "IP"),
    State("scheduled", "active", "in-progress", "scheduled", "5.1.1", "A", "SC", "SC"),
    State("no-show", "active", "in-progress", "no-show", "5.1.2", "A", "SC", "SC"),
    State("appt-cancelled", "active", "in-progress", "appt-cancelled", "5.1.3", "A", "SC", "SC"),
    State("in-review", "active", "in-progress", "in-review", "5.1.4", "A", "SC", "IP"),
    State("interim", "active", "in-progress", "interim-opinion", "5.1.4", "A", "SC", "IP"),
    State("opinion-issued", "completed", "completed", "opinion-final", "7.0", "A", "SC", "CM"),
    State("returned-incomplete", "active", "on-hold", "returned-to-referrer", "", "P", "SC", "HD"),
    State("declined", "revoked", "rejected", "declined", "4.0", "R", "OC", "CA"),
    State("cancel-requested", "active", "in-progress", "cancel-requested", "5.2", "A", "SC", "IP"),
    State("cancelled", "revoked", "cancelled", "cancelled", "6.0", "R", "CR", "CA"),
    State("expired", "revoked", "failed", "expired", "", "E", "OD", "DC"),
    State("entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error", "", "R", "OC", "ER"),
)
BY_NAME: Final = {state.name: state for state in CASE_STATES}
BY_BUSINESS: Final = {state.business: state for state in CASE_STATES}

# A Task without our businessStatus: the plainest state with its status.
BY_STATUS: Final = {"draft": "received", "requested": "received", "ready": "accepted", "in-progress": "collecting"} | {
    state.task: state.name for state in reversed(CASE_STATES) if state.task != "in-progress"
}

# States in which the review has begun: what was held may have been read for the opinion.
REVIEWED: Final = frozenset({"in-review", "interim", "opinion-issued"})

CLINIC: Final = ("clinic",)
REFERRER: Final = ("referrer",)
EITHER: Final = ("clinic", "referrer")
RULE: Final = ("rule",)
CLOCK: Final = ("clinic", "rule")


# What the sender is told: its name here → the HL7 v2 message, by what the sender is registered for (RRI of chapter 11, or OSU and OMG of 360X).
TELLINGS: Final = {
    "status": "RRI^I12 or OSU^O51",
    "withdrawn": "RRI^I14 or OSU^O51",
    "booked": "SIU^S12",
    "moved": "SIU^S13",
    "called-off": "SIU^S15",
    "missed": "SIU^S26",
    "interim": "MDM^T02 or OMG^O19 IP",
    "outcome": "RRI^I12 WR and MDM^T02, or OMG^O19 CM",
    "requests": "a Task per record wanted",
}


class T(NamedTuple):
    """One legal transition. tells: what the sender is told, names of TELLINGS."""

    source: str
    event: str
    to: str
    who: tuple[str, ...]
    tells: tuple[str, ...] = ()


TRANSITIONS: Final = (
    # from                  event                    to                      who       tells the sender
    T("received", "accept", "accepted", CLINIC, ("status",)),
    T("received", "request-information", "awaiting-information", CLINIC, ("status", "requests")),
    T("received", "return-incomplete", "returned-incomplete", CLINIC, ("status",)),
    T("received", "decline", "declined", CLINIC, ("status",)),
    T("received", "redirect", "declined", CLINIC, ("status",)),
    T("received", "cancel", "cancelled", REFERRER, ("withdrawn",)),
    T("received", "expire", "expired", CLOCK, ("status",)),
    T("received", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("awaiting-information", "information-received", "received", ("clinic", "referrer", "rule")),
    T("awaiting-information", "accept", "accepted", CLINIC, ("status",)),
    T("awaiting-information", "return-incomplete", "returned-incomplete", CLINIC, ("status",)),
    T("awaiting-information", "decline", "declined", CLINIC, ("status",)),
    T("awaiting-information", "cancel", "cancelled", REFERRER, ("withdrawn",)),
    T("awaiting-information", "expire", "expired", CLOCK, ("status",)),
    T("awaiting-information", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("returned-incomplete", "resubmit", "received", REFERRER, ("status",)),
    T("returned-incomplete", "accept", "accepted", CLINIC, ("status",)),
    T("returned-incomplete", "decline", "declined", CLINIC, ("status",)),
    T("returned-incomplete", "cancel", "cancelled", REFERRER, ("withdrawn",)),
    T("returned-incomplete", "expire", "expired", CLOCK, ("status",)),
    T("accepted", "collect", "collecting", CLINIC, ("requests",)),
    T("accepted", "records-complete", "records-complete", RULE),
    T("accepted", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("accepted", "return-incomplete", "returned-incomplete", CLINIC, ("status",)),
    T("accepted", "decline", "declined", CLINIC, ("status",)),  # BSeR TID 05: after acceptance
    T("accepted", "cancel", "cancelled", REFERRER, ("withdrawn",)),
    T("accepted", "expire", "expired", CLOCK, ("status",)),
    T("collecting", "records-complete", "records-complete", RULE),
    T("collecting", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("collecting", "return-incomplete", "returned-incomplete", CLINIC, ("status",)),
    T("collecting", "decline", "declined", CLINIC, ("status",)),
    T("collecting", "cancel-request", "cancel-requested", REFERRER),
    T("collecting", "expire", "expired", CLOCK, ("status",)),
    T("records-complete", "record-retracted", "collecting", RULE, ("requests",)),
    T("records-complete", "record-stale", "collecting", RULE, ("requests",)),
    T("records-complete", "records-incomplete", "collecting", RULE, ("requests",)),
    T("records-complete", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("records-complete", "start-review", "in-review", CLINIC),
    T("records-complete", "decline", "declined", CLINIC, ("status",)),
    T("records-complete", "cancel-request", "cancel-requested", REFERRER),
    T("scheduled", "appointment-moved", "scheduled", EITHER, ("moved",)),
    T("scheduled", "appointment-cancelled", "appt-cancelled", EITHER, ("called-off",)),
    T("scheduled", "no-show", "no-show", EITHER, ("missed",)),
    T("scheduled", "start-review", "in-review", CLINIC),
    T("scheduled", "decline", "declined", CLINIC, ("status",)),
    T("scheduled", "cancel-request", "cancel-requested", REFERRER),
    T("no-show", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("no-show", "collect", "collecting", CLINIC, ("requests",)),
    T("no-show", "start-review", "in-review", CLINIC),  # records only
    T("no-show", "decline", "declined", CLINIC, ("status",)),
    T("no-show", "cancel-request", "cancel-requested", REFERRER),
    T("no-show", "expire", "expired", CLOCK, ("status",)),
    T("appt-cancelled", "appointment-booked", "scheduled", EITHER, ("status", "booked")),
    T("appt-cancelled", "collect", "collecting", CLINIC, ("requests",)),
    T("appt-cancelled", "start-review", "in-review", CLINIC),
    T("appt-cancelled", "decline", "declined", CLINIC, ("status",)),
    T("appt-cancelled", "cancel-request", "cancel-requested", REFERRER),
    T("appt-cancelled", "expire", "expired", CLOCK, ("status",)),
    T("in-review", "interim-opinion", "interim", CLINIC, ("interim",)),
    T("in-review", "issue-opinion", "opinion-issued", CLINIC, ("outcome",)),
    T("in-review", "request-information", "collecting", CLINIC, ("requests",)),
    T("in-review", "decline", "declined", CLINIC, ("status",)),
    T("in-review", "cancel-request", "cancel-requested", REFERRER),
    T("interim", "interim-opinion", "interim", CLINIC, ("interim",)),
    T("interim", "issue-opinion", "opinion-issued", CLINIC, ("outcome",)),
    T("interim", "request-information", "collecting", CLINIC, ("requests",)),
    T("interim", "cancel-request", "cancel-requested", REFERRER),
    T("cancel-requested", "confirm-cancel", "cancelled", CLINIC, ("withdrawn",)),
    T("cancel-requested", "refuse-cancel", "collecting", CLINIC, ("status",)),
    T("cancel-requested", "issue-opinion", "opinion-issued", CLINIC, ("outcome",)),  # TID 24
    T("opinion-issued", "reopen", "in-review", CLINIC, ("status",)),
    T("declined", "reopen", "received", CLINIC, ("status",)),
    T("declined", "resubmit", "received", REFERRER, ("status",)),
    T("cancelled", "reopen", "received", CLINIC, ("status",)),
    T("cancelled", "resubmit", "received", REFERRER, ("status",)),
    T("expired", "reopen", "received", CLINIC, ("status",)),
    T("expired", "resubmit", "received", REFERRER, ("status",)),
    *(T(state.name, "void", "entered-in-error", EITHER) for state in CASE_STATES if state.name != "entered-in-error"),
)
TABLE: Final = {(row.source, row.event): row for row in TRANSITIONS}

# Elements of the coordination Task that never change: they say whose case it is.
FIXED: Final = ("focus", "for", "code", "groupIdentifier", "intent")


# Events that say what the clinic thinks: only with the opinion itself on the Task.
OPINIONS: Final = frozenset({"interim-opinion", "issue-opinion"})

# What the placer asks by a status of the ServiceRequest, the plainest event first.
WITHDRAWN: Final = {"revoked": ("cancel", "cancel-request"), "entered-in-error": ("void",)}


class IllegalTransition(ValueError):
    """The event is not legal in this state for this actor. `legal` names the events that are."""

    def __init__(self, state: str, event: str, legal: tuple[str, ...], why: str = "") -> None:
        listed = ", ".join(legal) or "none"
        super().__init__(f"{why or f'{event} is not possible'} in state {state}; possible now: {listed}")
        self.state, self.event, self.legal = state, event, legal


def legal(state: str, actor: str) -> tuple[T, ...]:
    """What `actor` (clinic, referrer or rule) may do now."""
    return tuple(row for row in TRANSITIONS if row.source == state and actor in row.who)


def move(state: str, event: str, actor: str) -> T:
    """The transition an event makes. Raises IllegalTransition naming the legal events."""
    row = TABLE.get((state, event))
    if row is None or actor not in row.who:
        why = f"{event} is for {' or '.join(row.who)}, not {actor}," if row else ""
        raise IllegalTransition(state, event, tuple(t.event for t in legal(state, actor)), why)
    return row


def tells(event: str, to: str) -> tuple[str, ...]:
    """What the sender is told when `event` led to state `to`, names of TELLINGS; () for nothing, and when no event leads there."""
    return next((row.tells for row in TRANSITIONS if (row.event, row.to) == (event, to)), ())


def state_of(task: Json | None) -> str:
    """The case state a coordination Task is in; `received` while there is none.

    A businessStatus that does not fit the status was left behind by a client that knows only Task.status: the status holds.
    """
    if task is None:
        return "received"
    said = _business(task)
    if said and BY_NAME[said].task == task.get("status"):
        return said
    return BY_STATUS.get(str(task.get("status")), "received")


def rule_event(state: str, passed: Mapping[str, Gate], items: Iterable[Judgement] = ()) -> str | None:
    """The event the gates call for: a case becomes complete when records and permission are both satisfied, and stops being so."""
    ready = passed["records"].state == "satisfied" and passed["permission"].state == "satisfied"
    if ready:
        return "records-complete" if (state, "records-complete") in TABLE else None
    if state != "records-complete":
        return None
    reasons = {item.reason for item in items if item.open}
    if reasons & {"retracted", "consent-withdrawn", "consent-denied"}:
        return "record-retracted"
    return "record-stale" if reasons & {"stale", "lapsed", "consent-lapsed"} else "records-incomplete"


def check_task_write(old: Json, new: Json, actor: str = "clinic") -> T | None:
    """Is this write on the coordination Task a legal transition? None when it changes no state.

    Raises IllegalTransition for a state change the table does not have, for a status that does not fit its businessStatus, for
    an opinion that is not there, and for a change of what the case is about.
    """
    before = state_of(old)
    options = tuple(t.event for t in legal(before, actor))
    for element in FIXED:
        if list(walk(old, element)) != list(walk(new, element)):
            raise IllegalTransition(before, "write", options, f"Task.{element} of a case can't be changed,")
    after = state_of(new)
    said = _business(new)
    if new.get("status") != BY_NAME[after].task or (said and said != after and new.get("businessStatus") != old.get("businessStatus")):
        raise IllegalTransition(before, "write", options, f"Task.status {new.get('status')} does not go with {BY_NAME[said or after].business},")
    if after == before:
        return None
    row = next((t for t in legal(before, actor) if t.to == after), None)
    if row is None:
        raise IllegalTransition(before, "write", options, f"{after} can't be reached")
    if row.event in OPINIONS and not any(True for _ in walk(new, "output")):
        raise IllegalTransition(before, "write", options, f"{row.event} needs the opinion as Task.output (or use ServiceRequest/[id]/$opinion),")
    return row


def check_request_write(state: str, old: str, new: str) -> None:
    """May ServiceRequest.status of a case's referral change so? The placer withdraws it and may send it again; the rest follows the case (COW).

    Raises IllegalTransition naming what is legal.
    """
    if old == new:
        return
    options = tuple(row.event for row in legal(state, "referrer"))
    if new in WITHDRAWN:
        wanted: tuple[str, ...] = WITHDRAWN[new]
    elif BY_NAME[state].request != "active":
        wanted = ("resubmit",) if new == "active" else ()
    else:
        wanted = () if new == "completed" else options or ("none",)
    if not set(wanted) & {*options, "none"}:
        raise IllegalTransition(state, "write", options, f"ServiceRequest.status {new} is not the sender's to set")


def _business(task: Json) -> str | None:
    codes = codings(task.get("businessStatus"))
    return next((BY_BUSINESS[code].name for system, code in codes if system == CASE_STATE_SYSTEM and code in BY_BUSINESS), None)
