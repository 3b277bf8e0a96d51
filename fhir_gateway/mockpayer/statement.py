"""An answer of the script in the two languages a payer speaks: EB segments of a 271, and items of a CoverageEligibilityResponse.

One step, two renderings: a test that runs over both channels is told the same story.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_gateway.mockpayer.script import Service, Step
from mappers.x12.envelope import Row
from profiles.eligibility import (
    BENEFIT_PERIOD,
    BENEFIT_TYPES,
    DISCLAIMER,
    FOLLOW_UP,
    FOLLOW_UPS,
    INDETERMINATE,
    NETWORK,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    OUT_OF_POCKET,
    OWN_BENEFITS,
    PERIODS,
    REJECTIONS,
    REMAINING,
    SECOND_OPINION_REQUIRED,
    SERVICE_TYPES,
)

Json = dict[str, Any]
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
_YES_NO: Final = {True: "Y", False: "N", None: ""}
_SIDES: Final = {"in": "Y", "out": "N", "": ""}
_PLAN: Final = "30"
_EB01: Final = {"covered": "1", "excluded": "I", "inactive": "6", "cannot-process": "V"}
_VISIT, _YEAR, _LEFT = "27", "23", "29"


def rows(step: Step) -> list[Row]:
    """What follows the patient in a 271: DTP of the plan, EB loops, or AAA."""
    if step.reject:
        return [("AAA", "Y", "", step.reject, step.follow_up)]
    made: list[Row] = []
    for qualifier, day in (("346", step.starts), ("347", step.ends)):
        made += [("DTP", qualifier, "D8", day.replace("-", ""))] if day else []
    if step.inforce is not None:
        made.append(("EB", "1" if step.inforce else "6", "", _PLAN, "", step.plan))
    for service in step.services:
        made += _benefits(service)
    if step.disclaimer:
        made += [("EB", "P"), ("MSG", step.disclaimer)]
    return made


def _benefits(service: Service) -> Iterator[Row]:
    tail = (_YES_NO[service.authorisation], _SIDES[service.network])
    for word in service.says:
        if word in _EB01:
            yield ("EB", _EB01[word], "", service.type, *[""] * 7, *tail)
    if service.authorisation is not None and not set(service.says) & set(_EB01):
        yield ("EB", "D", "", service.type, *[""] * 7, *tail)
    for kind, period, money in (
        ("B", _VISIT, service.copay),
        ("C", _YEAR, service.deductible),
        ("C", _LEFT, service.deductible_left),
        ("G", _YEAR, service.out_of_pocket),
    ):
        if money is not None:
            yield ("EB", kind, "", service.type, "", "", period, _number(money), "", "", "", *tail)
    if service.coinsurance is not None:
        yield ("EB", "A", "", service.type, "", "", "", "", _number(service.coinsurance / 100), "", "", *tail)
    if service.mandated:
        yield ("EB", "Q", "", service.type)
    if service.providers:
        yield ("EB", "N", "", service.type)
        yield ("LS", "2120")
        for named in service.providers:
            number = ("XX", named.npi) if named.npi else ()
            yield ("NM1", "1P", "2", named.name, "", "", "", "", *number)
        yield ("LE", "2120")


def insurance(step: Step) -> Json:
    """insurance[0] of a CoverageEligibilityResponse without its coverage."""
    made: Json = {}
    if step.inforce is not None:
        made["inforce"] = step.inforce
    if step.starts or step.ends:
        made["benefitPeriod"] = {name: day for name, day in (("start", step.starts), ("end", step.ends)) if day}
    if step.services:
        made["item"] = [_item(service) for service in step.services]
    return made


def extensions(step: Step) -> list[Json]:
    """Those of the response itself."""
    return [{"url": DISCLAIMER, "valueString": step.disclaimer}] if step.disclaimer else []


def errors(step: Step) -> list[Json]:
    """What a payer says instead of an answer: the reason by its X12 code, as payers that translate a 271 do."""
    told = [{"url": FOLLOW_UP, "valueCoding": {"system": FOLLOW_UPS, "code": step.follow_up}}] if step.follow_up else []
    code: Json = {"coding": [{"system": REJECTIONS, "code": step.reject}]}
    return [{"extension": told, "code": code} if told else {"code": code}]


def _item(service: Service) -> Json:
    made: Json = {"extension": list(_said(service)), "category": {"coding": [{"system": SERVICE_TYPES, "code": service.type}]}}
    words = set(service.says) & {"covered", "excluded", "inactive"}
    if len(words) == 1:
        made["excluded"] = words != {"covered"}
    if service.network:
        made["network"] = {"coding": [{"system": NETWORK, "code": service.network}]}
    if benefits := list(_costs(service)):
        made["benefit"] = benefits
    if service.authorisation is not None:
        made["authorizationRequired"] = service.authorisation
    return {name: value for name, value in made.items() if value != []}


def _said(service: Service) -> Iterator[Json]:
    words = set(service.says)
    if "cannot-process" in words:
        yield {"url": INDETERMINATE, "valueString": "this service type can't be processed"}
    elif len(words) > 1:
        yield {"url": INDETERMINATE, "valueString": "the plan's records contradict each other"}
    if service.mandated:
        yield {"url": SECOND_OPINION_REQUIRED, "valueBoolean": True}
    if service.providers:
        yield {"url": NETWORK_RESTRICTED, "valueString": "the providers named"}
    for named in service.providers:
        number = {"identifier": {"system": NPI, "value": named.npi}} if named.npi else {}
        yield {"url": NETWORK_PROVIDER, "valueReference": {**number, "display": named.name}}


def _costs(service: Service) -> Iterator[Json]:
    for system, code, period, money in (
        (BENEFIT_TYPES, "copay", _VISIT, service.copay),
        (BENEFIT_TYPES, "deductible", _YEAR, service.deductible),
        (OWN_BENEFITS, OUT_OF_POCKET, _YEAR, service.out_of_pocket),
    ):
        if money is not None:
            told = [{"url": BENEFIT_PERIOD, "valueCoding": {"system": PERIODS, "code": period}}]
            if code == "deductible" and service.deductible_left is not None:
                told.append({"url": REMAINING, "valueMoney": _money(service.deductible_left)})
            yield {"extension": told, "type": {"coding": [{"system": system, "code": code}]}, "allowedMoney": _money(money)}
    if service.coinsurance is not None:
        coded = {"coding": [{"system": BENEFIT_TYPES, "code": "copay-percent"}]}
        yield {"type": coded, "allowedUnsignedInt": round(service.coinsurance)}


def _money(value: float) -> Json:
    return {"value": int(value) if value == int(value) else value, "currency": "USD"}


def _number(value: float) -> str:
    """A number as X12 wants it: no trailing zeros, at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
