"""Reading an HTTP request's body in bounded memory; shared by the HL7 v2 and FHIR entrances."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
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


Cut = Callable[[bytes, int], Awaitable[None]]
"""What to do with half a body: its first 64 KiB and its length."""


async def read_body(request: Request, limit: int, cut: Cut | None = None) -> bytes | TooLarge:
    """The body, or what may be kept of one over `limit` bytes.

    Raises ClientDisconnect when the sender goes away, CancelledError when time is up; `cut` is called before with what had come.
    """
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
    except (ClientDisconnect, asyncio.CancelledError):
        if cut is not None and length:
            await cut(b"".join(parts)[:KEPT_BYTES], length)
        raise
    return TooLarge(parts[0], length, digest.hexdigest(), whole=True)
