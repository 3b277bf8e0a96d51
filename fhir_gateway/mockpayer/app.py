"""The mock payer as one web application, and its faults on the wire.

POST /token                                              SMART Backend Services
POST /fhir/CoverageEligibilityRequest/$submit            Bundle, Parameters or the request itself
POST /fhir/Claim/$submit, /fhir/Claim/$inquire           GET /fhir/ClaimResponse/{id}, /fhir/ClaimResponse?request=…
POST /x12                                                a 270 in the CAQH CORE envelope, or raw
GET  /asked                                              what it was asked, oldest first
PUT  /members/{member}/{scenario}                        from now on a member has this scenario
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response

from fhir_gateway.mockpayer import claims, fhir, x12
from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.script import Decision, Step
from fhir_gateway.mockpayer.signin import SignIn, SignInError
from mappers.x12 import X12Error, core

Json = dict[str, Any]
FHIR: Final = "application/fhir+json"
X12: Final = "application/edi-x12"
LONGEST: Final = 120.0
"""Seconds a question that gets no answer is held at most."""


def build(book: Book, signin: SignIn | None = None) -> FastAPI:
    """The application. signin: who may ask over FHIR; None lets everybody in."""
    app = FastAPI(title="Mock payer", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.book, app.state.signin, app.state.claims = book, signin or SignIn(), claims.Claims(book)
    for method, path, handler in (
        ("POST", "/token", _token),
        ("POST", "/fhir/CoverageEligibilityRequest/$submit", _eligibility),
        ("POST", "/fhir/Claim/$submit", _submit),
        ("POST", "/fhir/Claim/$inquire", _inquire),
        ("GET", "/fhir/ClaimResponse", _search),
        ("GET", "/fhir/ClaimResponse/{name}", _read),
        ("POST", "/x12", _x12),
        ("GET", "/asked", _asked),
        ("PUT", "/members/{member}/{scenario}", _play),
    ):
        app.add_api_route(path, handler, methods=[method], response_model=None)
    return app


async def _token(request: Request) -> Response:
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    try:
        return _json(request.app.state.signin.token(form, str(request.url)))
    except SignInError as refusal:
        return _json({"error": str(refusal)}, 401 if str(refusal) == "invalid_client" else 400)


async def _eligibility(request: Request) -> Response:
    if refusal := _refused(request):
        return refusal
    try:
        step, question, found = fhir.question(await _body(request), request.app.state.book)
    except fhir.UnreadableError as fault:
        return _outcome(str(fault), 400)
    if failed := await _failed(request, step):
        return failed
    return _json(fhir.answer(question, found, step, _now()))


async def _submit(request: Request) -> Response:
    return await _claim(request, lambda held, body: held.submitted(body, _now()))


async def _inquire(request: Request) -> Response:
    return await _claim(request, lambda held, body: held.inquired(body, _now()))


async def _read(request: Request, name: str) -> Response:
    return await _claim(request, lambda held, _: held.looked_at(name, _now()), only_response=True)


async def _search(request: Request) -> Response:
    wanted = request.query_params.get("request:identifier", request.query_params.get("request", "")).rpartition("|")[2]
    if not (name := request.app.state.claims.named(wanted)):
        return _json({"resourceType": "Bundle", "type": "searchset", "total": 0})
    return await _claim(request, lambda held, _: held.looked_at(name, _now()))


async def _claim(request: Request, look: Any, *, only_response: bool = False) -> Response:
    if refusal := _refused(request):
        return refusal
    try:
        decision, bundle = look(request.app.state.claims, await _body(request))
    except fhir.UnreadableError as fault:
        return _outcome(str(fault), 404 if only_response else 400)
    if failed := await _failed(request, decision):
        return failed
    return _json(claims.response(bundle) if only_response else bundle)


async def _x12(request: Request) -> Response:
    body, kind = await request.body(), request.headers.get("content-type", "")
    wrapped = kind.lower().startswith("multipart/")
    try:
        envelope = core.read(kind, body) if wrapped else None
        played = list(x12.answers(envelope.payload if envelope else body, request.app.state.book, "x12", _now()))
    except (core.CoreError, X12Error) as fault:
        return Response(str(fault), 400, media_type="text/plain")
    step, said = played[0][0], b"".join(answer for _, answer in played)
    if step.fault != "breaks-specification" and (failed := await _failed(request, step)):
        return failed
    if envelope is None:
        return Response(said, media_type=X12)
    back = core.Message(
        said, core.RESPONSE_271, str(uuid.uuid4()), core.stamp(_now()), envelope.receiver_id, envelope.sender_id, error_code=core.SUCCESS
    )
    kind, body = core.build(back)
    return Response(body, headers={"Content-Type": kind})


async def _asked(request: Request) -> Response:
    return _json(request.app.state.book.asked)


async def _play(request: Request, member: str, scenario: str) -> Response:
    try:
        request.app.state.book.play(member, scenario)
    except KeyError:
        return _outcome("there is no such scenario", 404)
    return Response(status_code=204)


async def _failed(request: Request, step: Step | Decision) -> Response | None:
    """Wait as long as the step says; the answer where it is none, None where the question is to be answered."""
    await _held(request, LONGEST if step.fault == "no-answer" else step.seconds)
    if step.fault in ("no-answer", "http-error"):
        return _outcome("the payer is out of order", step.status)
    if step.fault == "malformed" and not request.url.path.endswith("/x12"):
        return Response(b'{"resourceType": "CoverageEligibilityResp', media_type=FHIR)
    return None


async def _held(request: Request, seconds: float) -> None:
    """Let time pass, until the other side hangs up."""
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0 and not await request.is_disconnected():
        await asyncio.sleep(min(left, 0.05))


def _refused(request: Request) -> Response | None:
    if request.app.state.signin.admits(request.headers.get("authorization", "")):
        return None
    return _outcome("sign in first", 401)


async def _body(request: Request) -> Any:
    raw = await request.body()
    try:
        return json.loads(raw) if raw else {}
    except ValueError:
        raise fhir.UnreadableError("the body is no JSON") from None


def _outcome(text: str, status: int) -> Response:
    return _json({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing", "diagnostics": text}]}, status)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type=FHIR)


def _now() -> datetime:
    return datetime.now(UTC)
