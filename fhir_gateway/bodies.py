"""Reading an HTTP request's body in bounded memory; shared by the HL7 v2 and FHIR entrances."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

KEPT_BYTES: Final = 64 * 1024
RUNAWAY_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A body over the limit: its first 64 KiB, its length and SHA-256. `whole` is False when reading was given up far over the limit."""

    head: bytes
    length: int
    sha256: str
    whole: bool


async def read_body(request: Request, limit: int) -> bytes | TooLarge:
    """The body, or what may be kept of one over `limit` bytes."""
    parts: list[bytes] = []
    length = 0
    stream = request.stream()
    async for chunk in stream:
        length += len(chunk)
        parts.append(chunk)
        if length > limit:
            break
    else:
        return b"".join(parts)
    held = b"".join(parts)
    digest = hashlib.sha256(held)
    async for chunk in stream:
        length += len(chunk)
        digest.update(chunk)
        if length > RUNAWAY_FACTOR * limit:
            return TooLarge(held[:KEPT_BYTES], length, digest.hexdigest(), whole=False)
    return TooLarge(held[:KEPT_BYTES], length, digest.hexdigest(), whole=True)
