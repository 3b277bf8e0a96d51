"""Operations ($…): what is asked of the gateway beyond REST. Each has its OperationDefinition in `profiles/operationdefinition/`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.pipeline.writes import checked, given_object
from fhir_gateway.rest import answers, requests
from fhir_gateway.rest.common import LookedRoute, body_of, gateway_of, legal, run
from fhir_gateway.security.request import principal_of
from fhir_gateway.wording import moment_of

router = APIRouter(route_class=LookedRoute)


@router.api_route("/fhir/ServiceRequest/{id}/$completeness", methods=["GET", "POST"], summary="What the case still lacks")
async def completeness(request: Request, id: str) -> Response:
    """GuidanceResponse: gates, items, reasons, due dates; `asOf` asks what the answer would have been then."""
    principal = principal_of(request)
    answers.check_accept(request)
    legal("ServiceRequest", id)
    gateway = gateway_of(request)
    given = request.query_params.get("asOf")
    if given is None and request.method == "POST":
        given = _parameter(await body_of(request), "asOf")
    moment = moment_of(given, gateway.settings.zone, "asOf") if given else None
    return answers.answer(await run(request, lambda: gateway.completeness(principal, id, moment)))


@router.post("/fhir/ServiceRequest/$completeness", summary="What would still be missing if this Bundle were sent? Stores nothing")
async def dry_run(request: Request) -> Response:
    """The GuidanceResponse of the case that the Bundle in the body would open or complete."""
    principal = principal_of(request)
    answers.check_accept(request)
    gateway = gateway_of(request)
    body, base = await body_of(request), requests.base_of(request)
    return answers.answer(await run(request, lambda: gateway.dry_run.bundle(body, principal, base)))


@router.api_route("/fhir/PlanDefinition/{id}/$questionnaire", methods=["GET", "POST"], summary="What a checklist asks for, as a Questionnaire")
async def questionnaire(request: Request, id: str) -> Response:
    """The Questionnaire of one checklist; its QuestionnaireResponse answers what a case's conditions ask."""
    principal = principal_of(request)
    answers.check_accept(request)
    legal("PlanDefinition", id)
    if request.method == "POST":
        _parameter(await body_of(request), "")  # it takes none, but what is sent must be Parameters
    gateway = gateway_of(request)
    return answers.answer(await run(request, lambda: gateway.questionnaire(principal, id)))


@router.post("/fhir/ServiceRequest/{id}/$opinion", summary="Issue the opinion of a case")
async def opinion(request: Request, id: str) -> Response:
    """The coordination Task with the opinion as its output; the Parameters in the body say the opinion."""
    principal = principal_of(request)
    answers.check_accept(request)
    legal("ServiceRequest", id)
    gateway = gateway_of(request)
    body = await body_of(request)
    task = await run(request, lambda: gateway.opinion(principal, id, body))
    return answers.answer(task.body, headers=answers.version_headers(task.version, task.last_updated))


def _parameter(body: bytes, name: str) -> str | None:
    """A primitive parameter out of a Parameters resource, None when the body is empty or does not hold it."""
    if not body.strip():
        return None
    given = checked(given_object(body), "Parameters")
    for entry in given.get("parameter") or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return next((str(value) for key, value in entry.items() if key.startswith("value")), None)
    return None
