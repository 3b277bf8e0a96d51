"""What a partner's server may do to a POST of ours: be slow in every way there is, say when it wants to be asked again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from fhir_gateway.outbound import channels
from fhir_gateway.outbound.channels import _retry_after
from fhir_gateway.pipeline.delivery import Delivery, Outcome

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """One that takes one connection and does with it what `answer` does."""

    def serve() -> None:
        with suppress(OSError):
            taken, _ = listener.accept()
            with taken, suppress(OSError):
                taken.recv(65536)
                answer(taken)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x12"
    thread.join(5)
    assert not thread.is_alive()


def carried(answer: Callable[[socket.socket], None], seconds: float = 5) -> Outcome:
    with server(answer) as address:
        return channels.carry(Delivery("http", address, b"270", answer_bytes=1000), seconds)


def drips(begin: bytes, each: bytes) -> Callable[[socket.socket], None]:
    def answer(taken: socket.socket) -> None:
        taken.sendall(begin)
        for _ in range(200):
            taken.sendall(each)
            time.sleep(0.02)

    return answer


@pytest.mark.parametrize(
    "answer",
    [drips(OK + b"X-Long: ", b"x"), drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), drips(OK + b"Content-Length: 1000\r\n\r\n", b"x")],
    ids=["headers", "interim answers", "body"],
)
def test_an_exchange_ends_in_time_however_slowly_it_drips(answer: Callable[[socket.socket], None]) -> None:
    """Each byte comes well within a read's timeout; the whole may still take no longer than a payer is given."""
    before = time.monotonic()
    assert carried(answer, 0.3) == Outcome(good=False, error="ReadTimeout")
    assert time.monotonic() - before < 2


def test_when_it_wants_to_be_asked_again_is_taken_down() -> None:
    """RFC 9110, 10.2.3: of a 503, and by RFC 6585 of a 429; a refusal that is final is not asked again at all."""
    for status, wait in (("503 Busy", 120.0), ("429 Slow Down", 120.0), ("404 Not Found", None)):
        found = carried(lambda taken, status=status: taken.sendall(f"HTTP/1.1 {status}\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n".encode()))
        assert (found.error, found.retry_after) == (f"HTTP {status[:3]}", wait)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("Thu, 10 Sep 2026 12:01:00 GMT", 60.0),
        ("Thu, 10 Sep 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert _retry_after(text, datetime(2026, 9, 10, 12, tzinfo=UTC)) == seconds
