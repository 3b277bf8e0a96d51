"""Binary: bytes in their own type, up and down (R4 binary.html#rest)."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.pipeline.results import RawMessage
from fhir_gateway.rest import answers
from fhir_gateway.rest.common import body_of, whole_body
from fhir_gateway.store import Stored
from fhir_gateway.validation import InvalidResourceError, decode_any, encode, shapes

INERT: Final = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
"""With bytes somebody else wrote: a browser that shows them runs nothing of them."""
_HEADER: Final = re.compile(r"[!-~][ -~]*")
"""What can stand in a header: a type in other letters is only told in the resource."""


async def upload(request: Request, type: str, id: str | None = None) -> bytes:
    """The body of a write: a resource as it is, or for a Binary the bytes as the Binary that holds them.

    binary.html#rest: what is written to a Binary is its content, JSON too, unless it is a Binary resource itself. `X-Security-Context` says whose rules they
    are under. Raises MediaTypeError, TooLargeError.
    """
    kind = request.headers.get("content-type", "").strip()
    if type != "Binary" or not kind or answers.is_xml(kind):
        return await body_of(request)
    answers.check_encoding(request)
    data = await whole_body(request)
    if answers.is_json(kind) and _is_binary(data, answers.is_fhir(kind)):
        answers.check_content_type(request)
        return data
    made: dict[str, Any] = {"resourceType": "Binary", **({"id": id} if id else {}), "contentType": kind}
    context = request.headers.get("x-security-context")
    if context:
        made["securityContext"] = {"reference": context}
    return encode(made | ({"data": base64.b64encode(data).decode()} if data else {}))


def _is_binary(data: bytes, said: bool) -> bool:
    """Is this JSON a Binary resource? said: it was sent as FHIR; then what names no type at all is a broken one, to be refused rather than kept."""
    try:
        given = decode_any(data)
    except InvalidResourceError:
        return said
    named = given.get("resourceType") if isinstance(given, dict) else None
    return named == "Binary" or (said and not shapes.known(str(named)))


def native(request: Request, stored: Stored) -> Response | None:
    """The bytes of a Binary when the client asks for them, None when it asks for the resource."""
    given = stored.resource
    if not _wants_bytes(request, str(given.get("contentType", ""))):
        return None
    headers = answers.version_headers(stored.version, stored.last_updated)
    context = (given.get("securityContext") or {}).get("reference")
    return _bytes(base64.b64decode(given.get("data", "")), str(given["contentType"]), headers | ({"X-Security-Context": context} if context else {}))


def raw(request: Request, raw: RawMessage) -> Response:
    """A kept message as Binary: its bytes or the resource, as for any other."""
    if _wants_bytes(request, raw.content_type):
        return _bytes(raw.content, raw.content_type, {})
    return answers.answer(raw.as_resource())


def _bytes(content: bytes, kind: str, headers: dict[str, str]) -> Response:
    """In the type that was stated, without a charset nobody has stated."""
    return Response(content, 200, {**headers, **INERT, "Content-Type": kind})


def _wants_bytes(request: Request, content_type: str) -> bool:
    """binary.html#rest: a read that does not explicitly ask for FHIR gets the content in its own type, where the client takes that. Raises NotAcceptableError."""
    kind = content_type.partition(";")[0].strip().lower()
    family = f"{kind.partition('/')[0]}/*"
    answers.check_accept(request, kind, family)
    accepted = answers.accepted_types(request)
    if "_format" in request.query_params or not _HEADER.fullmatch(content_type):
        return False
    if kind in accepted and not answers.is_fhir(kind):
        return True
    return any(taken in accepted for taken in ("*/*", family)) and not any(map(answers.is_json, accepted))
