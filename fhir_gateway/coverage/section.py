"""The `money` section of a case's answer: what the payer said of the Coverage that pays first, in words, with where to read it whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from fhir_gateway.cases.answered import about
from fhir_gateway.cases.days import Span, span
from fhir_gateway.cases.eligibility import extended
from fhir_gateway.cases.evidence import Entry, entry, walk
from fhir_gateway.cases.insured import digest, is_self_pay, rank
from fhir_gateway.cases.model import CaseFile, Moment
from fhir_gateway.cases.money import UNDECIDED, Plans, eligibility
from fhir_gateway.coverage import words
from fhir_gateway.coverage.authorisation import OPEN, Standing, standing
from profiles.eligibility import CHANNEL, RAW_ANSWER, VALID_UNTIL

Json = dict[str, Any]

GONE: Final = frozenset({"entered-in-error", "cancelled", "draft"})


def section(file: CaseFile, flat: Json, at: Moment, clinic: frozenset[str], names: Mapping[str, str]) -> Json:
    """What a clerk reads of the money of a case. flat: its answer so far, of which the items are used. names: of Organizations, by "Organization/id".

    payer, coverage, checkedAt, validUntil, answeredBy, request, response, raw are null while nothing is known; coverages holds all in the order they pay.
    check: see `check`.
    """
    plans = plans_of(file, flat, at, clinic)
    shown = shown_of(file, plans, at)
    response = shown.resource if shown else {}
    said, _ = plans.speaks_of(response) if shown else (None, "")
    items = {item["id"]: item for item in flat["items"]}
    first = next(iter(plans.first), None)
    stands = standing_of(file, plans, flat, at)
    item = items.get(words.AUTHORISATION, {})
    return {
        "payer": _payer(response, plans.held.get(first, {}) if first else {}, names),
        "coverage": first,
        "coverages": order(plans),
        "checkedAt": response.get("created"),
        "validUntil": extended(response, VALID_UNTIL),
        "answeredBy": extended(response, CHANNEL),
        "request": next(iter(walk(response, "request.reference")), None),
        "response": shown.reference if shown else None,
        "raw": next(iter(walk(extended(response, RAW_ANSWER) or {}, "reference")), None),
        "eligibility": words.eligibility(response, said) if shown else "The payer has not been asked.",
        "network": words.network(said),
        "authorisation": words.WAIVED if item.get("state") == "waived" else stands.words(at.now, at.zone),
        "authorisationState": stands.state,
        "claim": stands.claim,
        "claimResponse": stands.response,
        "information": list(stands.information),
        "decisionDue": stands.due.astimezone(at.zone).isoformat() if stands.due and stands.state in OPEN else None,
        "decisionOverdue": stands.overdue(at.now),
        "share": words.share(said),
        "mandated": words.mandated(said),
        "disclaimer": words.disclaimers(response, said),
        "problem": words.problems(response, said),
        "nextStep": words.next_step(items, response, stands.state, overdue=stands.overdue(at.now)),
        "check": check(items.get(words.ELIGIBILITY, {}), plans.held[first], at) if first else None,
    }


def check(item: Json, coverage: Json, at: Moment) -> str | None:
    """The name of the check that is due, the same for one insurance and month; None while an answer holds, or when the payer has said no."""
    stale = item.get("state") == "not-acceptable" and item.get("reason") == "stale"
    waits = item.get("state") in ("missing", "requested") or item.get("reason") in ("policy-changed", "another-policy")
    return f"{digest(coverage)}/{at.today:%Y-%m}" if stale or waits else None


def plans_of(file: CaseFile, flat: Json, at: Moment, clinic: frozenset[str]) -> Plans:
    """The Coverages of a case as they pay on the day of its appointment, or today; without those whose plan is not to be told."""
    day = span(flat["case"].get("appointment"), at.zone)
    told = (r for r in file.records if r.reference not in file.not_billed.coverages)
    held = {r.reference: r.resource for r in told if r.resource.get("resourceType") == "Coverage"}
    return Plans.of(held, day.low if day else at.today, at, clinic)


def standing_of(file: CaseFile, plans: Plans, flat: Json, at: Moment) -> Standing:
    """Where the prior authorisation stands for the Coverage that pays first, on the day of the appointment, or from today on."""
    day = span(flat["case"].get("appointment"), at.zone)
    held = {r.reference: r.resource for r in file.records}
    ours = about(held, f"ServiceRequest/{file.referral.get('id')}", plans.first if plans.held else ())
    return standing(_required(file, plans, flat, at), ours, Span(day.low, day.low) if day else Span(at.today, date.max), at.zone)


def _required(file: CaseFile, plans: Plans, flat: Json, at: Moment) -> bool | None:
    """Whether the payer wants to be asked first: what it said, else what the case's own condition came to (a question answered, self-pay)."""
    shown = shown_of(file, plans, at)
    said = plans.speaks_of(shown.resource)[0] if shown else None
    if said is not None and said.authorisation is not None:
        return said.authorisation
    item = next((one for one in flat["items"] if one["id"] == words.AUTHORISATION), None)
    if item is None or item.get("reason") == "applicability-unknown":
        return None
    return bool(item["state"] != "not-applicable")


def shown_of(file: CaseFile, plans: Plans, at: Moment) -> Entry | None:
    """The response to show: the newest that settles something, else the newest of all."""
    found = sorted(_responses(file, at), key=lambda e: e.order, reverse=True)
    settling = (e for e in found if (says := eligibility(e.resource, plans)) is None or says[1] not in UNDECIDED)
    return next(settling, next(iter(found), None))


def order(plans: Plans) -> list[str]:
    """All Coverages, the one that pays first first (Coverage.order; coordination of benefits)."""
    names = [name for name, held in plans.held.items() if not is_self_pay(held)]
    return sorted(names, key=lambda name: (name not in plans.first, rank(plans.held[name]), name))


def _responses(file: CaseFile, at: Moment) -> Sequence[Entry]:
    records = (r for r in file.records if r.resource.get("resourceType") == "CoverageEligibilityResponse")
    return [entry(r, at.zone) for r in records if r.resource.get("status") not in GONE]


def _payer(response: Json, coverage: Json, names: Mapping[str, str]) -> str | None:
    parties = (party for party in (*walk(response, "insurer"), *walk(coverage, "payor")) if isinstance(party, dict))
    named = (str(party.get("display") or names.get(str(party.get("reference")), "")) for party in parties)
    return next(filter(None, named), None)
