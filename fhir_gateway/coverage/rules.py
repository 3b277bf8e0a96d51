"""The rules channel: a CoverageEligibilityRequest answered from the Coverage held and from what the clinic knows of the payer.

For payers that answer nobody. What nobody knows is left out or said to be indeterminate; it is never made a yes or a no. Shape of the answer:
`profiles/eligibility.py`. Purposes as R4 has them: validation, benefits, auth-requirements, discovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from fhir_gateway.cases.days import Span, month_end, plus, span
from fhir_gateway.cases.eligibility import service_type
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.insured import digest, in_force
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.costs import benefits
from fhir_gateway.coverage.payer import Payer, Rule
from profiles.eligibility import (
    ANSWERING,
    ASKED_FIRST,
    CHANNEL,
    COVERAGE_CHECKED,
    DISCLAIMER,
    INDETERMINATE,
    NETWORK,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    PAYER_CONTACT,
    SECOND_OPINION_REQUIRED,
    SERVICE_TYPES,
    VALID_UNTIL,
)

Json = dict[str, Any]

LOOKED_BACK: Final = 365
"""Days back for which plans must answer (CAQH CORE eligibility rules: twelve months back to the end of the current month)."""
NAMES: Final[dict[str, str]] = {
    "20": "Second Surgical Opinion",
    "3": "Consultation",
    "98": "Professional (Physician) Visit - Office",
    "ON": "Oncology",
    "87": "Cancer",
    "30": "Health Benefit Plan Coverage",
}
"""X12 element 1365, the codes that may answer for a second opinion."""
PLAN: Final = "30"
IN_NETWORK: Final = {"system": NETWORK, "code": "in", "display": "In Network"}
OUT_OF_NETWORK: Final = {"system": NETWORK, "code": "out", "display": "Out of Network"}
NETWORKS: Final = {"in": IN_NETWORK, "out": OUT_OF_NETWORK}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked and what is held. request: the CoverageEligibilityRequest with its id.

    coverages: (reference, Coverage) asked about, or for a discovery all that are held of the patient under this payer. at: when it is answered.
    """

    request: Json
    coverages: Sequence[tuple[str, Json]]
    payer: Payer
    at: Moment


def answered(question: Question) -> Json:
    """The CoverageEligibilityResponse, without an id."""
    request, payer = question.request, question.payer
    served = serviced(request, question.at)
    response: Json = {
        "resourceType": "CoverageEligibilityResponse",
        "extension": [
            {"url": CHANNEL, "valueCode": "rules"},
            {"url": VALID_UNTIL, "valueDate": valid_until(served, question.at).isoformat()},
            *([{"url": DISCLAIMER, "valueString": payer.disclaimer}] if payer.disclaimer else []),
            *([{"url": PAYER_CONTACT, "valueString": payer.contact}] if payer.contact else []),
        ],
        **head(request, question.at),
        "outcome": "complete",
        "insurer": request["insurer"],
    }
    if note := wrong_month(served, question.at):
        response["disposition"] = note
    if insurances := [_insurance(name, held, question, served) for name, held in question.coverages]:
        response["insurance"] = insurances
    return response


def head(request: Json, at: Moment) -> Json:
    """What every answer takes from its request; `created` is when it was checked."""
    made: Json = {"status": "active", "purpose": request["purpose"], "patient": request["patient"]}
    made |= {name: request[name] for name in ("servicedDate", "servicedPeriod") if name in request}
    made["created"] = at.now.astimezone(at.zone).isoformat(timespec="seconds")
    if requestor := {name: value for name, value in request.get("provider", {}).items() if not str(value).startswith("#")}:
        made["requestor"] = requestor  # what is contained in the request is not in the answer (ref-1)
    return made | {"request": {"reference": f"CoverageEligibilityRequest/{request['id']}"}}


def serviced(request: Json, at: Moment) -> Span:
    """The days asked about; today where none are named (R4: the date or dates when the enclosed suite of services are proposed)."""
    low, high = (span(next(iter(walk(request, path)), None), at.zone) for path in ("servicedPeriod.start", "servicedPeriod.end"))
    if day := span(request.get("servicedDate"), at.zone):
        return day
    if low or high:
        first = low.low if low else (high.low if high else at.today)
        return Span(first, max(first, high.high if high else first))
    return Span(at.today, at.today)


