"""A partner's side of the wire: an HTTP server that keeps what it is sent and answers as told, and an MLLP receiver that does the same."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fhir_gateway.hl7v2.frames import Frame, FrameDecoder, frame
from mappers import v2


@dataclass
class Received:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body read as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Endpoint:
    """address: where it listens. answers: statuses for the next requests, 200 when there are none left."""

    address: str
    posts: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A server on this machine, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            here.posts.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(here.answers.pop(0) if here.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Endpoint(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Listener:
    """port: where it listens. codes: MSA-1 for the next messages, AA when there are none left; "" closes without an answer."""

    port: int
    messages: list[bytes] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


@contextmanager
def mllp_listener() -> Iterator[Listener]:
    """An MLLP receiver on this machine."""
    server = socket.create_server(("127.0.0.1", 0))
    here = Listener(server.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                frames = FrameDecoder(1_000_000)
                while data := connection.recv(65536):
                    for item in frames.feed(data):
                        assert isinstance(item, Frame)
                        here.messages.append(item.message)
                        code = here.codes.pop(0) if here.codes else "AA"
                        if not code:
                            break
                        control = v2.header(v2.read(item.message)).control_id
                        answer = f"MSH|^~\\&|EHR|NS|GATEWAY|CLINIC|20260910||ACK|A1|P|2.5.1\rMSA|{code}|{control}\r"
                        connection.sendall(frame(answer.encode()))
                    else:
                        continue
                    break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
