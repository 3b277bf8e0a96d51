"""A CoverageEligibilityRequest answered as the script says.

The member is the `subscriberId` of the Coverage in the Bundle or contained. The answer gives back the identifier of the question, as a payer that keeps
questions of its own accord would.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.script import Step
from fhir_gateway.mockpayer.statement import errors, extensions, insurance

Json = dict[str, Any]


class UnreadableError(ValueError):
    """A body that is no question; in words."""


def resources(body: Any) -> list[Json]:
    """What a body holds: the resource itself with what it contains, or that of a Bundle or Parameters."""
    return list(_resources(body))


def one(found: list[Json], kind: str) -> Json:
    """The first of a type. Raises UnreadableError."""
    for resource in found:
        if resource.get("resourceType") == kind:
            return resource
    raise UnreadableError(f"the body holds no {kind}")


def member(found: list[Json]) -> str:
    """The member number, "" for none."""
    return next((str(held["subscriberId"]) for held in found if held.get("resourceType") == "Coverage" and held.get("subscriberId")), "")


def question(body: Any, book: Book) -> tuple[Step, Json, list[Json]]:
    """The step, the question and everything that came with it. Raises UnreadableError."""
    found = resources(body)
    request = one(found, "CoverageEligibilityRequest")
    return book.step("fhir", member(found), trace=_number(request), purpose=request.get("purpose")), request, found


def answer(request: Json, found: list[Json], step: Step, now: datetime) -> Json:
    """The CoverageEligibilityResponse of a step."""
    number = "urn:uuid:00000000-0000-4000-8000-000000000000" if step.fault == "somebody-else" else _number(request)
    made: Json = {"resourceType": "CoverageEligibilityResponse", "id": "answer", "status": "active", "purpose": request.get("purpose", [])}
    made["patient"] = {"identifier": {"value": member(found)}, "display": "the member asked about"}
    made |= {name: request[name] for name in ("servicedDate", "servicedPeriod") if name in request}
    made["created"] = now.isoformat(timespec="seconds")
    made["request"] = {"identifier": {"system": "urn:ietf:rfc:3986", "value": number}}
    made["outcome"] = "error" if step.reject else "complete"
    made["insurer"] = {"display": str(request.get("insurer", {}).get("display", "the payer"))}
    if extended := extensions(step):
        made["extension"] = extended
    if step.reject:
        made["error"] = errors(step)
    elif said := insurance(step):
        made["insurance"] = [{"coverage": {"identifier": {"value": member(found)}}, **said}]
    if step.fault == "breaks-specification":
        made |= {"outcome": "perhaps", "insurance": [{"inforce": "yes"}]}
    return made


def _resources(body: Any) -> Iterator[Json]:
    if not isinstance(body, dict):
        return
    for name in ("entry", "parameter"):
        for held in body.get(name, ()):
            yield from _resources(held.get("resource"))
    yield body
    yield from (one for one in body.get("contained", ()) if isinstance(one, dict))


def _number(request: Json) -> str:
    return next((str(one["value"]) for one in request.get("identifier", ()) if one.get("value")), "")
