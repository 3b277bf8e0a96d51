"""Which of the requests for prior authorisation of a case, and of their answers, counts: one rule for the item, its gate and the words. Pure.

An authorisation that holds on the day counts, one in part until more is asked for. It is undone by a later decision on the same request, by a later
refusal or end where either names no request, and with its request when that is withdrawn (R4 Claim.status cancelled); a refusal of another request leaves
it. Otherwise the newest word counts, and a request newer than every answer is open: put anew under its own number (HL7 v2 I10) as well as under another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Final, Literal, NamedTuple

from fhir_gateway.cases.authorised import Decision, decided, of_another_service, periods
from fhir_gateway.cases.days import Span, instant, span
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json

Says = Decision | Literal["asked", "expired", "not-begun"]
GRANTED: Final = frozenset[Decision]({"approved", "partly-approved"})
_REFUSED: Final = frozenset[Decision]({"denied", "cancelled"})
_OPEN: Final = frozenset[Decision]({"pended", "information-requested"})


class Item(NamedTuple):
    """A Claim or ClaimResponse held for a case."""

    reference: str
    resource: Json


class Word(NamedTuple):
    """What counts. says: None where nothing was asked or answered. claim, answer: what says so, None where there is none."""

    says: Says | None = None
    claim: Item | None = None
    answer: Item | None = None


def about(held: Mapping[str, Json], referral: str, first: Collection[str]) -> list[Item]:
    """Those that may speak of a case: not put for another referral ("ServiceRequest/id"), nor under other plans than those that pay first (all, when none is
    held).
    """
    kept = {name: one for name, one in held.items() if one.get("resourceType") in ("Claim", "ClaimResponse")}
    others = of_another_service(kept, referral)
    named = {name: {str(one) for one in walk(resource, "insurance.coverage.reference")} for name, resource in kept.items()}
    return [Item(name, one) for name, one in kept.items() if name not in others and not (first and named[name] and not named[name] & set(first))]


def word(items: Sequence[Item], days: Span, zone: tzinfo) -> Word:
    """What counts for a service on one of these days: that of the appointment, or from today on while none is booked."""
    claims, answers = _newest(items, "Claim", zone), _newest(items, "ClaimResponse", zone)
    withdrawn = {one.reference for one in claims if one.resource.get("status") == "cancelled"}
    good = [
        one
        for place, one in enumerate(answers)
        if decided(one.resource) in GRANTED
        and _days(one.resource, days, zone) is None
        and _answers(one) not in withdrawn
        and not _undone(one, answers[:place])
    ]
    claim, answer = next(iter(claims), None), next(iter(answers), None)
    anew = claim is not None and (answer is None or _answered_before(claim, answer, zone))
    best = min(good, key=lambda one: decided(one.resource) != "approved", default=None)
    if best is not None and (decided(best.resource) == "approved" or not anew):
        return Word(decided(best.resource), next((one for one in claims if one.reference == _answers(best)), None), best)
    if claim is not None and anew:
        return Word("cancelled" if claim.reference in withdrawn else "asked", claim)
    if answer is None:
        return Word()
    return Word(_said(answer, withdrawn, days, zone), next((one for one in claims if one.reference == _answers(answer)), claim), answer)


def created_at(resource: Json, zone: tzinfo) -> datetime | None:
    """`created` as a moment; a day is its beginning in the clinic's zone. None for what is no date, or of the first or last year there is."""
    text = str(resource.get("created") or "")
    day = span(text, zone)
    if (found := instant(text)) is not None or day is None or not date.min.year < day.low.year < date.max.year:
        return found
    return datetime.combine(day.low, datetime.min.time(), zone)


def good_for(response: Json, zone: tzinfo) -> tuple[date | None, date | None]:
    """The first and the last day an authorisation is good for, of the item that ends first where it tells items apart; None for an open end."""
    ends = [tuple(span(one.get(end), zone) for end in ("start", "end")) for one in periods(response)]
    begins, until = [low.low for low, _ in ends if low], [high.high for _, high in ends if high]
    return max(begins, default=None), min(until, default=None)


def _said(answer: Item, withdrawn: Collection[str], days: Span, zone: tzinfo) -> Says:
    said = decided(answer.resource)
    if _answers(answer) in withdrawn and said in GRANTED | _OPEN:
        return "cancelled"
    return (_days(answer.resource, days, zone) or said) if said in GRANTED else said


def _days(response: Json, days: Span, zone: tzinfo) -> Literal["expired", "not-begun"] | None:
    """Why an authorisation is not good on any of these days; None when it is."""
    begins, until = good_for(response, zone)
    if until is not None and until < days.low:
        return "expired"
    return "not-begun" if begins is not None and begins > days.high else None


def _undone(one: Item, newer: Sequence[Item]) -> bool:
    """Has one of these later answers put an end to it?"""
    mine = _answers(one)
    for other in newer:
        said, theirs = decided(other.resource), _answers(other)
        if (said in _REFUSED and not (mine and theirs and mine != theirs)) or (said in GRANTED and mine and mine == theirs):
            return True
    return False


def _newest(items: Sequence[Item], kind: str, zone: tzinfo) -> list[Item]:
    """Requests for authorisation and their answers that stand, the newest first."""
    live = [one for one in items if one.resource.get("resourceType") == kind and one.resource.get("use") == "preauthorization"]
    live = [one for one in live if one.resource.get("status") in ("active", "cancelled")]
    return sorted(live, key=lambda one: (created_at(one.resource, zone) or datetime.min.replace(tzinfo=UTC), one.reference), reverse=True)


def _answers(response: Item) -> str:
    return str(next(iter(walk(response.resource, "request.reference")), ""))


def _answered_before(claim: Item, answer: Item, zone: tzinfo) -> bool:
    """Is the answer older than this request? One that names no request answers whatever was asked before it.

    One to this very request is, only where the request has been put anew since: the payer's clock need not be ours.
    """
    asked, told = created_at(claim.resource, zone), created_at(answer.resource, zone)
    answers = _answers(answer)
    if answers == claim.reference and str(next(iter(walk(claim.resource, "meta.versionId")), "1")) == "1":
        return False
    if asked is None or told is None:
        return asked is not None and answers != claim.reference
    if answers == claim.reference and instant(str(answer.resource.get("created"))) is None:  # a day is all that is told
        return asked.astimezone(zone).date() > told.astimezone(zone).date()
    return asked >= told if answers and answers != claim.reference else asked > told
