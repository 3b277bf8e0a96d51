"""The addresses of the FHIR API. Each route reads the request, asks the pipeline in a worker thread, and writes the answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Final, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.bodies import KEPT_BYTES, Cut, TooLarge, read_body
from fhir_gateway.errors import GatewayError, MediaTypeError, NotFoundError, TooLargeError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.pipeline.results import RawMessage, Written
from fhir_gateway.pipeline.writes import checked, given_object
from fhir_gateway.rest import answers, capability, requests
from fhir_gateway.security.request import principal_of
from fhir_gateway.store import Stored
from fhir_gateway.validation import Issue, shapes
from fhir_gateway.validation.primitives import TEXT
from fhir_gateway.wording import moment_of

FORM: Final = "application/x-www-form-urlencoded"
INERT: Final = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
"""With bytes somebody else wrote: a browser that shows them runs nothing of them."""
router = APIRouter()
Result = TypeVar("Result")


async def _run(request: Request, work: Callable[[], Result]) -> Result:
    """Database work happens off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.app.state.gateway.executor, work)


async def _body(request: Request) -> bytes:
    """The body of a single write. Raises MediaTypeError, TooLargeError."""
    answers.check_content_type(request)
    return await _whole(request)


async def _whole(request: Request, cut: Cut | None = None) -> bytes:
    """A body within the limit; of one over it the beginning is kept in the inbox. Raises TooLargeError."""
    gateway: Gateway = request.app.state.gateway
    body = await read_body(request, gateway.settings.message_bytes, cut)
    if isinstance(body, TooLarge):
        await _run(request, lambda: gateway.refuse_oversize(body.head, body.length, body.sha256, "fhir", _peer(request)))
        raise TooLargeError(f"The body is over the limit of {gateway.settings.message_bytes} bytes; its beginning was kept")
    return body


def _peer(request: Request) -> str:
    return request.client.host if request.client else "?"


@router.get("/fhir/metadata", summary="What this server can do")
@router.head("/fhir/metadata", include_in_schema=False)
async def metadata(request: Request) -> Response:
    """The CapabilityStatement, made from what is there. The one address that needs no sign-in."""
    answers.check_accept(request)
    return answers.answer(capability.statement(requests.base_of(request), request.app.state.gateway))


@router.post("/fhir", summary="Transaction or batch")
@router.post("/fhir/", include_in_schema=False)
async def bundle(request: Request) -> Response:
    """A Bundle passes the inbox like a message: kept first, answered when its effect is committed."""
    principal = principal_of(request)
    gateway: Gateway = request.app.state.gateway
    body = await _whole(request, lambda head, length: _keep(request, head, length, "the Bundle ended in the middle"))
    try:
        answers.check_accept(request)
        answers.check_content_type(request)
    except GatewayError:
        await _keep(request, body[:KEPT_BYTES], len(body), "sent or asked for in a format not done here")
        raise
    base = requests.base_of(request)
    status, content = await _run(request, lambda: gateway.receive_bundle(body, principal, base))
    return answers.answer(content, status)


async def _keep(request: Request, head: bytes, length: int, why: str) -> None:
    """What arrived at the Bundle entrance and can't be taken is kept all the same."""
    if length:
        await _run(request, lambda: request.app.state.gateway.keep_broken(head, length, why, "fhir", _peer(request)))


@router.api_route("/fhir/ServiceRequest/{id}/$completeness", methods=["GET", "POST"], summary="What the case still lacks")
async def completeness(request: Request, id: str) -> Response:
    """GuidanceResponse: gates, items, reasons, due dates; `asOf` asks what the answer would have been then."""
    principal = principal_of(request)
    answers.check_accept(request)
    _legal("ServiceRequest", id)
    gateway: Gateway = request.app.state.gateway
    given = request.query_params.get("asOf")
    if given is None and request.method == "POST":
        given = _parameter(await _body(request), "asOf")
    moment = moment_of(given, gateway.settings.zone, "asOf") if given else None
    return answers.answer(await _run(request, lambda: gateway.completeness(principal, id, moment)))


