"""The mock payer on a real socket, in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from fhir_gateway.mockpayer.app import build
from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.script import Script, shipped
from fhir_gateway.mockpayer.signin import SignIn
from tests.server import free_port


@dataclass
class MockPayer:
    """A payer that can be asked at `base`."""

    base: str
    book: Book
    signin: SignIn

    def asked(self, member: str) -> list[dict[str, Any]]:
        """What it was asked about a member."""
        return [one for one in self.book.asked if one["member"] == member]


@contextmanager
def mock_payer(script: Script | None = None, signin: SignIn | None = None) -> Iterator[MockPayer]:
    """Started and ended; nothing waits for questions it holds back."""
    book, signin, port = Book(script or shipped()), signin or SignIn(), free_port()
    config = uvicorn.Config(build(book, signin), host="127.0.0.1", port=port, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the mock payer did not start"
        time.sleep(0.005)
    try:
        yield MockPayer(f"http://127.0.0.1:{port}", book, signin)
    finally:
        server.should_exit = True
        thread.join(10)
