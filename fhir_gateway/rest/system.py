"""The addresses of the whole system: what it can do, how to sign in, transactions and batches, its history."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_gateway.rest import answers, capability, requests
from fhir_gateway.rest.common import LookedRoute, form_of, gateway_of, kept_body, run
from fhir_gateway.security.request import principal_of

router = APIRouter(route_class=LookedRoute)


@router.get("/fhir/metadata", summary="What this server can do")
async def metadata(request: Request) -> Response:
    """The CapabilityStatement, made from what is there. Needs no sign-in."""
    answers.check_accept(request)
    return answers.answer(capability.statement(requests.base_of(request), gateway_of(request)))


@router.get("/fhir/.well-known/smart-configuration", summary="How clients sign in (SMART App Launch)")
async def smart_configuration(request: Request) -> Response:
    """Needs no sign-in, and is application/json whatever is asked for, as SMART App Launch wants it."""
    return JSONResponse(capability.smart_configuration(gateway_of(request)))


@router.post("/fhir", summary="Transaction or batch")
@router.post("/fhir/", include_in_schema=False)
async def bundle(request: Request) -> Response:
    """A Bundle passes the inbox like a message: kept first, answered when its effect is committed; with what was written when that is preferred."""
    principal, gateway = principal_of(request), gateway_of(request)
    body, base = await kept_body(request, "Bundle"), requests.base_of(request)
    whole = requests.preferred_return(request) == "representation"
    status, content = await run(request, lambda: gateway.receive_bundle(body, principal, base, whole=whole))
    return answers.answer(content, status)


@router.post("/fhir/$process-message", summary="A FHIR message: a referral sent, told anew or taken back, records, an appointment, a question")
async def message(request: Request) -> Response:
    """The response message. A message passes the inbox; it is answered at once, never later at another address."""
    principal, gateway = principal_of(request), gateway_of(request)
    body, base = await kept_body(request, "message", requests.check_synchronous), requests.base_of(request)
    status, content = await run(request, lambda: gateway.receive_message(body, principal, base))
    return answers.answer(content, status)


@router.get("/fhir/_history", summary="Everything that was written, newest first")
async def history(request: Request) -> Response:
    """A history Bundle."""
    principal = principal_of(request)
    answers.check_accept(request)
    gateway, pairs, base = gateway_of(request), requests.search_pairs(request), requests.base_of(request)
    return answers.answer(await run(request, lambda: gateway.fhir.history(principal, "", "", pairs, base)))


@router.get("/fhir", summary="Search over several resource types")
@router.get("/fhir/", include_in_schema=False)
@router.post("/fhir/_search", summary="Search over several resource types, parameters in the body")
async def search(request: Request) -> Response:
    """A searchset Bundle; `_type` names the types."""
    principal = principal_of(request)
    answers.check_accept(request)
    form = await form_of(request) if request.method == "POST" else b""
    gateway, pairs, base, lenient = gateway_of(request), requests.search_pairs(request, form), requests.base_of(request), requests.lenient(request)
    return answers.answer(await run(request, lambda: gateway.fhir.search(principal, "", pairs, base, lenient=lenient)))
