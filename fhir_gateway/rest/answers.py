"""FHIR answers: JSON bytes with ETag and Last-Modified, and errors as OperationOutcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.errors import GatewayError, MediaTypeError, NotAcceptableError, operation_outcome
from fhir_gateway.validation import Issue, encode

FHIR_JSON: Final = "application/fhir+json"
_READ: Final = ("application/fhir+json", "application/json", "text/json", "application/json+fhir")
_XML: Final = ("xml", "text/xml", "application/xml", "application/fhir+xml", "application/xml+fhir")


def answer(body: bytes | dict[str, Any] | None, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A FHIR answer; a dict is written as canonical JSON, bytes go out as they are."""
    content = b"" if body is None else body if isinstance(body, bytes) else encode(body)
    return Response(content, status, headers, media_type=f"{FHIR_JSON}; charset=utf-8" if content else None)


def version_headers(version: int, last_updated: datetime) -> dict[str, str]:
    """ETag and Last-Modified of one version of a resource."""
    return {"ETag": f'W/"{version}"', "Last-Modified": format_datetime(last_updated, usegmt=True)}


def outcome(issues: Sequence[Issue], status: int, headers: dict[str, str] | None = None) -> Response:
    """An OperationOutcome as the whole answer."""
    return answer(operation_outcome(issues), status, headers)


def refused(error: GatewayError) -> Response:
    """Any error of the tree, in FHIR's words."""
    return outcome(error.issues, error.http)


def check_accept(request: Request) -> None:
    """Only JSON is written. `_format` outranks the Accept header. Raises NotAcceptableError for a format that excludes JSON."""
    wanted = request.query_params.get("_format")
    if wanted is not None:
        if wanted.replace(" ", "+").split(";")[0].strip().lower() not in ("json", *_READ):
            raise NotAcceptableError(f"_format '{wanted[:40]}' is not written here; use json")
        return
    accept = request.headers.get("accept", "*/*").lower()
    kinds = [part.split(";")[0].strip() for part in accept.split(",") if part.strip()]
    if kinds and not any(kind in (*_READ, "*/*", "application/*", "text/html") for kind in kinds):
        raise NotAcceptableError("Answers are written as application/fhir+json only")


def check_content_type(request: Request) -> None:
    """Only JSON is read. Raises MediaTypeError; a missing Content-Type is taken as JSON."""
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given in _XML:
        raise MediaTypeError("FHIR XML is not read here; send application/fhir+json")
    if given and given not in _READ:
        raise MediaTypeError(f"Content-Type '{given[:60]}' is not read here; send application/fhir+json")
