"""Operations ($…): what is asked of the gateway beyond REST. Each has its OperationDefinition in `profiles/operationdefinition/`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.pipeline.parameters import primitive
from fhir_gateway.pipeline.validating import question
from fhir_gateway.pipeline.writes import checked, given_object
from fhir_gateway.rest import answers, requests
from fhir_gateway.rest.common import LookedRoute, body_of, gateway_of, known, legal, run
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


@router.post("/fhir/CoverageEligibilityRequest/$submit", summary="Is this insurance in force, what does it cover, must the payer be asked first?")
async def submit(request: Request) -> Response:
    """The CoverageEligibilityResponse, kept beside the request; `outcome` is `queued` when the payer has not answered in its time."""
    principal = principal_of(request)
    answers.check_accept(request)
    gateway, body, base = gateway_of(request), await body_of(request), requests.base_of(request)
    found = await run(request, lambda: gateway.submit_eligibility(principal, body, base))
    return answers.answer(found.body, headers=answers.version_headers(found.version, found.last_updated))


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


@router.post("/fhir/ServiceRequest/{id}/$authorise", summary="Ask the payer to authorise the service of a case")
async def authorise(request: Request, id: str) -> Response:
    """The Claim that asks; `expedited` wants the decision within 72 hours."""
    principal = principal_of(request)
    answers.check_accept(request)
    legal("ServiceRequest", id)
    gateway = gateway_of(request)
    fast = _parameter(await body_of(request), "expedited") == "true"
    claim = await run(request, lambda: gateway.authorising.claim(principal, id, expedited=fast))
    return answers.answer(claim.body, 201, answers.version_headers(claim.version, claim.last_updated))


@router.api_route("/fhir/{type}/{id}/$validate", methods=["GET", "POST"], summary="What would be refused of this resource, or of it as it is held?")
async def validate_instance(request: Request, type: str, id: str) -> Response:
    """OperationOutcome with every issue, 200 whatever they are."""
    legal(type, id)
    return await _validated(request, type, id)


@router.post("/fhir/{type}/$validate", summary="What would be refused of this resource?")
async def validate_type(request: Request, type: str) -> Response:
    """OperationOutcome with every issue, 200 whatever they are."""
    return await _validated(request, type, "")


async def _validated(request: Request, type: str, id: str) -> Response:
    principal, gateway = principal_of(request), gateway_of(request)
    answers.check_accept(request)
    known(type)
    body = await body_of(request) if request.method == "POST" else b""
    asked = request.query_params
    about = question(type, id, given_object(body) if body.strip() else None, asked.get("mode", ""), asked.getlist("profile"))
    return answers.outcome(await run(request, lambda: gateway.operations.validate(principal, about)), 200)


@router.api_route("/fhir/Patient/{id}/$everything", methods=["GET", "POST"], summary="What is held about a patient, and what that refers to")
async def everything(request: Request, id: str) -> Response:
    """A searchset, in pages when there is much."""
    principal, gateway, base = principal_of(request), gateway_of(request), requests.base_of(request)
    answers.check_accept(request)
    legal("Patient", id)
    pairs = requests.search_pairs(request)
    if request.method == "POST":
        pairs += _pairs(await body_of(request))
    return answers.answer(await run(request, lambda: gateway.operations.everything(principal, id, pairs, base)))


@router.post("/fhir/Patient/$match", summary="Which Patients held here may be this person?")
async def match(request: Request) -> Response:
    """A searchset with score and match-grade, the likeliest first."""
    principal, gateway, base = principal_of(request), gateway_of(request), requests.base_of(request)
    answers.check_accept(request)
    given = given_object(await body_of(request))
    return answers.answer(await run(request, lambda: gateway.operations.match(principal, given, base)))


@router.api_route("/fhir/{type}/{id}/$meta", methods=["GET", "POST"], summary="Profiles, tags and security labels of a resource")
async def meta(request: Request, type: str, id: str) -> Response:
    """Parameters with the meta."""
    principal, gateway = principal_of(request), gateway_of(request)
    answers.check_accept(request)
    known(type)
    legal(type, id)
    return answers.answer(await run(request, lambda: gateway.operations.meta(principal, type, id)))


@router.api_route("/fhir/$meta", methods=["GET", "POST"], summary="Profiles, tags and security labels in use")
async def meta_of_all(request: Request) -> Response:
    """Parameters with one meta of all labels."""
    return await _labels(request, "")


@router.api_route("/fhir/{type}/$meta", methods=["GET", "POST"], summary="Profiles, tags and security labels in use on a type")
async def meta_of_type(request: Request, type: str) -> Response:
    """Parameters with one meta of all labels."""
    known(type)
    return await _labels(request, type)


async def _labels(request: Request, type: str) -> Response:
    principal, gateway = principal_of(request), gateway_of(request)
    answers.check_accept(request)
    return answers.answer(await run(request, lambda: gateway.operations.labels(principal, type)))


@router.post("/fhir/{type}/{id}/$meta-add", summary="Add profiles, tags or security labels")
@router.post("/fhir/{type}/{id}/$meta-delete", summary="Take profiles, tags or security labels away")
async def change_meta(request: Request, type: str, id: str) -> Response:
    """Parameters with the meta as it is now."""
    principal, gateway = principal_of(request), gateway_of(request)
    answers.check_accept(request)
    known(type)
    legal(type, id)
    given, add = given_object(await body_of(request)), request.url.path.endswith("$meta-add")
    return answers.answer(await run(request, lambda: gateway.operations.change_meta(principal, type, id, given, add=add)))


def _pairs(body: bytes) -> list[tuple[str, str]]:
    """The primitive parameters of a Parameters resource as those of an address."""
    if not body.strip():
        return []
    given = checked(given_object(body), "Parameters")
    each = [(str(one["name"]), primitive({"parameter": [one]}, one["name"])) for one in given.get("parameter", ())]
    return [(name, value) for name, value in each if value is not None]


def _parameter(body: bytes, name: str) -> str | None:
    """A primitive parameter out of a Parameters resource, None when the body is empty or does not hold it."""
    if not body.strip():
        return None
    return primitive(checked(given_object(body), "Parameters"), name)
