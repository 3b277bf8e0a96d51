"""Reading an HTTP request's body in bounded memory; shared by the HL7 v2 and FHIR entrances."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request

KEPT_BYTES: Final = 64 * 1024
RUNAWAY_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A body over the limit: its first 64 KiB, its length and SHA-256. `whole` is False when reading was given up far over the limit."""

    head: bytes
    length: int
    sha256: str
    whole: bool


class CutShort(ClientDisconnect):
    """The client went away in the middle of its body: the first 64 KiB of what came, and its length. Nobody is left to answer."""

    def __init__(self, head: bytes, length: int) -> None:
        super().__init__()
        self.head, self.length = head, length


async def read_body(request: Request, limit: int) -> bytes | TooLarge:
    """The body, or what may be kept of one over `limit` bytes. Raises CutShort."""
    parts: list[bytes] = []
    length = 0
    stream = request.stream()
    try:
        async for chunk in stream:
            length += len(chunk)
            parts.append(chunk)
            if length > limit:
                break
        else:
            return b"".join(parts)
        held = b"".join(parts)
        parts = [held[:KEPT_BYTES]]
        digest = hashlib.sha256(held)
        del held
        async for chunk in stream:
            length += len(chunk)
            digest.update(chunk)
            if length > RUNAWAY_FACTOR * limit:
                return TooLarge(parts[0], length, digest.hexdigest(), whole=False)
    except ClientDisconnect:
        raise CutShort(b"".join(parts)[:KEPT_BYTES], length) from None
    return TooLarge(parts[0], length, digest.hexdigest(), whole=True)
