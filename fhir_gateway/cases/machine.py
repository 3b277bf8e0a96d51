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
    """One case state in everybody's words. v2: what a v2 sender is told."""

    name: str
    request: str  # ServiceRequest.status
    task: str  # Task.status
    business: str  # Task.businessStatus
    bser: str  # BSeR STU2 business status
    v2: str


# DOMAIN 3.5. BSeR STU1 used 5.x for other things; a partner on STU1 needs its own table.
CASE_STATES: Final = (
    State("received", "active", "received", "received", "2.0", "RRI^I12 RF1-1 P"),
    State("awaiting-information", "active", "received", "awaiting-information", "2.0", "RRI^I12 P; OSU ORC-5 HD"),
    State("accepted", "active", "accepted", "accepted", "3.0", "OSU IP; RF1-1 A"),
    State("collecting", "active", "in-progress", "records-incomplete", "3.0", "OSU IP"),
    State("records-complete", "active", "in-progress", "ready-for-review", "3.0", "OSU IP"),
    State("scheduled", "active", "in-progress", "scheduled", "5.1.1", "SIU S12; OSU SC"),
    State("no-show", "active", "in-progress", "no-show", "5.1.2", "SIU S26; OSU SC"),
    State("appt-cancelled", "active", "in-progress", "appt-cancelled", "5.1.3", "SIU S15; OSU SC"),
    State("in-review", "active", "in-progress", "in-review", "5.1.4", "OMG^O19"),
    State("interim", "active", "in-progress", "interim-opinion", "5.1.4", "OMG^O19 and document"),
    State("opinion-issued", "completed", "completed", "opinion-final", "7.0", "OMG^O19 CM and consultation note; RF1-4 WR"),
    State("returned-incomplete", "active", "on-hold", "returned-to-referrer", "", "RRI P and NTE"),
    State("declined", "revoked", "rejected", "declined", "4.0", "OSU CA and ORC-16; RF1-1 R"),
    State("cancel-requested", "active", "in-progress", "cancel-requested", "5.2", "OSU CA"),
    State("cancelled", "revoked", "cancelled", "cancelled", "6.0", "OSU CA"),
    State("expired", "revoked", "failed", "expired", "", "RF1-1 E"),
    State("entered-in-error", "entered-in-error", "entered-in-error", "entered-in-error", "", ""),
)
BY_NAME: Final = {state.name: state for state in CASE_STATES}
BY_BUSINESS: Final = {state.business: state for state in CASE_STATES}

# A Task without our businessStatus: the plainest state with its status.
BY_STATUS: Final = {"draft": "received", "requested": "received", "ready": "accepted", "in-progress": "collecting"} | {
    state.task: state.name for state in reversed(CASE_STATES) if state.task != "in-progress"
}

CLINIC: Final = ("clinic",)
REFERRER: Final = ("referrer",)
EITHER: Final = ("clinic", "referrer")
RULE: Final = ("rule",)
CLOCK: Final = ("clinic", "rule")


class T(NamedTuple):
    """One legal transition. tells: what the sender is told, None for nothing."""

    source: str
    event: str
    to: str
    who: tuple[str, ...]
    tells: str | None


