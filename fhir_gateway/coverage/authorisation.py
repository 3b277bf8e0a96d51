"""Prior authorisation of a case as one state table: where it stands, who may move it, what it says to a clerk. The resources are the truth.

The state follows from the Claims (use preauthorization), the ClaimResponses and the eligibility answer held for the case; nothing stores it.
Decision clocks: 72 hours for an expedited request, 7 calendar days for any other (CMS-0057-F, from 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final, Literal, NamedTuple

from fhir_gateway.cases.answered import Item, created_at, good_for, word
from fhir_gateway.cases.authorised import number, wanted
from fhir_gateway.cases.days import Span
from fhir_gateway.cases.evidence import codings, walk

Json = dict[str, Any]
State = Literal[
    "not-needed",
    "unknown",
    "needed",
    "asked",
    "pended",
    "information-requested",
    "approved",
    "partly-approved",
    "denied",
    "expired",
    "not-begun",
    "cancelled",
    "failed",
    "unclear",
]

WORDS: Final[dict[State, str]] = {
    "not-needed": "Prior authorisation is not required.",
    "unknown": "Whether prior authorisation is required is not known.",
    "needed": "Prior authorisation is required.",
    "asked": "Prior authorisation has been asked for and is not answered yet.",
    "pended": "Prior authorisation has been asked for and is not decided yet.",
    "information-requested": "The payer wants more information before it decides on the authorisation.",
    "approved": "Prior authorisation is on file.",
    "partly-approved": "The payer has authorised a part of what was asked.",
    "denied": "The payer has refused prior authorisation.",
    "expired": "The prior authorisation ends before the day of the service.",
    "not-begun": "The prior authorisation begins after the day of the service.",
    "cancelled": "The authorisation, or the request for it, was taken back.",
    "failed": "The payer could not process the request for prior authorisation.",
    "unclear": "The payer has answered on the authorisation, but neither yes nor no.",
}
OPEN: Final = frozenset[State]({"asked", "pended", "information-requested"})
"""States in which the payer's clock runs."""


class Move(NamedTuple):
    """A step: from any of these states, by this act, to that state, done by one of these."""

    before: frozenset[State]
    act: str
    after: State
    who: tuple[str, ...]


_UNASKED: Final = frozenset[State]({"unknown", "needed", "denied", "partly-approved", "expired", "not-begun", "cancelled", "failed", "unclear"})
_ANY: Final = frozenset(WORDS)
# Who may move it: staff by the command line or $authorise, the payer by a ClaimResponse over FHIR or HL7 v2, time by itself.
MOVES: Final = (
    Move(_UNASKED, "ask", "asked", ("clinic",)),
    Move(_ANY, "pend", "pended", ("payer", "clinic")),
    Move(_ANY, "request-information", "information-requested", ("payer",)),
    Move(_ANY, "grant", "approved", ("payer", "clinic")),
    Move(_ANY, "grant-in-part", "partly-approved", ("payer", "clinic")),
    Move(_ANY, "deny", "denied", ("payer", "clinic")),
    Move(OPEN | {"approved", "partly-approved"}, "cancel", "cancelled", ("payer", "clinic")),
    Move(_ANY, "fail", "failed", ("payer",)),
    Move(_ANY, "answer-neither", "unclear", ("payer",)),
    Move(frozenset({"approved", "partly-approved"}), "run-out", "expired", ("time",)),
    Move(frozenset({"approved", "partly-approved"}), "begin-later", "not-begun", ("time",)),
)

