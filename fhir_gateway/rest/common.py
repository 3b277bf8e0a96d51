"""What every route of the FHIR API needs: the worker thread, the body within its limit, the address checked, the answer to a write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any, Final, TypeVar

import msgspec
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fhir_gateway.bodies import KEPT_BYTES, Cut, TooLarge, read_body
from fhir_gateway.errors import GatewayError, MediaTypeError, NotFoundError, SignInError, TooLargeError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.pipeline.looks import Looks, looks_of, shown
from fhir_gateway.pipeline.patches import KINDS
from fhir_gateway.pipeline.results import Written
from fhir_gateway.rest import answers, requests
from fhir_gateway.security.principal import Principal
from fhir_gateway.security.request import principal_of
from fhir_gateway.store import Stored
from fhir_gateway.store.errors import StepsSpentError
from fhir_gateway.validation import Issue, shapes
from fhir_gateway.validation.primitives import TEXT

FORM: Final = "application/x-www-form-urlencoded"
_BRIEF_STEPS: Final = 20_000
"""About a millisecond of the embedded database."""
_PLAIN: Final = re.compile(r"[a-z]+(?:-[a-z]+)*|_id")
"""A parameter that follows no chain and asks for nothing beside the matches, nor for parts of them."""
Result = TypeVar("Result")


class LookedRoute(APIRoute):
    """A route whose endpoint takes the request and the parts of its address and gives the answer itself, so that nothing is left for FastAPI to solve, which
    would take longer than a read.

    Its JSON answer, a refusal too, is laid out for people when they ask for it (`_pretty=true`, search.html#summary).
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        if self.methods and "GET" in self.methods:
            self.methods.add("HEAD")  # http.html#head: wherever GET is done; the server leaves the body out
        if set(signature(endpoint).parameters) != {"request", *self.param_convertors}:
            raise TypeError(f"{endpoint.__name__} must take the request and the parts of {path}, and nothing else")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request whose address is this route's; another method is Starlette's to refuse."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response: Response = await self.endpoint(request, **scope["path_params"])
        except GatewayError as error:
            response = answers.refused(error)
            _note(request, error)
        if scope["query_string"]:
            _lay_out(request, response)
        await response(scope, receive, send)


def _lay_out(request: Request, response: Response) -> None:
    if request.query_params.get("_pretty", "").lower() == "true" and (response.media_type or "").startswith(answers.FHIR_JSON):
        response.body = msgspec.json.format(bytes(response.body), indent=2)
        response.headers["Content-Length"] = str(len(response.body))


def _note(request: Request, error: GatewayError) -> None:
    """What a payer was refused is in the audit trail as well: what it asks for says what it is after."""
    with suppress(SignInError):
        if (principal := principal_of(request)).role == "payer":
            gateway, asked = gateway_of(request), request.path_params
            gateway.store.audit_later(principal, "refused", str(asked.get("type", "")), str(asked.get("id", "")), gateway.clock(), str(error.http))


def gateway_of(request: Request) -> Gateway:
    """The gateway this application was built around."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def run(request: Request, work: Callable[[], Result]) -> Result:
    """Database work happens off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(gateway_of(request).executor, work)


async def run_brief(request: Request, work: Callable[[], Result]) -> Result:
    """Work that is one look-up by primary key: on the embedded database it takes less time than handing it to a thread, and a reader there waits for nobody."""
    return work() if gateway_of(request).store.dialect == "sqlite" else await run(request, work)


async def run_searching(request: Request, principal: Principal, pairs: Sequence[tuple[str, str]], work: Callable[[int | None], Result]) -> Result:
    """A search, given what it may take of the database: a plain one is one query, tried at once as in `run_brief`, and left to a thread when it takes long.
    A payer's takes several.
    """
    if gateway_of(request).store.dialect == "sqlite" and principal.role != "payer" and all(_plain(*pair) for pair in pairs):
        with suppress(StepsSpentError):
            return work(_BRIEF_STEPS)
    return await run(request, lambda: work(None))


def _plain(name: str, value: str) -> bool:
    """Does a parameter leave a search brief, as far as can be told beforehand? A small page does."""
    return _PLAIN.fullmatch(name) is not None or (name == "_count" and value.isdecimal() and len(value) < 3)


async def body_of(request: Request) -> bytes:
    """The body of a single write. Raises MediaTypeError, TooLargeError."""
    answers.check_content_type(request)
    return await whole_body(request)


async def patch_body(request: Request) -> tuple[str, bytes]:
    """(kind, body) of a PATCH. Raises MediaTypeError, TooLargeError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise MediaTypeError(f"A patch is sent as {', '.join(KINDS)}; not as '{kind[:60]}'")
    answers.check_encoding(request)
    return kind, await whole_body(request)


async def whole_body(request: Request, cut: Cut | None = None) -> bytes:
    """A body within the limit; of one over it the beginning is kept in the inbox. Raises TooLargeError."""
    gateway = gateway_of(request)
    body = await read_body(request, gateway.settings.message_bytes, cut)
    if isinstance(body, TooLarge):
        await run(request, lambda: gateway.refuse_oversize(body.head, body.length, body.sha256, "fhir", peer(request)))
        raise TooLargeError(f"The body is over the limit of {gateway.settings.message_bytes} bytes; its beginning was kept")
    return body


async def kept_body(request: Request, what: str, check: Callable[[Request], None] = answers.check_accept) -> bytes:
    """The body of what passes the inbox: what arrived and can't be taken is kept all the same.

    Raises MediaTypeError, NotAcceptableError, TooLargeError, and what `check` raises.
    """

    async def keep(head: bytes, length: int, why: str) -> None:
        if length:
            await run(request, lambda: gateway_of(request).keep_broken(head, length, why, "fhir", peer(request)))

    body = await whole_body(request, lambda head, length: keep(head, length, f"the {what} ended in the middle"))
    try:
        answers.check_accept(request)
        answers.check_content_type(request)
        check(request)
    except GatewayError:
        await keep(body[:KEPT_BYTES], len(body), "sent, or asked for, in a way not done here")
        raise
    return body


def peer(request: Request) -> str:
    return request.client.host if request.client else "?"


async def form_of(request: Request) -> bytes:
    """search.html#Introduction: parameters come as a form. Raises MediaTypeError, TooLargeError."""
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    answers.check_encoding(request)
    if kind != FORM:
        raise MediaTypeError(f"The parameters of _search are sent as {FORM}, not as '{kind[:60]}'")
    return await whole_body(request)


def known(type: str) -> None:
    if not shapes.known(type):
        raise NotFoundError(f"'{type[:64]}' is not a resource type of FHIR R4 known here")


def legal(type: str, id: str) -> None:
    """What can't be an id names nothing, and is not asked of the database."""
    if not TEXT["id"].fullmatch(id):
        raise NotFoundError(f"There is no {type} under an id of that form")


def looks(request: Request) -> Looks:
    """`_summary` and `_elements` of a request about one resource."""
    return looks_of(request.query_params.multi_items() if request.scope["query_string"] else ())


def one(request: Request, stored: Stored) -> Response:
    """One version of a resource, or 304 when the client holds it."""
    headers = answers.version_headers(stored.version, stored.last_updated)
    if requests.not_modified(request, stored.version, stored.last_updated):
        return Response(None, 304, headers)
    return answers.answer(shown(stored, looks(request)), headers=headers)


def wrote(request: Request, written: Written) -> Response:
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
            return answers.answer(shown(stored, looks(request)), status, headers)
