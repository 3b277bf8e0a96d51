"""What every HTTP request passes: a time limit, a log line and a metric without patient data, and errors in the entrance's own language."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_gateway import metrics
from fhir_gateway.errors import GatewayError
from fhir_gateway.events import event
from fhir_gateway.rest import answers
from fhir_gateway.validation import Issue


class RequestFrame:
    """Pure ASGI, outermost but for Starlette's own: no client ever sees a stack trace, no request runs for ever."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
                await self._app(scope, receive, watched)
        except TimeoutError:
            response = problem(scope, 503, "timeout", "The request took too long and was given up; it may be sent again")
        except GatewayError as error:
            response = told(scope, error)
        except Exception as fault:  # noqa: BLE001 - the last line of defence
            event("request-failed", "error", method=scope["method"], route=route_of(scope), error=type(fault).__name__)
            response = problem(scope, 500, "exception", "Something went wrong here. What was sent may be sent again")
        if response is not None and status == 0:
            await response(scope, receive, watched)
        _record(scope, status, time.perf_counter() - began)


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = route_of(scope)
    metrics.REQUESTS.labels(scope["method"], route, status).observe(seconds)
    event("request", "debug", method=scope["method"], route=route, status=status, milliseconds=round(seconds * 1000, 1))


def route_of(scope: Scope) -> str:
    """The path template, never the path: ids of patients stay out of logs and metrics."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "unknown"))


def told(scope: Scope, error: GatewayError) -> Response:
    """An error of the tree, as OperationOutcome under /fhir and as plain JSON elsewhere."""
    if scope["path"].startswith("/fhir"):
        return answers.refused(error)
    return JSONResponse({"error": error.issue, "detail": error.text}, error.http)


def problem(scope: Scope, status: int, code: str, text: str) -> Response:
    """The same for faults that are not of the tree."""
    if scope["path"].startswith("/fhir"):
        return answers.outcome([Issue("error", code, text)], status)
    return JSONResponse({"error": code, "detail": text}, status)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for the tree."""
    assert isinstance(error, GatewayError)
    return told(request.scope, error)


async def on_unknown_path(request: Request, _: Exception) -> Response:
    """404 for an address nobody serves."""
    return problem(request.scope, 404, "not-found", "There is nothing at this address")


async def on_unknown_method(request: Request, _: Exception) -> Response:
    """405 for a method nobody serves at this address."""
    return problem(request.scope, 405, "not-supported", f"{request.method} is not done at this address")