TRANSITIONS: Final = (
    # from                  event                    to                      who       tells the sender
    T("received", "accept", "accepted", CLINIC, "OSU^O51 IP / RF1-1 A"),
    T("received", "request-information", "awaiting-information", CLINIC, "RRI^I12 P; OSU HD; Tasks for what is wanted"),
    T("received", "return-incomplete", "returned-incomplete", CLINIC, "RRI^I12 P and NTE"),
    T("received", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("received", "redirect", "declined", CLINIC, "OSU CA and ORC-16 naming who takes it"),
    T("received", "cancel", "cancelled", REFERRER, "OSU CA"),
    T("received", "expire", "expired", CLOCK, "RF1-1 E"),
    T("received", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("awaiting-information", "information-received", "received", ("clinic", "referrer", "rule"), None),
    T("awaiting-information", "accept", "accepted", CLINIC, "OSU^O51 IP / RF1-1 A"),
    T("awaiting-information", "return-incomplete", "returned-incomplete", CLINIC, "RRI^I12 P and NTE"),
    T("awaiting-information", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("awaiting-information", "cancel", "cancelled", REFERRER, "OSU CA"),
    T("awaiting-information", "expire", "expired", CLOCK, "RF1-1 E"),
    T("awaiting-information", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("returned-incomplete", "resubmit", "received", REFERRER, "RRI^I12 P"),
    T("returned-incomplete", "accept", "accepted", CLINIC, "OSU^O51 IP / RF1-1 A"),
    T("returned-incomplete", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("returned-incomplete", "cancel", "cancelled", REFERRER, "OSU CA"),
    T("returned-incomplete", "expire", "expired", CLOCK, "RF1-1 E"),
    T("accepted", "collect", "collecting", CLINIC, "Tasks for what is missing"),
    T("accepted", "records-complete", "records-complete", RULE, None),
    T("accepted", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("accepted", "return-incomplete", "returned-incomplete", CLINIC, "RRI^I12 P and NTE"),
    T("accepted", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),  # BSeR TID 05: after acceptance
    T("accepted", "cancel", "cancelled", REFERRER, "OSU CA"),
    T("accepted", "expire", "expired", CLOCK, "RF1-1 E"),
    T("collecting", "records-complete", "records-complete", RULE, None),
    T("collecting", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("collecting", "return-incomplete", "returned-incomplete", CLINIC, "RRI^I12 P and NTE"),
    T("collecting", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("collecting", "cancel-request", "cancel-requested", REFERRER, None),
    T("collecting", "expire", "expired", CLOCK, "RF1-1 E"),
    T("records-complete", "record-retracted", "collecting", RULE, "Task requested"),
    T("records-complete", "record-stale", "collecting", RULE, "Task requested"),
    T("records-complete", "records-incomplete", "collecting", RULE, "Task requested"),
    T("records-complete", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("records-complete", "start-review", "in-review", CLINIC, None),
    T("records-complete", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("records-complete", "cancel-request", "cancel-requested", REFERRER, None),
    T("scheduled", "appointment-moved", "scheduled", EITHER, "SIU S13"),
    T("scheduled", "appointment-cancelled", "appt-cancelled", EITHER, "SIU S15"),
    T("scheduled", "no-show", "no-show", EITHER, "SIU S26"),
    T("scheduled", "start-review", "in-review", CLINIC, None),
    T("scheduled", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("scheduled", "cancel-request", "cancel-requested", REFERRER, None),
    T("no-show", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("no-show", "collect", "collecting", CLINIC, None),
    T("no-show", "start-review", "in-review", CLINIC, None),  # records only
    T("no-show", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("no-show", "cancel-request", "cancel-requested", REFERRER, None),
    T("no-show", "expire", "expired", CLOCK, "RF1-1 E"),
    T("appt-cancelled", "appointment-booked", "scheduled", EITHER, "SIU S12"),
    T("appt-cancelled", "collect", "collecting", CLINIC, None),
    T("appt-cancelled", "start-review", "in-review", CLINIC, None),
    T("appt-cancelled", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("appt-cancelled", "cancel-request", "cancel-requested", REFERRER, None),
    T("appt-cancelled", "expire", "expired", CLOCK, "RF1-1 E"),
    T("in-review", "interim-opinion", "interim", CLINIC, "OMG^O19 and document"),
    T("in-review", "issue-opinion", "opinion-issued", CLINIC, "OMG^O19 CM and consultation note; RF1-4 WR"),
    T("in-review", "request-information", "collecting", CLINIC, "Task requested"),
    T("in-review", "decline", "declined", CLINIC, "OSU CA and ORC-16; RF1-1 R"),
    T("in-review", "cancel-request", "cancel-requested", REFERRER, None),
    T("interim", "interim-opinion", "interim", CLINIC, "OMG^O19 and document"),
    T("interim", "issue-opinion", "opinion-issued", CLINIC, "OMG^O19 CM and consultation note; RF1-4 WR"),
    T("interim", "request-information", "collecting", CLINIC, "Task requested"),
    T("interim", "cancel-request", "cancel-requested", REFERRER, None),
    T("cancel-requested", "confirm-cancel", "cancelled", CLINIC, "OSU CA"),
    T("cancel-requested", "refuse-cancel", "collecting", CLINIC, "OSU IP"),
    T("cancel-requested", "issue-opinion", "opinion-issued", CLINIC, "OMG^O19 CM and consultation note; RF1-4 WR"),  # TID 24
    T("opinion-issued", "reopen", "in-review", CLINIC, "OSU IP"),
    T("declined", "reopen", "received", CLINIC, "RRI^I12 P"),
    T("declined", "resubmit", "received", REFERRER, "RRI^I12 P"),
    T("cancelled", "reopen", "received", CLINIC, "RRI^I12 P"),
    T("cancelled", "resubmit", "received", REFERRER, "RRI^I12 P"),
    T("expired", "reopen", "received", CLINIC, "RRI^I12 P"),
    T("expired", "resubmit", "received", REFERRER, "RRI^I12 P"),
    *(T(state.name, "void", "entered-in-error", EITHER, None) for state in CASE_STATES if state.name != "entered-in-error"),
)
TABLE: Final = {(row.source, row.event): row for row in TRANSITIONS}

# Elements of the coordination Task that never change: they say whose case it is.
FIXED: Final = ("focus", "for", "code", "groupIdentifier", "intent")


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

    Raises IllegalTransition for a state change the table does not have, for a status that does not fit its businessStatus, and for
    a change of what the case is about.
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
