"""The addresses of one resource: read, vread, history, update, patch, delete; and of what is about one patient."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.errors import NotFoundError
from fhir_gateway.rest import answers, binary, requests
from fhir_gateway.rest.common import LookedRoute, form_of, gateway_of, known, legal, one, patch_body, run, run_brief, wrote
from fhir_gateway.security.request import principal_of
from fhir_gateway.store import Stored

router = APIRouter(route_class=LookedRoute)


@router.get("/fhir/{type}/{id}/_history", summary="Every version of one resource, newest first")
async def history(request: Request, type: str, id: str) -> Response:
    """A history Bundle."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    legal(type, id)
    gateway, pairs, base = gateway_of(request), requests.search_pairs(request), requests.base_of(request)
    return answers.answer(await run(request, lambda: gateway.fhir.history(principal, type, id, pairs, base)))


@router.get("/fhir/{type}/{id}", summary="Read")
async def read(request: Request, type: str, id: str) -> Response:
    """The current version; 304 when the client holds it, 410 when it was deleted."""
    principal = principal_of(request)
    known(type)
    legal(type, id)
    gateway = gateway_of(request)
    if type == "Binary" and (raw := await run(request, lambda: gateway.raw_message(principal, id))) is not None:
        return binary.raw(request, raw)
    if type != "Binary":
        answers.check_accept(request)
    stored = await (run if type == "Binary" else run_brief)(request, lambda: gateway.fhir.read(principal, type, id))
    return _shown(request, stored)


@router.get("/fhir/{type}/{id}/_history/{version}", summary="Read one version")
async def vread(request: Request, type: str, id: str, version: str) -> Response:
    """One version as it was."""
    principal = principal_of(request)
    if type != "Binary":
        answers.check_accept(request)
    known(type)
    legal(type, id)
    gateway = gateway_of(request)
    if not version.isdecimal() or len(version) > 9:
        raise NotFoundError(f"There is no {type}/{id} in a version of that form; versions are numbers")
    return _shown(request, await run(request, lambda: gateway.fhir.vread(principal, type, id, int(version))))


def _shown(request: Request, stored: Stored) -> Response:
    """One version, a Binary as its bytes where they are asked for; 304 when the client holds it."""
    native = binary.native(request, stored) if stored.type == "Binary" else None
    answer = one(request, stored)
    return answer if native is None or answer.status_code == 304 else native


@router.put("/fhir/{type}/{id}", summary="Update, or create with this id")
async def update(request: Request, type: str, id: str) -> Response:
    """A new version; If-Match guards against overwriting what the client has not seen."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    body, expected, base = await binary.upload(request, type, id), requests.expected(request), requests.base_of(request)
    return wrote(request, await run(request, lambda: gateway.fhir.update(principal, type, id, body, expected, base)))


@router.patch("/fhir/{type}/{id}", summary="Patch: JSON Patch or JSON Merge Patch")
async def patch(request: Request, type: str, id: str) -> Response:
    """A new version made of the current one."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    legal(type, id)
    gateway = gateway_of(request)
    expected = requests.expected(request)
    kind, body = await patch_body(request)
    return wrote(request, await run(request, lambda: gateway.fhir.patch(principal, type, id, "", body, kind, expected)))


@router.delete("/fhir/{type}/{id}", summary="Delete")
async def delete(request: Request, type: str, id: str) -> Response:
    """Marks the resource deleted; its versions stay. Repeating it is no error."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    legal(type, id)
    gateway = gateway_of(request)
    expected = requests.expected(request)
    await run(request, lambda: gateway.fhir.delete(principal, type, id, expected))
    return Response(None, 204)


@router.get("/fhir/Patient/{id}/{type}", summary="Search one resource type in the compartment of a Patient")
@router.post("/fhir/Patient/{id}/{type}/_search", summary="The same, parameters in the body")
async def search_compartment(request: Request, id: str, type: str) -> Response:
    """A searchset Bundle of what is about this patient; type `*` for every type (http.html#search)."""
    principal = principal_of(request)
    answers.check_accept(request)
    if type != "*":
        known(type)
    legal("Patient", id)
    gateway = gateway_of(request)
    form = await form_of(request) if request.method == "POST" else b""
    pairs, base, lenient = requests.search_pairs(request, form), requests.base_of(request), requests.lenient(request)
    return answers.answer(await run(request, lambda: gateway.fhir.search(principal, type, pairs, base, lenient=lenient, patient=id)))
