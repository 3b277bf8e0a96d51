"""The addresses of a resource type: search, create, and writes by a condition."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.rest import answers, requests
from fhir_gateway.rest.binary import upload
from fhir_gateway.rest.common import LookedRoute, body_of, form_of, gateway_of, known, patch_body, run, run_searching, wrote
from fhir_gateway.security.request import principal_of

Json = dict[str, Any]
router = APIRouter(route_class=LookedRoute)


@router.get("/fhir/{type}/_history", summary="What was written of one type, newest first")
async def history(request: Request, type: str) -> Response:
    """A history Bundle."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway, pairs, base = gateway_of(request), requests.search_pairs(request), requests.base_of(request)
    return answers.answer(await run(request, lambda: gateway.fhir.history(principal, type, "", pairs, base)))


@router.get("/fhir/{type}", summary="Search one resource type")
@router.post("/fhir/{type}/_search", summary="Search one resource type, parameters in the body")
async def search(request: Request, type: str) -> Response:
    """A searchset Bundle with links built from the request."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    form = await form_of(request) if request.method == "POST" else b""
    pairs, base, lenient = requests.search_pairs(request, form), requests.base_of(request), requests.lenient(request)

    def searched(steps: int | None) -> Json:
        return gateway.fhir.search(principal, type, pairs, base, lenient=lenient, steps=steps)

    return answers.answer(await run_searching(request, principal, pairs, searched))


@router.post("/fhir/{type}", summary="Create")
async def create(request: Request, type: str) -> Response:
    """A new resource; with If-None-Exist only when nothing matches."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    body, condition, base = await upload(request, type), requests.condition(request), requests.base_of(request)
    return wrote(request, await run(request, lambda: gateway.fhir.create(principal, type, body, condition, base)))


@router.put("/fhir/{type}", summary="Update what a condition means, or create it")
async def update(request: Request, type: str) -> Response:
    """Conditional update: the query is the condition."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    condition, expected = requests.query_condition(request), requests.expected(request)
    body, base = await body_of(request), requests.base_of(request)
    return wrote(request, await run(request, lambda: gateway.fhir.update_where(principal, type, condition, body, expected, base)))


@router.patch("/fhir/{type}", summary="Patch what a condition means")
async def patch(request: Request, type: str) -> Response:
    """Conditional patch: the query is the condition."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    condition, expected = requests.query_condition(request), requests.expected(request)
    kind, body = await patch_body(request)
    return wrote(request, await run(request, lambda: gateway.fhir.patch(principal, type, None, condition, body, kind, expected)))


@router.delete("/fhir/{type}", summary="Delete what a condition means")
async def delete(request: Request, type: str) -> Response:
    """Conditional delete of one resource; of several none."""
    principal = principal_of(request)
    answers.check_accept(request)
    known(type)
    gateway = gateway_of(request)
    condition, expected = requests.query_condition(request), requests.expected(request)
    await run(request, lambda: gateway.fhir.delete_where(principal, type, condition, expected))
    return Response(None, 204)
