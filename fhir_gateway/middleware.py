"""What every HTTP request passes: a time limit, a log line and a metric without patient data, and errors in the entrance's own language."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_gateway import health, metrics
from fhir_gateway.errors import GatewayError
from fhir_gateway.events import event
from fhir_gateway.hl7v2 import http
from fhir_gateway.rest import answers, routes
from fhir_gateway.security.request import principal_of
from fhir_gateway.validation import Issue

CLIENT_GONE: Final = 499
"""The status counted for a request whose sender went away before its end. Nobody is left to receive it."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestFrame:
    """Pure ASGI, outermost but for Starlette's own: no client ever sees a stack trace, no request runs for ever."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].endswith("/") and _is_fhir(scope):
            scope = {**scope, "path": scope["path"][:-1]}  # `Patient/` is `Patient`, as `/fhir/` is `/fhir`; clients write `Patient/?name=`
        began = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        response: Response | None = None
        try:
            async with asyncio.timeout(self._seconds):
                route = routes.DIRECTORY.find(scope)
                await (route.handle if route is not None else self._app)(scope, receive, watched)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except TimeoutError:
            response = problem(scope, 503, "timeout", "The request took too long and was given up; it may be sent again")
        except GatewayError as error:
            response = told(scope, error)
        except Exception as fault:  # noqa: BLE001 - the last line of defence
            event("request-failed", "error", method=_method(scope), route=route_of(scope), error=type(fault).__name__)
            response = problem(scope, 500, "exception", "Something went wrong here. What was sent may be sent again")
        if response is not None and status == 0:
            await response(scope, receive, watched)
        _record(scope, status, time.perf_counter() - began)


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = route_of(scope)
    method = _method(scope)
    metrics.request_timer(method, route, status).observe(seconds)
    event("request", "debug", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))


def _method(scope: Scope) -> str:
    """One of the known methods, so that nobody can fill logs and metrics with words of their own."""
    return scope["method"] if scope["method"] in METHODS else "other"


def route_of(scope: Scope) -> str:
    """The path template, never the path: ids of patients stay out of logs and metrics."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "unknown"))


def told(scope: Scope, error: GatewayError) -> Response:
    """An error of the tree, as OperationOutcome under /fhir and as plain JSON elsewhere."""
    if _is_fhir(scope):
        return answers.refused(error)
    return JSONResponse({"error": error.issue, "detail": error.text}, error.http)


def problem(scope: Scope, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """The same for faults that are not of the tree."""
    if _is_fhir(scope):
        return answers.outcome([Issue("error", code, text)], status, dict(headers or {}))
    return JSONResponse({"error": code, "detail": text}, status, headers)


def _is_fhir(scope: Scope) -> bool:
    return bool(scope["path"] == "/fhir" or scope["path"].startswith("/fhir/"))


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for the tree."""
    assert isinstance(error, GatewayError)
    return told(request.scope, error)


async def on_unknown_path(request: Request, _: Exception) -> Response:
    """404 for an address nobody serves; under /fhir only who is signed in is told so."""
    return _signed_in(request) or problem(request.scope, 404, "not-found", "There is nothing at this address")


async def on_unknown_method(request: Request, _: Exception) -> Response:
    """405 for a method nobody serves at this address, with those it has."""
    text = f"{_method(request.scope)} is not done at this address"
    return _signed_in(request) or problem(request.scope, 405, "not-supported", text, {"Allow": ", ".join(_methods(request))})


def _methods(request: Request) -> list[str]:
    """What is done at this address: one address may have several routes, each with its own methods."""
    known = [route for router in (routes.router, http.router, health.router) for route in router.routes]
    here = [route for route in known if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in getattr(route, "methods", None) or ()})


def _signed_in(request: Request) -> Response | None:
    """The refusal of who is not, None for everyone else."""
    try:
        if _is_fhir(request.scope):
            principal_of(request)
    except GatewayError as error:
        return told(request.scope, error)
    return None
