"""`POST /hl7v2`: the same intake as MLLP over HTTP. The body is one message; the answer is its acknowledgement in the same media type.

HTTP status tells of the transport only: 200 whenever an acknowledgement is the answer (AA, AE or AR, as HL7 over HTTP has it), 4xx when
the request itself can't be taken.
"""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_gateway.bodies import KEPT_BYTES, TooLarge, read_body
from fhir_gateway.security.request import principal_of

MEDIA_TYPES: Final = ("x-application/hl7-v2+er7", "application/hl7-v2", "application/hl7-v2+er7", "text/plain", "application/octet-stream")

router = APIRouter()


@router.post("/hl7v2", summary="Send one HL7 v2 message, get its acknowledgement")
async def receive(request: Request) -> Response:
    """Take one message in. In enhanced mode the answer is the application acknowledgement where the sender asked for one, else the commit acknowledgement."""
    principal_of(request)
    kind = request.headers.get("content-type", MEDIA_TYPES[0]).split(";")[0].strip().lower()
    gateway = request.app.state.gateway
    loop = asyncio.get_running_loop()
    peer = request.client.host if request.client else "?"

    async def keep(head: bytes, length: int, why: str = "the message ended in the middle") -> None:
        await loop.run_in_executor(gateway.executor, gateway.keep_broken, head, length, why, "http", peer)

    body = await read_body(request, gateway.settings.message_bytes, keep)
    if isinstance(body, TooLarge):
        ack = await loop.run_in_executor(gateway.executor, gateway.refuse_oversize, body.head, body.length, body.sha256, "http", peer)
        return Response(ack, 413, media_type=_answered(kind))
    if not body.strip():
        return _refused(400, "required", "The body is empty; it must hold one HL7 v2 message")
    if kind not in MEDIA_TYPES or "content-encoding" in request.headers:
        why = "sent with a Content-Type that is not HL7 v2" if kind not in MEDIA_TYPES else "sent packed (Content-Encoding), which is not read here"
        await keep(body[:KEPT_BYTES], len(body), why)
        return _refused(415, "not-supported", f"The body was {why}; send {MEDIA_TYPES[0]} or {MEDIA_TYPES[1]}. It is kept.")
    acks: list[bytes] = await loop.run_in_executor(gateway.executor, lambda: list(gateway.receive_v2(body, "http", peer)))
    return Response(acks[-1] if acks else b"", 200 if acks else 202, media_type=_answered(kind))


def _answered(kind: str) -> str:
    """The acknowledgement goes back as the message came, where that says HL7 v2."""
    return kind if kind in MEDIA_TYPES[:3] else MEDIA_TYPES[0]


def _refused(status: int, code: str, text: str) -> Response:
    """Not an HL7 message at all: plain problem details, since there is no MSH to acknowledge."""
    return JSONResponse({"error": code, "detail": text}, status)
