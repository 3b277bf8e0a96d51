"""What comes back over HTTP, read only as far and as long as it is wanted."""

from __future__ import annotations

import time

import httpx


class TooLongError(Exception):
    """More came back than was wanted."""


def body(answer: httpx.Response, most: int, until: float) -> bytes:
    """The body of a streamed response. most: in bytes, after decompression. until: of the monotonic clock. Raises TooLongError, httpx.ReadTimeout."""
    found = bytearray()
    for part in answer.iter_bytes():
        found += part
        if len(found) > most:
            raise TooLongError
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer comes too slowly")
    return bytes(found)
