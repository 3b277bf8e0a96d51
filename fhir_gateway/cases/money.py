"""What a payer's answer says for the money gate: eligibility in force, network, authorisation on file. DOMAIN 4.1 to 4.3.

"Indeterminate" is an answer and never becomes yes or no. An answer counts for the Coverage that pays first, as it was asked about, and for no other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, tzinfo
from typing import Final

from fhir_gateway.cases.authorised import decided, modified
from fhir_gateway.cases.days import Span, month_end, span
from fhir_gateway.cases.eligibility import CONTRADICTORY, IN, OUT, Insured, insured, outside
from fhir_gateway.cases.evidence import Entry, walk
from fhir_gateway.cases.insured import digest, in_force, is_self_pay, primary
from fhir_gateway.cases.model import ItemState, Json, Moment
from fhir_gateway.cases.permission import identity

Says = tuple[ItemState, str] | None
"""None: the answer is a plain yes."""

UNDECIDED: Final = frozenset({"pended", "indeterminate", "policy-changed", "another-policy", "wrong-type", "retracted", "status-unknown"})
"""Reasons of an answer that settles nothing: an older plain one still holds, for as long as it does."""

# What a payer decided (`cases.authorised`) → what that means for the item.
AUTHORISED: Final[dict[str, tuple[ItemState, str]]] = {
    "pended": ("expected", "pended"),
    "information-requested": ("expected", "pended"),
    "denied": ("not-acceptable", "denied"),
    "partly-approved": ("received", "partly-approved"),
    "not-begun": ("not-acceptable", "not-begun"),
    "cancelled": ("missing", "cancelled"),
    "failed": ("received", "failed"),
}


@dataclass(frozen=True, slots=True)
class Plans:
    """The Coverages of a case. held: by reference; first: those that pay first on the day; clinic: names by which a plan may name the clinic.

    lapsed: plans are held, and none of them holds on the day. day: of the appointment, or today.
    """

    held: Mapping[str, Json] = field(default_factory=dict)
    first: Collection[str] = ()
    clinic: Collection[str] = ()
    lapsed: bool = False
    day: date | None = None
    zone: tzinfo = UTC

    @classmethod
    def of(cls, coverages: Mapping[str, Json], day: date, at: Moment, clinic: Collection[str]) -> Plans:
        """As they pay on a day."""
        coverages = {name: held for name, held in coverages.items() if held.get("status") != "entered-in-error"}
        plans = [held for held in coverages.values() if not is_self_pay(held)]
        lapsed = bool(plans) and all(in_force(held, Span(day, day), at.zone) is False for held in plans)
        return cls(coverages, primary(coverages, day, at.zone), {name.casefold() for name in clinic}, lapsed, day, at.zone)

    def speaks_of(self, response: Json) -> tuple[Insured | None, str]:
        """What a response says of the Coverage that pays first; or None and why it says nothing of it."""
        said = insured(response)
        ours = [one for one in said if not one.coverage or not self.held or one.coverage in self.first]
        if said and not ours:
            return None, "another-policy"
        now = [one for one in ours if not one.checked or one.coverage not in self.held or one.checked == digest(self.held[one.coverage])]
        if ours and not now:
            return None, "policy-changed"
        return next((self._held_to(one, response) for one in now), None), ""

    def ends_before(self, said: Insured) -> bool:
        """Does the payer say that the insurance ends in the month of the day, and before it? (A day of a later month is asked about again anyway.)"""
        end = span(said.period.get("end"), self.zone)
        return bool(end and self.day and end.high < self.day <= month_end(end.high))

    def _held_to(self, said: Insured, response: Json) -> Insured:
        """A plan that is in force on a day outside the period the payer gives for it is a contradiction, and nobody can say."""
        contradicted = said.inforce and outside(response, said.period, self.zone)
        return replace(said, inforce=None, unknown=CONTRADICTORY) if contradicted else said


def eligibility(response: Json, plans: Plans) -> Says:
    """CoverageEligibilityResponse: in force, covered and in network; or not; or still queued; or indeterminate (X12 EB01 V, an AAA error, no answer)."""
    if response.get("outcome") in ("queued", "partial"):
        return "expected", "pended"
    said, why = plans.speaks_of(response)
    if why:
        return ("not-acceptable", "lapsed") if plans.lapsed else ("received", why)
    if said is None or response.get("outcome") == "error" or said.inforce is None or modified(response):
        return "received", "indeterminate"
    if said.inforce is False:
        return "not-acceptable", "not-in-force"
    if plans.ends_before(said):
        return "not-acceptable", "lapsed"
    return _service(said, plans)


def of_another_policy(response: Json, plans: Plans) -> Says:
    """Only whether the response is about the Coverage that pays first, as it is now; for items that look for one thing the payer may have said."""
    _, why = plans.speaks_of(response)
    return ("received", why) if why else None


def authorisation(response: Json, plans: Plans, *, of_this_service: bool = True, said: str | None = None) -> Says:
    """ClaimResponse: granted needs a reference the payer will know it by; granted in part is for a person to look at.

    said: what it comes to among the others that are held (`cases.answered`), None for what it says alone. When it ends is its age's to say.
    """
    if response.get("use") != "preauthorization":
        return "not-acceptable", "wrong-type"
    if not of_this_service:
        return "not-acceptable", "another-service"
    named = {str(name) for name in walk(response, "insurance.coverage.reference")}
    if plans.held and named and not named & set(plans.first):
        return "received", "another-policy"
    said = said or decided(response)
    if said in ("approved", "not-needed", "expired"):
        return None
    return AUTHORISED.get(said, ("received", "indeterminate"))


def counting(entries: Collection[Entry], plans: Plans) -> list[Json]:
    """The one eligibility response a case's conditions may ask about: the newest that settles something of the Coverage that pays first."""
    asked = sorted((e for e in entries if e.type == "CoverageEligibilityResponse"), key=lambda e: e.order, reverse=True)
    for e in asked:
        says = eligibility(e.resource, plans)
        if says is None or says[1] not in UNDECIDED:
            return [e.resource]
    return []


def _service(said: Insured, plans: Plans) -> Says:
    """The service itself, under a plan that is in force. An answer that names no service says nothing against it."""
    if said.excluded:
        return "not-acceptable", "excluded"
    if said.unknown:
        return "received", "indeterminate"
    named = set().union(*(identity(provider) for provider in said.providers)) if said.providers else set()
    if said.network == IN or named & set(plans.clinic):
        return None
    if named:
        return "not-acceptable", "named-providers"
    if said.network == OUT:
        return "not-acceptable", "out-of-network"
    return ("received", "network-unknown") if said.restricted else None