@router.post("/fhir/ServiceRequest/$completeness", summary="What would still be missing if this Bundle were sent? Stores nothing")
async def dry_run(request: Request) -> Response:
    """The GuidanceResponse of the case that the Bundle in the body would open or complete."""
    principal = principal_of(request)
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    body, base = await _body(request), requests.base_of(request)
    return answers.answer(await _run(request, lambda: gateway.dry_run.bundle(body, principal, base)))


@router.api_route("/fhir/PlanDefinition/{id}/$questionnaire", methods=["GET", "POST"], summary="What a checklist asks for, as a Questionnaire")
async def questionnaire(request: Request, id: str) -> Response:
    """The Questionnaire of one checklist; its QuestionnaireResponse answers what a case's conditions ask."""
    principal = principal_of(request)
    answers.check_accept(request)
    _legal("PlanDefinition", id)
    if request.method == "POST":
        _parameter(await _body(request), "")  # it takes none, but what is sent must be Parameters
    gateway: Gateway = request.app.state.gateway
    return answers.answer(await _run(request, lambda: gateway.questionnaire(principal, id)))


@router.post("/fhir/ServiceRequest/{id}/$opinion", summary="Issue the opinion of a case")
async def opinion(request: Request, id: str) -> Response:
    """The coordination Task with the opinion as its output; the Parameters in the body say the opinion."""
    principal = principal_of(request)
    answers.check_accept(request)
    _legal("ServiceRequest", id)
    gateway: Gateway = request.app.state.gateway
    body = await _body(request)
    task = await _run(request, lambda: gateway.opinion(principal, id, body))
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


@router.get("/fhir/{type}", summary="Search one resource type")
@router.head("/fhir/{type}", include_in_schema=False)
@router.post("/fhir/{type}/_search", summary="Search one resource type, parameters in the body")
async def search(request: Request, type: str) -> Response:
    """A searchset Bundle with links built from the request."""
    principal = principal_of(request)
    answers.check_accept(request)
    _known(type)
    gateway: Gateway = request.app.state.gateway
    form = await _form(request) if request.method == "POST" else b""
    pairs, base, lenient = requests.search_pairs(request, form), requests.base_of(request), requests.lenient(request)
    return answers.answer(await _run(request, lambda: gateway.search(principal, type, pairs, base, lenient=lenient)))


async def _form(request: Request) -> bytes:
    """search.html#Introduction: parameters come as a form. Raises MediaTypeError, TooLargeError."""
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    answers.check_encoding(request)
    if kind != FORM:
        raise MediaTypeError(f"The parameters of _search are sent as {FORM}, not as '{kind[:60]}'")
    return await _whole(request)


@router.post("/fhir/{type}", summary="Create")
async def create(request: Request, type: str) -> Response:
    """A new resource; with If-None-Exist only when nothing matches."""
    principal = principal_of(request)
    answers.check_accept(request)
    _known(type)
    gateway: Gateway = request.app.state.gateway
    body, condition = await _body(request), requests.condition(request)
    written = await _run(request, lambda: gateway.create(principal, type, body, condition))
    return _written(request, written)


@router.get("/fhir/{type}/{id}", summary="Read")
@router.head("/fhir/{type}/{id}", include_in_schema=False)
async def read(request: Request, type: str, id: str) -> Response:
    """The current version; 304 when the client holds it, 410 when it was deleted."""
    principal = principal_of(request)
    _known(type)
    gateway: Gateway = request.app.state.gateway
    _legal(type, id)
    if type == "Binary" and (raw := await _run(request, lambda: gateway.raw_message(principal, id))) is not None:
        return _raw(request, raw)
    if type != "Binary":
        answers.check_accept(request)
    stored = await _run(request, lambda: gateway.read(principal, type, id))
    headers = answers.version_headers(stored.version, stored.last_updated)
    native = _native(request, stored) if type == "Binary" else None
    if requests.not_modified(request, stored.version, stored.last_updated):
        return Response(None, 304, headers)
    if native is not None:
        return Response(native.content, 200, {**headers, **INERT}, media_type=native.content_type)
    return answers.answer(stored.body, headers=headers)


