"""The MLLP listener: a thin asyncio shell around `frames`. One task per connection; messages of a connection are answered in order.

Database work runs in the gateway's thread pool, so a slow commit never stops other connections from being read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from fhir_gateway.events import event
from fhir_gateway.hl7v2.frames import Broken, Event, Frame, FrameDecoder, Oversize, frame

CHUNK: Final = 64 * 1024
RUNAWAY_FACTOR: Final = 4
"""A frame this many times over the limit is not read to its end: the connection is closed."""


class Intake(Protocol):
    """What the listener needs of the pipeline. All methods are synchronous and safe to call from any thread."""

    def receive_v2(self, raw: bytes, channel: str, peer: str) -> Iterator[bytes]:
        """Take a message in; yields each acknowledgement as soon as it is true (one in original mode, up to two in enhanced mode)."""

    def refuse_oversize(self, head: bytes, length: int, sha256: str, channel: str, peer: str) -> bytes:
        """Keep what may be kept of a message over the limit; the AR to send."""

    def keep_broken(self, content: bytes, length: int, why: str, channel: str, peer: str) -> None:
        """Keep bytes that made no whole message."""


@dataclass(frozen=True, slots=True)
class Limits:
    """message: bytes. connections: open at once. idle, stall: seconds."""

    message: int
    connections: int
    idle: float
    stall: float


class MllpListener:
    """Accepts connections until stopped. `port` is the real one after `start` (0 asks the system for a free one)."""

    def __init__(self, intake: Intake, executor: Executor, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._intake = intake
        self._executor = executor
        self._limits = limits
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def listening(self) -> bool:
        """Accepting connections now."""
        return self._server is not None and self._server.is_serving()

    async def start(self, host: str, port: int, *, shared: bool = False) -> None:
        """Bind and listen; `shared` lets the worker processes of one gateway listen together. Raises OSError when the address is taken."""
        self._server = await asyncio.start_server(self._accept, host, port, ssl=self._tls, limit=CHUNK, reuse_port=shared or None)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, grace: float = 10.0) -> None:
        """Stop accepting, let messages under way be answered, then close."""
        if self._server is None:
            return
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=grace)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = "{}:{}".format(*(writer.get_extra_info("peername") or ("?", "?"))[:2])
        if len(self._open) >= self._limits.connections:
            event("connection-refused", "warning", peer=peer, open=len(self._open), why="too many connections")
            writer.close()
            return
        self._open.add(task)
        event("connection-opened", "debug", peer=peer, open=len(self._open))
        try:
            await _Connection(self, reader, writer, peer).serve()
        finally:
            self._open.discard(task)

    async def in_thread(self, work: Iterator[bytes]) -> bytes | None:
        """The next acknowledgement, computed off the event loop. Shielded: a message being committed is never abandoned half way."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._executor, next, work, None))

    @property
    def intake(self) -> Intake:
        """Where messages go."""
        return self._intake

    @property
    def executor(self) -> Executor:
        """Where database work runs."""
        return self._executor

    @property
    def limits(self) -> Limits:
        """What is bounded."""
        return self._limits


class _Connection:
    """One sender's connection, from the first byte to the close."""

    def __init__(self, listener: MllpListener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._frames = FrameDecoder(listener.limits.message)
        self._messages = 0

    async def serve(self) -> None:
        why = "closed by sender"
        try:
            while data := await self._read():
                for item in self._frames.feed(data):
                    await self._handle(item)
                if self._frames.overflow_bytes > RUNAWAY_FACTOR * self._listener.limits.message:
                    why = "frame far over the limit"
                    break
        except TimeoutError:
            why = "stalled inside a frame" if self._frames.inside_frame else "idle"
        except (ConnectionError, ssl.SSLError):
            why = "connection lost"
        except asyncio.CancelledError:
            why = "gateway stopping"
        finally:
            await self._leave(why)

    async def _read(self) -> bytes:
        limits = self._listener.limits
        wait = limits.stall if self._frames.inside_frame else limits.idle
        async with asyncio.timeout(wait):
            return await self._reader.read(CHUNK)

    async def _handle(self, item: Event) -> None:
        listener = self._listener
        loop = asyncio.get_running_loop()
        match item:
            case Frame(message):
                self._messages += 1
                answers = listener.intake.receive_v2(message, "mllp", self._peer)
                while (answer := await listener.in_thread(answers)) is not None:
                    await self._send(answer)
            case Oversize(head, length, sha256):
                self._messages += 1
                await self._send(
                    await loop.run_in_executor(listener.executor, listener.intake.refuse_oversize, head, length, sha256, "mllp", self._peer)
                )
            case Broken(content, length, why):
                await loop.run_in_executor(listener.executor, listener.intake.keep_broken, content, length, why, "mllp", self._peer)

    async def _send(self, answer: bytes) -> None:
        self._writer.write(frame(answer))
        async with asyncio.timeout(self._listener.limits.stall):
            await self._writer.drain()

    async def _leave(self, why: str) -> None:
        for item in self._frames.finish():
            with contextlib.suppress(Exception):
                await asyncio.shield(self._handle(item))
        event("connection-closed", "debug", peer=self._peer, messages=self._messages, why=why)
        self._writer.close()
        with contextlib.suppress(Exception):
            await self._writer.wait_closed()


def server_tls(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS for MLLPS: 1.2 or later, with client certificates required when an authority is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
