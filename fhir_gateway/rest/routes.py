"""The addresses of the FHIR API. Each route reads the request, asks the pipeline in a worker thread, and writes the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.bodies import TooLarge, read_body
from fhir_gateway.errors import NotFoundError, TooLargeError, UnreadableError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.pipeline.results import RawMessage, Written
from fhir_gateway.pipeline.writes import given_object
from fhir_gateway.rest import answers, capability, requests
from fhir_gateway.security.request import principal_of
from fhir_gateway.validation import shapes
from fhir_gateway.wording import moment_of

router = APIRouter()
Result = TypeVar("Result")


async def _run(request: Request, work: Callable[[], Result]) -> Result:
    """Database work happens off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.app.state.gateway.executor, work)


async def _body(request: Request, gateway: Gateway, channel: str = "fhir") -> bytes:
    answers.check_content_type(request)
    body = await read_body(request, gateway.settings.message_bytes)
    if isinstance(body, TooLarge):
        peer = request.client.host if request.client else "?"
        await _run(request, lambda: gateway.refuse_oversize(body.head, body.length, body.sha256, channel, peer))
        raise TooLargeError(f"The body is over the limit of {gateway.settings.message_bytes} bytes; its beginning was kept")
    return body


@router.get("/fhir/metadata", summary="What this server can do")
async def metadata(request: Request) -> Response:
    """The CapabilityStatement, made from what is there."""
    answers.check_accept(request)
    return answers.answer(capability.statement(requests.base_of(request), request.app.state.gateway))


@router.post("/fhir", summary="Transaction or batch")
@router.post("/fhir/", include_in_schema=False)
async def bundle(request: Request) -> Response:
    """A Bundle passes the inbox like a message: kept first, answered when its effect is committed."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    body = await _body(request, gateway)
    principal, base = principal_of(request), requests.base_of(request)
    status, content = await _run(request, lambda: gateway.receive_bundle(body, principal, base))
    return answers.answer(content, status)


@router.api_route("/fhir/ServiceRequest/{id}/$completeness", methods=["GET", "POST"], summary="What the case still lacks")
async def completeness(request: Request, id: str) -> Response:
    """GuidanceResponse: gates, items, reasons, due dates; `asOf` asks what the answer would have been then."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    given = request.query_params.get("asOf")
    if given is None and request.method == "POST":
        given = _parameter(await _body(request, gateway), "asOf")
    moment = moment_of(given, gateway.settings.zone, "asOf") if given else None
    principal = principal_of(request)
    return answers.answer(await _run(request, lambda: gateway.completeness(principal, id, moment)))


def _parameter(body: bytes, name: str) -> str | None:
    """A primitive parameter out of a Parameters resource, None when the body is empty or does not hold it."""
    if not body.strip():
        return None
    given = given_object(body)
    if given.get("resourceType") != "Parameters":
        raise UnreadableError("The body of an operation is a Parameters resource", "resourceType")
    for entry in given.get("parameter") or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return next((str(value) for key, value in entry.items() if key.startswith("value")), None)
    return None


@router.get("/fhir/{type}", summary="Search one resource type")
@router.post("/fhir/{type}/_search", summary="Search one resource type, parameters in the body")
async def search(request: Request, type: str) -> Response:
    """A searchset Bundle with links built from the request."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    _known(type)
    form = b""
    if request.method == "POST":
        read = await read_body(request, gateway.settings.message_bytes)
        form = read if isinstance(read, bytes) else read.head
    pairs, base, lenient = requests.search_pairs(request, form), requests.base_of(request), requests.lenient(request)
    principal = principal_of(request)
    return answers.answer(await _run(request, lambda: gateway.search(principal, type, pairs, base, lenient=lenient)))


@router.post("/fhir/{type}", summary="Create")
async def create(request: Request, type: str) -> Response:
    """A new resource; with If-None-Exist only when nothing matches."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    _known(type)
    body = await _body(request, gateway)
    principal, condition = principal_of(request), request.headers.get("if-none-exist")
    written = await _run(request, lambda: gateway.create(principal, type, body, condition))
    return _written(request, written)


@router.api_route("/fhir/{type}/{id}", methods=["GET", "HEAD"], summary="Read")
async def read(request: Request, type: str, id: str) -> Response:
    """The current version; 304 when the client holds it, 410 when it was deleted."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    _known(type)
    principal = principal_of(request)
    if type == "Binary" and (raw := await _run(request, lambda: gateway.raw_message(principal, id))) is not None:
        return _raw(request, raw)
    stored = await _run(request, lambda: gateway.read(principal, type, id))
    headers = answers.version_headers(stored.version, stored.last_updated)
    if requests.not_modified(request, stored.version, stored.last_updated):
        return Response(None, 304, headers)
    return answers.answer(stored.body, headers=headers)


@router.get("/fhir/{type}/{id}/_history/{version}", summary="Read one version")
async def vread(request: Request, type: str, id: str, version: str) -> Response:
    """One version as it was."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    _known(type)
    number = int(version) if version.isdecimal() and len(version) < 10 else 0
    stored = await _run(request, lambda: gateway.vread(principal_of(request), type, id, number))
    return answers.answer(stored.body, headers=answers.version_headers(stored.version, stored.last_updated))


@router.put("/fhir/{type}/{id}", summary="Update, or create with this id")
async def update(request: Request, type: str, id: str) -> Response:
    """A new version; If-Match guards against overwriting what the client has not seen."""
    answers.check_accept(request)
    gateway: Gateway = request.app.state.gateway
    _known(type)
    body = await _body(request, gateway)
    principal, version = principal_of(request), requests.expected_version(request)
    written = await _run(request, lambda: gateway.update(principal, type, id, body, version))
    return _written(request, written)


@router.delete("/fhir/{type}/{id}", summary="Delete")
async def delete(request: Request, type: str, id: str) -> Response:
    """Marks the resource deleted; its versions stay. Repeating it is no error."""
    gateway: Gateway = request.app.state.gateway
    _known(type)
    principal, version = principal_of(request), requests.expected_version(request)
    await _run(request, lambda: gateway.delete(principal, type, id, version))
    return Response(None, 204)


def _known(type: str) -> None:
    if not shapes.known(type):
        raise NotFoundError(f"'{type[:64]}' is not a resource type of FHIR R4 known here")


def _written(request: Request, written: Written) -> Response:
    stored = written.stored
    headers = answers.version_headers(stored.version, stored.last_updated)
    headers["Location"] = f"{requests.base_of(request)}/{stored.type}/{stored.id}/_history/{stored.version}"
    status = 201 if written.created else 200
    match requests.wanted_return(request):
        case "minimal":
            return answers.answer(None, status, headers)
        case "OperationOutcome":
            return answers.outcome((), status, headers)
        case _:
            return answers.answer(stored.body, status, headers)


def _raw(request: Request, raw: RawMessage) -> Response:
    """A kept message as Binary: its bytes when the client asks for their type, the FHIR resource otherwise."""
    accept = request.headers.get("accept", "")
    if raw.content_type.split(";")[0] in accept:
        return Response(raw.content, 200, media_type=raw.content_type)
    return answers.answer(raw.as_resource())