def valid_until(served: Span, at: Moment) -> date:
    """The last day the answer may be relied on: the end of the month it was made in, or of the month it is about when that is over (DOMAIN 4.2)."""
    return min(month_end(at.today), month_end(served.high))


def wrong_month(served: Span, at: Moment) -> str:
    """What is to be said of a day payers need not answer for, "" for one they must."""
    if served.high > month_end(at.today):
        return f"{served.high} is after the end of this month: payers need not answer for it yet. Ask again in that month."
    if served.low < plus(at.today, -LOOKED_BACK):
        return f"{served.low} is more than twelve months back: payers need not answer for it any more."
    return ""


def _insurance(name: str, coverage: Json, question: Question, served: Span) -> Json:
    made: Json = {"extension": [{"url": COVERAGE_CHECKED, "valueString": digest(coverage)}], "coverage": {"reference": name}}
    inforce = in_force(coverage, served, question.at.zone)
    if inforce is None:
        made["extension"].append({"url": INDETERMINATE, "valueString": "The insurance held does not say whether it is in force on that day."})
    else:
        made["inforce"] = inforce
    if isinstance(coverage.get("period"), dict) and coverage["period"]:
        made["benefitPeriod"] = coverage["period"]
    purposes = set(question.request["purpose"])
    if inforce is not False and purposes & {"benefits", "auth-requirements"}:
        made["item"] = [_item(rule, question.payer, purposes) for rule in _rules(question)]
    return made


def _rules(question: Question) -> list[Rule]:
    """For each service type asked about the rule that answers: its own, else the nearest to a second opinion, of another service the
    plan's (CORE: a service type not supported is answered as 30); an empty one where nothing is known.
    """
    asked = [service_type(item) for item in walk(question.request, "item") if isinstance(item, dict) and item.get("category")]
    held = {rule.service_type: rule for rule in question.payer.rules}
    found = {}
    for code in dict.fromkeys([code for code in asked if code] or [ASKED_FIRST]):
        others = ANSWERING if code in ANSWERING else (PLAN,)
        nearest = next((held[near] for near in (code, *others) if near in held), Rule(code))
        found[nearest.service_type] = nearest
    return list(found.values())


def _item(rule: Rule, payer: Payer, purposes: set[str]) -> Json:
    name = NAMES.get(rule.service_type)
    item: Json = {"category": {"coding": [{"system": SERVICE_TYPES, "code": rule.service_type, **({"display": name} if name else {})}]}}
    said = _said(rule)
    if "benefits" in purposes:
        if rule.covered is not None:
            item["excluded"] = not rule.covered
        if (inside := _inside(rule)) is not None:
            item["network"] = {"coding": [IN_NETWORK if inside else OUT_OF_NETWORK]}
        if rule.covered is not False and (shares := benefits(payer.plan, rule.service_type, in_network=inside)):
            item["benefit"] = shares
    if rule.authorisation is not None:
        item["authorizationRequired"] = rule.authorisation
    return {"extension": said, **item} if said else item


def _inside(rule: Rule) -> bool | None:
    """Is the clinic in the plan's network? An open network has everybody in it."""
    return True if rule.network == "open" else rule.clinic


def _said(rule: Rule) -> list[Json]:
    made: list[Json] = []
    if rule.covered is None:
        made.append({"url": INDETERMINATE, "valueString": "Nobody has told the clinic whether this plan covers a second opinion."})
    if rule.mandated is not None:
        made.append({"url": SECOND_OPINION_REQUIRED, "valueBoolean": rule.mandated})
    if rule.network == "named":
        made.append({"url": NETWORK_RESTRICTED, "valueString": "named providers"})
        made += [{"url": NETWORK_PROVIDER, "valueReference": provider} for provider in rule.providers]
    if rule.disclaimer:
        made.append({"url": DISCLAIMER, "valueString": rule.disclaimer})
    return made
