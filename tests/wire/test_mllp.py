"""The MLLP listener over real sockets, with a scripted intake behind it: order, limits, stalls, cut connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fhir_gateway.hl7v2.client import MllpClient
from fhir_gateway.hl7v2.frames import frame
from fhir_gateway.hl7v2.mllp import Limits, MllpListener


class ScriptedIntake:
    """Answers `ACK <message>`; `twice` messages get two answers, as in enhanced mode. Remembers everything it was given."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.oversize: list[tuple[bytes, int]] = []
        self.broken: list[tuple[bytes, int, str]] = []
        self.seen = threading.Event()

    def receive_v2(self, raw: bytes, channel: str, peer: str) -> Iterator[bytes]:
        self.received.append(raw)
        if raw.startswith(b"twice"):
            yield b"CA " + raw
        yield b"ACK " + raw

    def refuse_oversize(self, head: bytes, length: int, sha256: str, channel: str, peer: str) -> bytes:
        self.oversize.append((head, length))
        return b"AR"

    def keep_broken(self, content: bytes, length: int, why: str, channel: str, peer: str) -> None:
        self.broken.append((content, length, why))
        self.seen.set()


@contextlib.contextmanager
def listening(intake: ScriptedIntake, **limits: float) -> Iterator[int]:
    """A listener on its own event loop in a thread; gives its port."""
    chosen = Limits(**{"message": 1000, "connections": 50, "idle": 10, "stall": 10, **limits})  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with ThreadPoolExecutor(4) as executor:
        listener = MllpListener(intake, executor, chosen)
        asyncio.run_coroutine_threadsafe(listener.start("127.0.0.1", 0), loop).result(5)
        try:
            yield listener.port
        finally:
            asyncio.run_coroutine_threadsafe(listener.stop(2), loop).result(15)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()


def test_many_messages_on_one_connection_are_answered_in_order() -> None:
    intake = ScriptedIntake()
    with listening(intake) as port, MllpClient("127.0.0.1", port) as client:
        for number in range(30):
            client.send(b"message %d" % number)
        assert [client.receive() for _ in range(30)] == [b"ACK message %d" % n for n in range(30)]


def test_enhanced_mode_gets_both_answers() -> None:
    with listening(ScriptedIntake()) as port, MllpClient("127.0.0.1", port) as client:
        assert client.exchange(b"twice") == b"CA twice"
        assert client.receive() == b"ACK twice"


def test_many_connections_at_once() -> None:
    intake = ScriptedIntake()
    with listening(intake) as port:

        def talk(name: int) -> None:
            with MllpClient("127.0.0.1", port) as client:
                for number in range(10):
                    assert client.exchange(b"%d/%d" % (name, number)) == b"ACK %d/%d" % (name, number)

        threads = [threading.Thread(target=talk, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(intake.received) == 200


def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on() -> None:
    intake = ScriptedIntake()
    with listening(intake) as port, MllpClient("127.0.0.1", port) as client:
        assert client.exchange(b"x" * 3000) == b"AR"
        assert client.exchange(b"next") == b"ACK next"
    assert intake.oversize == [(b"x" * 3000, 3000)]


def test_a_frame_far_over_the_limit_ends_the_connection() -> None:
    intake = ScriptedIntake()
    with listening(intake) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(b"\x0b" + b"x" * 400_000)
        with contextlib.suppress(ConnectionError):
            assert raw.recv(100) == b""
        assert intake.seen.wait(5)
    assert intake.broken[0][1] > 4000


def test_half_a_frame_is_kept_when_the_sender_hangs_up() -> None:
    intake = ScriptedIntake()
    with listening(intake) as port:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"\x0bMSH|half")
        assert intake.seen.wait(5)
    assert intake.broken == [(b"MSH|half", 8, "the stream ended inside a frame")]


def test_a_stalled_frame_is_given_up_and_kept() -> None:
    intake = ScriptedIntake()
    with listening(intake, stall=0.2) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"\x0bMSH|stalled")
        assert raw.recv(100) == b""
        assert intake.seen.wait(5)
    assert intake.broken[0][0] == b"MSH|stalled"


def test_an_idle_connection_is_closed() -> None:
    with listening(ScriptedIntake(), idle=0.2) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        assert raw.recv(100) == b""


def test_a_connection_too_many_is_closed_at_once_and_the_others_live() -> None:
    with listening(ScriptedIntake(), connections=1) as port, MllpClient("127.0.0.1", port) as first:
        assert first.exchange(b"a") == b"ACK a"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as second, contextlib.suppress(ConnectionError):
            assert second.recv(100) == b""
        assert first.exchange(b"b") == b"ACK b"


@pytest.mark.parametrize("size", [1, 7, 64])
def test_bytes_that_trickle_in_make_the_same_message(size: int) -> None:
    message = frame(b"MSH|" + b"abc" * 50)
    with listening(ScriptedIntake()) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(message), size):
            raw.sendall(message[start : start + size])
        assert raw.recv(1000).startswith(b"\x0bACK MSH|abc")
