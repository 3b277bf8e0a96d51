"""FHIR answers: JSON bytes with ETag and Last-Modified, and errors as OperationOutcome."""

from __future__ import annotations

import re
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
_REFUSED = re.compile(r"(?:^|;)\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)")
_VERSION = re.compile(r"fhirversion\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_R4: Final = ("4.0", "4.0.1")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
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


def check_accept(request: Request, *also: str) -> None:
    """Only JSON is written. `_format` outranks the Accept header. Raises NotAcceptableError for a format that excludes JSON and all of `also`."""
    wanted = request.query_params.get("_format") if request.scope["query_string"] else None
    if wanted is not None:
        kind, _, parameters = wanted.replace(" ", "+").partition(";")
        if kind.strip("+").lower() not in ("json", *_READ) or _other_version(parameters):
            raise NotAcceptableError(f"_format '{wanted[:40]}' is not written here; use json")
        return
    given = request.headers.get("accept", "").strip()
    if not given or given in _READ:
        return
    accepted = accepted_types(request)
    if not any(kind in (*_READ, *also, "*/*", "application/*", "text/html") for kind in accepted):
        raise NotAcceptableError("Answers are written as application/fhir+json only")


def accepted_types(request: Request) -> list[str]:
    """The media types of the Accept header, without parameters; those refused by `q=0`, or asked for in another FHIR version, are left out."""
    parts = [part.partition(";") for part in request.headers.get("accept", "*/*").lower().split(",")]
    return [kind.strip() for kind, _, parameters in parts if kind.strip() and not _refused(parameters)]


def _refused(parameters: str) -> bool:
    return bool(parameters) and (_REFUSED.search(parameters) is not None or _other_version(parameters))


def _other_version(parameters: str) -> bool:
    """versioning.html#mt-version: `fhirVersion` says which FHIR is meant, and a server refuses one it does not speak."""
    named = _VERSION.search(parameters)
    return named is not None and named[1] not in _R4


def check_content_type(request: Request) -> None:
    """Only JSON in UTF-8 is read. Raises MediaTypeError; a missing Content-Type is taken as JSON."""
    given, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = given.strip().lower()
    if kind in _XML:
        raise MediaTypeError("FHIR XML is not read here; send application/fhir+json")
    if kind and kind not in _READ:
        raise MediaTypeError(f"Content-Type '{kind[:60]}' is not read here; send application/fhir+json")
    if _other_version(parameters):
        raise MediaTypeError("FHIR R4 (fhirVersion=4.0) is read here, no other version")
    charset = _CHARSET.search(parameters)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise MediaTypeError(f"FHIR JSON is UTF-8; charset '{charset[1][:40]}' is not read here")
    check_encoding(request)


def is_json(content_type: str) -> bool:
    """JSON by any of its names."""
    return content_type.partition(";")[0].strip().lower() in _READ


def is_fhir(content_type: str) -> bool:
    """FHIR's own JSON, rather than any JSON."""
    return content_type.partition(";")[0].strip().lower() in ("application/fhir+json", "application/json+fhir")


def is_xml(content_type: str) -> bool:
    """FHIR XML, which is not read here."""
    return content_type.partition(";")[0].strip().lower() in ("application/fhir+xml", "application/xml+fhir")


def check_encoding(request: Request) -> None:
    """Bodies are read as they are. Raises MediaTypeError for a packed one."""
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise MediaTypeError(f"Content-Encoding '{packed[:40]}' is not read here; send the body unpacked")
