"""Eligibility over FHIR with a payer's server: what is sent, which is no more than the payer needs, and what of its answer counts.

R4 `CoverageEligibilityRequest/$submit`: a Bundle of the request with Patient, Coverage and clinic, for a CoverageEligibilityResponse. Nothing in it points
back to this server; the question is known by its number (identifier of ENQUIRY).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fhir_gateway.cases.evidence import codings, walk
from mappers.x12 import explained
from profiles.eligibility import ENQUIRY, FOLLOW_UP, REJECTIONS, RETRY_AFTER, SERVICE_TYPES, WHO_FIXES
from profiles.x12codes import Codes

Json = dict[str, Any]
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
_REQUEST: Final = ("status", "priority", "purpose", "servicedDate", "servicedPeriod", "created")
_ITEM: Final = ("category", "productOrService", "modifier", "quantity", "unitPrice")
_PATIENT: Final = ("name", "gender", "birthDate")
_COVERAGE: Final = ("identifier", "status", "type", "subscriberId", "dependent", "relationship", "period", "class", "order")
_SELF: Final = frozenset({"", "self"})
_BUSY: Final = "80"
"""AAA03 that says what a payer means that has taken a question and says no more: it did not answer in time."""


class AnswerError(ValueError):
    """What a payer answered can't be used; its words say where and why, without patient data."""


def question(request: Json, coverages: Sequence[Json], patient: Json, *, subscriber: Json, payer: Json, clinic: str, npi: str, number: str) -> Json:
    """The Bundle. subscriber: who holds the policy where that is not the patient, {} when not known. payer: title and identifiers as it is configured."""
    who, insurer, provider = _urn(1), _urn(2), _urn(3)
    asked: Json = {"resourceType": "CoverageEligibilityRequest", "identifier": [{"system": ENQUIRY, "value": number}]}
    asked |= {name: request[name] for name in _REQUEST if name in request}
    asked |= {"patient": {"reference": who}, "provider": {"reference": provider}, "insurer": {"reference": insurer}}
    asked["insurance"] = [{"focal": place == 0, "coverage": {"reference": _urn(10 + place)}} for place in range(len(coverages))]
    if items := [{name: item[name] for name in _ITEM if name in item} for item in walk(request, "item")]:
        asked["item"] = [item for item in items if item]
    clinic_is: Json = {"resourceType": "Organization", "name": clinic} | ({"identifier": [{"system": NPI, "value": npi}]} if npi else {})
    entries = [(_urn(0), asked), (who, _patient(patient)), (insurer, {"resourceType": "Organization", **payer}), (provider, clinic_is)]
    holder = _urn(4) if subscriber else ""
    entries += [(_urn(4), _patient(subscriber))] if subscriber else []
    entries += [(_urn(10 + place), _coverage(held, who, insurer, holder)) for place, held in enumerate(coverages)]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries]}


def answer(body: Any, number: str, members: frozenset[str], codes: Codes) -> Json:
    """The CoverageEligibilityResponse of what came back, by itself or in a Bundle or Parameters; what it refers to at the payer's is left as its name.

    members: the numbers asked about. Raises AnswerError for anything else, or what is about another question or member.
    """
    response = _response(body)
    _usable(response, number, members)
    contained = {f"#{one.get('id')}": one for one in walk(response, "contained") if isinstance(one, dict)}
    kept = {name: value for name, value in response.items() if name not in ("contained", "text", "meta", "language", "identifier")}
    made: Json = _worded(_named(kept, contained), codes)
    if made.get("outcome") == "queued":
        return {**made, "outcome": "error", "error": [explained(_BUSY, "", codes)]}
    if errors := [one for one in walk(made, "error") if isinstance(one, dict)]:
        made["error"] = [_error(one, codes) for one in errors]
    return made


def _usable(response: Json, number: str, members: frozenset[str]) -> None:
    if response.get("status") != "active":
        raise AnswerError("CoverageEligibilityResponse.status: the answer is not active")
    if response.get("implicitRules") or any(_modified(response)):
        raise AnswerError(
            "CoverageEligibilityResponse: it holds a modifierExtension or implicitRules, which change what it means in a way not known here"
        )
    told = [str(one) for one in walk(response, "request.identifier.value")]
    if told and number not in told:
        raise AnswerError("CoverageEligibilityResponse.request: the answer is about another question")
    about = {str(one) for one in walk(response, "insurance.coverage.identifier.value")}
    if members and about and not about & members:
        raise AnswerError("CoverageEligibilityResponse.insurance[0].coverage: the answer is about another member")