EXPEDITED: Final = timedelta(hours=72)
STANDARD: Final = timedelta(days=7)
_POLLS: Final = ((timedelta(0), timedelta(minutes=1)), (timedelta(minutes=1), timedelta(minutes=5)), (timedelta(minutes=31), timedelta(hours=1)))
"""(since it was asked, how long until it is asked after again): after a minute, every five for half an hour, then hourly (Da Vinci CDex, polling)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the authorisation of a case stands. claim, response: "Type/id" of what says so. asked_at: of the request; due: when the payer's clock ends.

    ref, begins, until: of what was granted. information: what the payer asks for, or why it could not process the request, in its words.
    """

    state: State
    claim: str | None = None
    response: str | None = None
    asked_at: datetime | None = None
    due: datetime | None = None
    expedited: bool = False
    ref: str | None = None
    begins: date | None = None
    until: date | None = None
    information: tuple[str, ...] = ()

    def overdue(self, now: datetime) -> bool:
        """Has the payer let its clock run out?"""
        return self.state in OPEN and self.due is not None and now > self.due

    def words(self, now: datetime, zone: tzinfo) -> str:
        """One sentence or two for a clerk."""
        told = WORDS[self.state]
        if self.state in ("approved", "partly-approved", "expired", "not-begun"):
            begins = f" from {self.begins}" if self.begins and self.state == "not-begun" else ""
            good = f", good{begins}{f' until {self.until}' if self.until else ''}" if begins or self.until else ""
            told = f"{told[:-1]}{f', number {self.ref}' if self.ref else ''}{good}."
        if self.information:
            told += f" It {'says' if self.state == 'failed' else 'asks for'}: {'; '.join(self.information)}."
        if self.state in OPEN and self.due is not None:
            day = self.due.astimezone(zone).strftime("%Y-%m-%d %H:%M")
            kind = "72 hours, expedited" if self.expedited else "7 days"
            told += f" The payer should have decided by {day} ({kind}): overdue." if self.overdue(now) else f" The payer decides by {day} ({kind})."
        return told


def standing(required: bool | None, items: Sequence[Item], days: Span, zone: tzinfo) -> Standing:
    """Where it stands for a service on one of these days (`cases.answered`). required: what the eligibility answer says; items: the Claims and
    ClaimResponses of the case, in any order.
    """
    found = word(items, days, zone)
    if found.says is None:
        return Standing("unknown" if required is None else "needed" if required else "not-needed")
    state: State = "unclear" if found.says == "unknown" else found.says
    asked = _asked(found.claim, state, zone) if found.claim else Standing(state)
    return asked if found.answer is None else _answered(asked, found.answer, zone)


def may(act: str, state: State, who: str) -> Move | None:
    """The move an act makes from a state, None when it makes none."""
    return next((move for move in MOVES if move.act == act and state in move.before and who in move.who), None)


def acts(state: State, who: str) -> list[str]:
    """What may be done in a state."""
    return [move.act for move in MOVES if state in move.before and who in move.who]


def next_poll(asked_at: datetime, now: datetime) -> datetime:
    """When a pended request is to be asked after again."""
    waited = now - asked_at
    return now + next(wait for since, wait in reversed(_POLLS) if waited >= since or since == timedelta(0))


def expedited(claim: Json) -> bool:
    """Is the decision wanted within 72 hours? (Claim.priority, process priority `stat`)"""
    return any(code == "stat" for _, code in codings(claim.get("priority")))


def _asked(claim: Item, state: State, zone: tzinfo) -> Standing:
    at, fast = created_at(claim.resource, zone), expedited(claim.resource)
    return Standing(state, claim.reference, asked_at=at, due=_due(at, fast, zone) if at else None, expedited=fast)


def _due(at: datetime, fast: bool, zone: tzinfo) -> datetime:
    """Hours run on through a change of the clocks; days end at the hour they began (CMS-0057-F: 72 hours, 7 calendar days)."""
    return at + EXPEDITED if fast else at.astimezone(zone) + STANDARD


def _answered(asked: Standing, answer: Item, zone: tzinfo) -> Standing:
    begins, until = good_for(answer.resource, zone)
    ref = number(answer.resource) or None
    return replace(asked, response=answer.reference, ref=ref, begins=begins, until=until, information=_said(asked.state, answer.resource))


def _said(state: State, response: Json) -> tuple[str, ...]:
    if state == "failed":
        codes = [one.get("code") for one in walk(response, "error") if isinstance(one, dict)]
        return tuple(str(next(iter((*walk(code, "text"), *walk(code, "coding.display"), *walk(code, "coding.code"))), "")) for code in codes)
    names = (*wanted(response), *walk(response, "processNote.text"))
    return tuple(str(name) for name in names) if state == "information-requested" else ()
