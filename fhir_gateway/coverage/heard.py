"""What a payer told a person about an insurance, on the telephone or at its portal, as the answer a machine would have given. Pure.

What was not said is left out: it is unknown, never a no. Shape of the answer: `profiles/eligibility.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from fhir_gateway.cases.days import Span
from fhir_gateway.cases.insured import digest
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.costs import COSTS
from fhir_gateway.coverage.rules import NAMES, NETWORKS, valid_until, wrong_month
from profiles.eligibility import (
    ASKED_FIRST,
    CHANNEL,
    COVERAGE_CHECKED,
    INDETERMINATE,
    PERSON,
    REMAINING,
    SECOND_OPINION_REQUIRED,
    SERVICE_TYPES,
    VALID_UNTIL,
)

Json = dict[str, Any]
Network = Literal["in", "out"]

UNSAID: Final = "The payer did not say whether the insurance is in force."


class Amount(NamedTuple):
    """What a patient pays: of money, or of co-insurance in percent. left: what is left of a deductible or of the out-of-pocket maximum."""

    value: Decimal | None = None
    left: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """by: who said it, at the payer. said: what was said, in words. None: not said. amounts: by the names of `costs.COSTS`.

    service_type: X12 element 1365, of the service the payer spoke about.
    """

    by: str
    said: str
    in_force: bool | None = None
    covered: bool | None = None
    network: Network | None = None
    authorisation: bool | None = None
    mandated: bool | None = None
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    currency: str = "USD"
    service_type: str = ASKED_FIRST

    @property
    def about_service(self) -> bool:
        """Was anything said about the service itself?"""
        return any(one is not None for one in (self.covered, self.network, self.authorisation, self.mandated)) or bool(self.amounts)


def answer(heard: Heard, coverage: tuple[str, Json], patient: Json, payor: Json, *, request: Json, day: date | None, at: Moment) -> Json:
    """The CoverageEligibilityResponse, without an id. heard: nothing about the service of a plan that is not in force. coverage: its reference, and itself as
    it was asked about.

    request: Reference to the question; day: of the appointment, None where there is none yet.
    """
    served = Span(day, day) if day else Span(at.today, at.today)
    name, held = coverage
    insurance: Json = {"extension": [{"url": COVERAGE_CHECKED, "valueString": digest(held)}], "coverage": {"reference": name}}
    if heard.in_force is None:
        insurance["extension"].append({"url": INDETERMINATE, "valueString": UNSAID})
    else:
        insurance["inforce"] = heard.in_force
    if heard.about_service:
        insurance["item"] = [_item(heard)]
    note = wrong_month(served, at)
    return {
        "resourceType": "CoverageEligibilityResponse",
        "extension": [{"url": CHANNEL, "valueCode": PERSON}, {"url": VALID_UNTIL, "valueDate": valid_until(served, at).isoformat()}],
        "status": "active",
        "purpose": ["validation", "benefits", "auth-requirements"],
        "patient": patient,
        "servicedDate": served.low.isoformat(),
        "created": at.now.astimezone(at.zone).isoformat(timespec="seconds"),
        "request": request,
        "outcome": "complete",
        "disposition": " ".join(filter(None, (f"{heard.by}: {heard.said}", note))),
        "insurer": payor,
        "insurance": [insurance],
    }


def _item(heard: Heard) -> Json:
    title = NAMES.get(heard.service_type)
    item: Json = {
        "category": {"coding": [{"system": SERVICE_TYPES, "code": heard.service_type, **({"display": title} if title else {})}]},
    }
    if heard.mandated is not None:
        item = {"extension": [{"url": SECOND_OPINION_REQUIRED, "valueBoolean": heard.mandated}], **item}
    if heard.covered is not None:
        item["excluded"] = not heard.covered
    if heard.network is not None:
        item["network"] = {"coding": [NETWORKS[heard.network]]}
    if benefits := [made for kind, amount in heard.amounts.items() if (made := _benefit(kind, amount, heard.currency))]:
        item["benefit"] = benefits
    if heard.authorisation is not None:
        item["authorizationRequired"] = heard.authorisation
    return item


def _benefit(kind: str, amount: Amount, currency: str) -> Json | None:
    made: Json = {"type": {"coding": [COSTS[kind]]}}
    if amount.left is not None:
        made = {"extension": [{"url": REMAINING, "valueMoney": {"value": amount.left, "currency": currency}}], **made}
    if amount.value is None:
        return made if amount.left is not None else None
    if kind != "coinsurance":
        return made | {"allowedMoney": {"value": amount.value, "currency": currency}}
    whole = amount.value == int(amount.value)
    return made | ({"allowedUnsignedInt": int(amount.value)} if whole else {"allowedString": f"{amount.value} %"})
