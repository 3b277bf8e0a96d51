"""Binary: bytes in their own type, up and down (R4 binary.html#rest)."""

from __future__ import annotations

import base64
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_gateway.pipeline.results import RawMessage
from fhir_gateway.rest import answers
from fhir_gateway.rest.common import body_of, whole_body
from fhir_gateway.store import Stored
from fhir_gateway.validation import encode

INERT: Final = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
"""With bytes somebody else wrote: a browser that shows them runs nothing of them."""


async def upload(request: Request, type: str, id: str | None = None) -> bytes:
    """The body of a write: a resource as it is, or for a Binary bytes of any other type as the Binary that holds them.

    `X-Security-Context` says whose rules they are under. Raises MediaTypeError, TooLargeError.
    """
    kind = request.headers.get("content-type", "").strip()
    if type != "Binary" or not kind or answers.is_fhir(kind):
        return await body_of(request)
    answers.check_encoding(request)
    made: dict[str, Any] = {"resourceType": "Binary", **({"id": id} if id else {}), "contentType": kind}
    context = request.headers.get("x-security-context")
    if context:
        made["securityContext"] = {"reference": context}
    data = await whole_body(request)
    return encode(made | ({"data": base64.b64encode(data).decode()} if data else {}))


def native(request: Request, stored: Stored) -> RawMessage | None:
    """The bytes of a Binary when the client asks for their own type (binary.html#rest), None when it asks for the resource."""
    given = stored.resource
    raw = RawMessage(stored.id, base64.b64decode(given.get("data", "")), str(given.get("contentType", "")))
    kind = raw.content_type.partition(";")[0].strip().lower()
    answers.check_accept(request, kind)
    return raw if kind in answers.accepted_types(request) and "_format" not in request.query_params else None


def raw(request: Request, raw: RawMessage) -> Response:
    """A kept message as Binary: its bytes when the client asks for their type, the FHIR resource otherwise (binary.html#rest)."""
    kind = raw.content_type.partition(";")[0]
    answers.check_accept(request, kind)
    if kind in answers.accepted_types(request) and "_format" not in request.query_params:
        return Response(raw.content, 200, media_type=raw.content_type)
    return answers.answer(raw.as_resource())