@router.get("/fhir/{type}/{id}/_history/{version}", summary="Read one version")
@router.head("/fhir/{type}/{id}/_history/{version}", include_in_schema=False)
async def vread(request: Request, type: str, id: str, version: str) -> Response:
    """One version as it was."""
    principal = principal_of(request)
    answers.check_accept(request)
    _known(type)
    _legal(type, id)
    gateway: Gateway = request.app.state.gateway
    number = int(version) if version.isdecimal() and len(version) < 10 else 0
    stored = await _run(request, lambda: gateway.vread(principal, type, id, number))
    headers = answers.version_headers(stored.version, stored.last_updated)
    if requests.not_modified(request, stored.version, stored.last_updated):
        return Response(None, 304, headers)
    return answers.answer(stored.body, headers=headers)


@router.put("/fhir/{type}/{id}", summary="Update, or create with this id")
async def update(request: Request, type: str, id: str) -> Response:
    """A new version; If-Match guards against overwriting what the client has not seen."""
    principal = principal_of(request)
    answers.check_accept(request)
    _known(type)
    gateway: Gateway = request.app.state.gateway
    body, version = await _body(request), requests.expected_version(request)
    written = await _run(request, lambda: gateway.update(principal, type, id, body, version))
    return _written(request, written)


@router.delete("/fhir/{type}/{id}", summary="Delete")
async def delete(request: Request, type: str, id: str) -> Response:
    """Marks the resource deleted; its versions stay. Repeating it is no error."""
    principal = principal_of(request)
    answers.check_accept(request)
    _known(type)
    _legal(type, id)
    gateway: Gateway = request.app.state.gateway
    version = requests.expected_version(request)
    await _run(request, lambda: gateway.delete(principal, type, id, version))
    return Response(None, 204)


def _known(type: str) -> None:
    if not shapes.known(type):
        raise NotFoundError(f"'{type[:64]}' is not a resource type of FHIR R4 known here")


def _legal(type: str, id: str) -> None:
    """What can't be an id names nothing, and is not asked of the database."""
    if not TEXT["id"].fullmatch(id):
        raise NotFoundError(f"There is no {type} under an id of that form")


def _written(request: Request, written: Written) -> Response:
    stored = written.stored
    headers = answers.version_headers(stored.version, stored.last_updated)
    headers["Location"] = f"{requests.base_of(request)}/{stored.type}/{stored.id}/_history/{stored.version}"
    status = 201 if written.created else 200
    match requests.wanted_return(request):
        case "minimal":
            return answers.answer(None, status, headers)
        case "OperationOutcome":
            hints = (Issue("information", "informational", written.hint),) if written.hint else ()
            return answers.outcome(hints, status, headers)
        case _:
            return answers.answer(stored.body, status, headers)


def _native(request: Request, stored: Stored) -> RawMessage | None:
    """The bytes of a Binary when the client asks for their own type (binary.html#rest), None when it asks for the resource."""
    given = stored.resource
    raw = RawMessage(stored.id, base64.b64decode(given.get("data", "")), str(given.get("contentType", "")))
    kind = raw.content_type.partition(";")[0].strip().lower()
    answers.check_accept(request, kind)
    return raw if kind in answers.accepted_types(request) and "_format" not in request.query_params else None


def _raw(request: Request, raw: RawMessage) -> Response:
    """A kept message as Binary: its bytes when the client asks for their type, the FHIR resource otherwise (binary.html#rest)."""
    kind = raw.content_type.partition(";")[0]
    answers.check_accept(request, kind)
    if kind in answers.accepted_types(request) and "_format" not in request.query_params:
        return Response(raw.content, 200, media_type=raw.content_type)
    return answers.answer(raw.as_resource())