def _response(body: Any) -> Json:
    held = [body, *(one for path in ("entry.resource", "parameter.resource") for one in walk(body, path))] if isinstance(body, dict) else []
    found = [one for one in held if isinstance(one, dict) and one.get("resourceType") == "CoverageEligibilityResponse"]
    if len(found) != 1:
        raise AnswerError(f"the answer holds {len(found)} CoverageEligibilityResponse, expected is one")
    return found[0]


def _error(error: Json, codes: Codes) -> Json:
    """An error by its X12 code is explained as one of a 271 is; any other is the payer's own words."""
    told = {one.get("url") for one in walk(error, "extension") if isinstance(one, dict)}
    code = next((code for system, code in codings(error.get("code")) if system == REJECTIONS), "")
    if not code:
        return error if WHO_FIXES in told else {**error, "extension": [*error.get("extension", ()), {"url": WHO_FIXES, "valueCode": "payer"}]}
    follow_up = next((str(one) for x in walk(error, "extension") if x.get("url") == FOLLOW_UP for one in walk(x, "valueCoding.code")), "")
    ours = explained(code, follow_up, codes)
    theirs = [one for one in error.get("extension", ()) if one.get("url") not in (FOLLOW_UP, WHO_FIXES, RETRY_AFTER)]
    return {**error, "extension": [*theirs, *ours["extension"]], "code": ours["code"]}


def _modified(value: Any) -> Iterator[bool]:
    if isinstance(value, dict):
        if value.get("modifierExtension"):
            yield True
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _modified(one)


def _named(value: Any, contained: Mapping[str, Json]) -> Any:
    """A copy in which no Reference points to where we can't follow: its identifier and its name stay, or what it names if that came with it."""
    if isinstance(value, list):
        return [_named(one, contained) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: _named(one, contained) for name, one in value.items()}
    if isinstance(made.get("reference"), str):
        named = contained.get(made.pop("reference"), {})
        if "display" not in made and (name := _name(named)):
            made["display"] = name
        if not made:
            made["display"] = "named by the payer"
    return made


def _worded(response: Json, codes: Codes) -> Json:
    """Service types in words, where the payer gives their codes alone."""
    for item in walk(response, "insurance.item"):
        for coding in walk(item, "category.coding"):
            if coding.get("system") == SERVICE_TYPES and "display" not in coding and (words := codes.display("1365", str(coding.get("code")))):
                coding["display"] = words
    return response


def _name(resource: Json) -> str:
    name = resource.get("name")
    if isinstance(name, str):
        return name
    first = next((one for one in walk(resource, "name") if isinstance(one, dict)), {})
    return str(first.get("text") or " ".join(str(part) for part in (*walk(first, "given"), first.get("family")) if part))


def _patient(patient: Json) -> Json:
    """What a payer tells a person by, and nothing else."""
    made: Json = {"resourceType": "Patient", **{name: patient[name] for name in _PATIENT if name in patient}}
    numbers = [one for one in walk(patient, "identifier") if isinstance(one, dict) and "MB" in {code for _, code in codings(one.get("type"))}]
    return made | ({"identifier": numbers} if numbers else {})


def _coverage(coverage: Json, patient: str, insurer: str, holder: str) -> Json:
    made: Json = {"resourceType": "Coverage", **{name: coverage[name] for name in _COVERAGE if name in coverage}}
    itself = next((code for _, code in codings(coverage.get("relationship"))), "") in _SELF
    subscriber = patient if itself else holder
    made |= {"subscriber": {"reference": subscriber}} if subscriber else {}
    return made | {"beneficiary": {"reference": patient}, "payor": [{"reference": insurer}]}


def _urn(place: int) -> str:
    """A name within the Bundle; it says nothing about what is held here."""
    return f"urn:uuid:00000000-0000-4000-8000-{place:012d}"
