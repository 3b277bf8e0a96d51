"""Requests one after the other on one connection, without a pause, by a client that costs next to nothing: what a server can keep up.

Medians of requests asked in turn tell another thing: how long one takes at a server that has just woken up. Pauses in between (a collector, a checkpoint)
show here only.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

HEADERS = "Accept: application/fhir+json\r\nContent-Type: application/fhir+json\r\n"


class Ask(NamedTuple):
    """A request under a base address."""

    method: str
    path: str
    body: bytes = b""
    wanted: int = 200


def rate(base: str, asked: Sequence[Ask]) -> float:
    """Requests a second. Raises AssertionError for an answer that is not the one wanted."""
    address = urlsplit(base)
    sent = [_written(ask, address.netloc, address.path) for ask in asked]
    with socket.create_connection((str(address.hostname), address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for ask, request in zip(asked, sent, strict=True):
            connection.sendall(request)
            answer = _read(connection)
            assert answer[9:12] == str(ask.wanted).encode(), answer[:500]
        return len(asked) / (time.perf_counter() - began)


def _written(ask: Ask, host: str, path: str) -> bytes:
    head = f"{ask.method} {path}{ask.path} HTTP/1.1\r\nHost: {host}\r\n{HEADERS}Content-Length: {len(ask.body)}\r\n\r\n"
    return head.encode() + ask.body


def _read(connection: socket.socket) -> bytes:
    """One answer with a Content-Length, as all of these are."""
    answer = b""
    while True:
        answer += connection.recv(262_144) or _ended()
        head, blank, body = answer.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return answer


def _ended() -> bytes:
    raise ConnectionError("the server ended the connection")
