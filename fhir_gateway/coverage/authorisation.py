"""Prior authorisation of a case as one state table: where it stands, who may move it, what it says to a clerk. The resources are the truth.

The state follows from the Claims (use preauthorization), the ClaimResponses and the eligibility answer held for the case; nothing stores it.
Decision clocks: 72 hours for an expedited request, 7 calendar days for any other (CMS-0057-F, from 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, Literal, NamedTuple

from fhir_gateway.cases.authorised import decided
from fhir_gateway.cases.days import instant, span
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
    "cancelled",
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
    "cancelled": "The request for prior authorisation was taken back.",
}
OPEN: Final = frozenset[State]({"asked", "pended", "information-requested"})
"""States in which the payer's clock runs."""


class Move(NamedTuple):
    """A step: from any of these states, by this act, to that state, done by one of these."""

    before: frozenset[State]
    act: str
    after: State
    who: tuple[str, ...]


_UNASKED: Final = frozenset[State]({"unknown", "needed", "denied", "partly-approved", "expired", "cancelled"})
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
    Move(frozenset({"approved", "partly-approved"}), "run-out", "expired", ("time",)),
)

EXPEDITED: Final = timedelta(hours=72)
STANDARD: Final = timedelta(days=7)
_POLLS: Final = ((timedelta(0), timedelta(minutes=1)), (timedelta(minutes=1), timedelta(minutes=5)), (timedelta(minutes=31), timedelta(hours=1)))
"""(since it was asked, how long until it is asked after again): after a minute, every five for half an hour, then hourly (Da Vinci CDex, polling)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the authorisation of a case stands. claim, response: "Type/id" of what says so. asked_at: of the request; due: when the payer's clock ends.

    ref, begins, until: of what was granted. information: what the payer asks for, in its words.
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
        if self.state in ("approved", "partly-approved", "expired") and (self.ref or self.until):
            told = f"{told[:-1]}{f', number {self.ref}' if self.ref else ''}{f', good until {self.until}' if self.until else ''}."
        if self.state == "information-requested" and self.information:
            told += f" It asks for: {'; '.join(self.information)}."
        if self.state in OPEN and self.due is not None:
            day = self.due.astimezone(zone).strftime("%Y-%m-%d %H:%M")
            kind = "72 hours, expedited" if self.expedited else "7 days"
            told += f" The payer should have decided by {day} ({kind}): overdue." if self.overdue(now) else f" The payer decides by {day} ({kind})."
        return told


class Item(NamedTuple):
    """A Claim or ClaimResponse held for a case."""

    reference: str
    resource: Json


def standing(required: bool | None, items: Sequence[Item], day: date, zone: tzinfo) -> Standing:
    """Where it stands for a service on a day. required: what the eligibility answer says; items: the Claims and ClaimResponses of the case, in any order.

    An authorisation that holds on the day counts whatever came after it; else the newest word does, and a request newer than every answer is open.
    """
    claims = _newest(items, "Claim", zone)
    answers = _newest(items, "ClaimResponse", zone)
    good = [one for one in answers if decided(one.resource) in ("approved", "partly-approved") and not _over(one.resource, day, zone)]
    best = min(good, key=lambda one: decided(one.resource) != "approved", default=None)
    claim = next((one for one in claims if best is None or one.reference == _answers(best)), None)
    if best is not None:
        return _of(best, claim, day, zone)
    answer = next(iter(answers), None)
    if claim is not None and (answer is None or _answered_before(claim, answer, zone)):
        return _asked(claim, "cancelled" if claim.resource.get("status") == "cancelled" else "asked", zone)
    if answer is not None:
        return _of(answer, next((one for one in claims if one.reference == _answers(answer)), claim), day, zone)
    return Standing("unknown" if required is None else "needed" if required else "not-needed")


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
    return Standing(state, claim.reference, asked_at=at, due=at + (EXPEDITED if fast else STANDARD) if at else None, expedited=fast)


def _of(answer: Item, claim: Item | None, day: date, zone: tzinfo) -> Standing:
    said, response = decided(answer.resource), answer.resource
    state: State = "expired" if said in ("approved", "partly-approved") and _over(response, day, zone) else said
    if claim is not None and claim.resource.get("status") == "cancelled" and state in OPEN:
        state = "cancelled"
    asked = _asked(claim, state, zone) if claim else Standing(state)
    begins, until = (span(next(iter(walk(response, f"preAuthPeriod.{end}")), None), zone) for end in ("start", "end"))
    names = (*walk(response, "communicationRequest.display"), *walk(response, "processNote.text"))
    return Standing(
        state,
        asked.claim,
        answer.reference,
        asked.asked_at,
        asked.due,
        asked.expedited,
        str(response["preAuthRef"]) if response.get("preAuthRef") else None,
        begins.low if begins else None,
        until.high if until else None,
        tuple(str(name) for name in names) if state == "information-requested" else (),
    )


def _newest(items: Sequence[Item], kind: str, zone: tzinfo) -> list[Item]:
    """Requests for authorisation and their answers that stand, the newest first."""
    live = [one for one in items if one.resource.get("resourceType") == kind and one.resource.get("use") == "preauthorization"]
    live = [one for one in live if one.resource.get("status") in ("active", "cancelled")]
    return sorted(live, key=lambda one: (created_at(one.resource, zone) or datetime.min.replace(tzinfo=UTC), one.reference), reverse=True)


def _answers(response: Item) -> str:
    return str(next(iter(walk(response.resource, "request.reference")), ""))


def _answered_before(claim: Item, answer: Item, zone: tzinfo) -> bool:
    """Is the answer older than this request, and another's? One that names no request answers whatever was asked before it."""
    answers = _answers(answer)
    if answers == claim.reference:
        return False
    asked, told = created_at(claim.resource, zone), created_at(answer.resource, zone)
    if asked is None or told is None:
        return asked is not None
    return asked >= told if answers else asked > told


def _over(response: Json, day: date, zone: tzinfo) -> bool:
    end = span(next(iter(walk(response, "preAuthPeriod.end")), None), zone)
    return end is not None and end.high < day


def created_at(resource: Json, zone: tzinfo) -> datetime | None:
    """`created` as a moment; a day is its beginning in the clinic's zone. None for what is no date, or of the first or last year there is."""
    text = str(resource.get("created") or "")
    day = span(text, zone)
    if (found := instant(text)) is not None or day is None or not date.min.year < day.low.year < date.max.year:
        return found
    return datetime.combine(day.low, datetime.min.time(), zone)
