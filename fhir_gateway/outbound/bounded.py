"""One POST over HTTP, and what comes back of it, read only as far and as long as it is wanted.

Timeouts of the client library are for one read each: a side that drips its headers would keep it busy for ever. Here the whole of an exchange ends in time.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import httpx

_CONNECTED: Final = "connection.connect_tcp.complete"


class TooLongError(Exception):
    """More came back than was wanted."""


class Answered(NamedTuple):
    """body: None where none was wanted."""

    status: int
    headers: httpx.Headers
    body: bytes | None


def post(address: str, seconds: float, most: int, headers: Mapping[str, str], **what: Any) -> Answered:
    """What was answered within `seconds`. most: bytes of its body, after decompression, 0: none is read. what: `content` or `data`, as httpx has them.

    Raises TooLongError, OSError, httpx.HTTPError, httpx.InvalidURL, ValueError.
    """
    limit = _Deadline(seconds)
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False) as client,
            client.stream("POST", address, headers=dict(headers), extensions={"trace": limit.trace}, **what) as answer,
        ):
            return Answered(answer.status_code, answer.headers, body(answer, most, limit.until) if most else None)
    except (OSError, httpx.TransportError):
        if limit.over:
            raise httpx.ReadTimeout("the answer comes too slowly") from None
        raise
    finally:
        limit.close()


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


class _Deadline:
    """Shuts the connection down when its time is over, whatever the client is waiting for. It holds a duplicate of the socket, so that TLS is not disturbed."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.over = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """As httpcore tells what it does."""
        if event == _CONNECTED:
            with self._lock:
                self._socket = socket.socket(fileno=os.dup(info["return_value"].get_extra_info("socket").fileno()))
            if self.over:
                self._shut()

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _shut(self) -> None:
        self.over = True
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
