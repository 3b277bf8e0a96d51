"""What a patient pays under an InsurancePlan, as the benefits of a CoverageEligibilityResponse.

R4 InsurancePlan.plan.specificCost.benefit.cost: type, applicability (in or out of network), qualifiers (here the period, X12 element 615), value.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from fhir_gateway.cases.evidence import codings, walk
from profiles.eligibility import BENEFIT_PERIOD, BENEFIT_TYPES, OWN_BENEFITS, PERIODS, SERVICE_TYPES

Json = dict[str, Any]

# Cost type of the plan → benefit type of the answer (DOMAIN 4.2); an amount of money, but for the co-insurance, which is a share.
COSTS: Final[dict[str, dict[str, str]]] = {
    "copay": {"system": BENEFIT_TYPES, "code": "copay", "display": "Copayment per service"},
    "coinsurance": {"system": BENEFIT_TYPES, "code": "copay-percent", "display": "Copayment Percent per service"},
    "deductible": {"system": BENEFIT_TYPES, "code": "deductible", "display": "Deductible"},
    "out-of-pocket": {"system": OWN_BENEFITS, "code": "out-of-pocket", "display": "Out-of-pocket maximum"},
}
_APPLICABLE: Final = {True: "in-network", False: "out-of-network", None: ""}


def benefits(plan: Json, service_type: str, *, in_network: bool | None) -> list[Json]:
    """What the plan asks of the patient for a service type; what holds for one side of the network only where it is known which side this is."""
    found = []
    for benefit in walk(plan, "plan.specificCost.benefit"):
        if isinstance(benefit, dict) and service_type in _service_types(benefit):
            found += [made for cost in walk(benefit, "cost") if isinstance(cost, dict) and (made := _benefit(cost, _APPLICABLE[in_network]))]
    return found


def _service_types(benefit: Json) -> set[str]:
    return {code for concept in walk(benefit, "type") for system, code in codings(concept) if system in (SERVICE_TYPES, "")}


def _benefit(cost: Json, side: str) -> Json | None:
    kind = next((COSTS[code] for _, code in codings(cost.get("type")) if code in COSTS), None)
    sides = {code for _, code in codings(cost.get("applicability"))}
    allowed = _allowed(cost, share=kind is COSTS["coinsurance"])
    if kind is None or allowed is None or (sides and side not in sides):
        return None
    made: Json = {"type": {"coding": [kind]}, **allowed}
    if period := next(_periods(cost), None):
        made["extension"] = [{"url": BENEFIT_PERIOD, "valueCoding": period}]
    return made


def _allowed(cost: Json, *, share: bool) -> Json | None:
    """The amount or the share in percent. A share that is no whole number has no place in `allowedUnsignedInt` and is told as text."""
    value = next(iter(walk(cost, "value.value")), None)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value < 0:
        return None
    if share:
        return {"allowedUnsignedInt": int(value)} if value == int(value) else {"allowedString": f"{value} %"}
    currency = next((str(code) for code in walk(cost, "value.code")), "")
    return {"allowedMoney": {"value": value, **({"currency": currency} if currency else {})}}


def _periods(cost: Json) -> Iterator[Json]:
    for coding in walk(cost, "qualifiers.coding"):
        if isinstance(coding, dict) and coding.get("system") == PERIODS:
            yield coding
