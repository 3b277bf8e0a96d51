"""MLLP 1.0 frames out of a stream of bytes, without any I/O and in bounded memory.

Source: HL7 v2 Transport Specification – MLLP, Release 1: `<SB> message <EB><CR>`, SB 0x0B, EB 0x1C, CR 0x0D.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c\r"
KEPT_BYTES: Final = 64 * 1024
"""How much of an over-limit message is kept (PRODUCT.md, Bad input)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole message, without its envelope."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Oversize:
    """A message over the limit, read to its end without being held: its first 64 KiB, length and SHA-256."""

    head: bytes
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that belong to no whole frame: noise between frames, a frame cut off by the next one or by the end of the stream."""

    content: bytes
    length: int
    why: str


Event = Frame | Oversize | Broken


class FrameDecoder:
    """Feed bytes, take events. Memory is bounded by `limit` plus one chunk; time is linear in the bytes fed, however they are cut."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._over: _Overflow | None = None

    @property
    def inside_frame(self) -> bool:
        """A frame has begun and not ended: silence now is a stall, not idleness."""
        return self._inside

    @property
    def overflow_bytes(self) -> int:
        """How long the over-limit frame under way has become so far, 0 when there is none."""
        return self._over.length if self._over else 0

    def feed(self, data: bytes) -> list[Event]:
        """Take in the next bytes of the stream and give the events they complete."""
        self._buffer += data
        events: list[Event] = []
        while self._step(events):
            pass
        return events

    def finish(self) -> list[Event]:
        """The stream has ended: what is left over, if anything."""
        events: list[Event] = []
        if self._over:
            self._over.take(self._buffer)
            events.append(Broken(bytes(self._over.head), self._over.length, "the stream ended inside a frame over the limit"))
        elif self._inside:
            events.append(Broken(bytes(self._buffer[:KEPT_BYTES]), len(self._buffer), "the stream ended inside a frame"))
        else:
            self._noise(bytes(self._buffer), events)
        self._buffer.clear()
        self._inside, self._over = False, None
        return events

    def _step(self, events: list[Event]) -> bool:
        """One event's worth of progress; False when more bytes are needed."""
        if not self._inside:
            return self._seek_start(events)
        end = self._buffer.find(END, max(0, self._scanned - 1))
        restart = self._buffer.find(b"\x0bMSH", max(0, self._scanned - 3), end if end >= 0 else len(self._buffer))
        if restart >= 0:
            return self._cut_off(restart, events)
        if end < 0:
            self._scanned = len(self._buffer)
            if len(self._buffer) > self._limit:
                self._spill()
            return False
        self._close(end, events)
        return True

    def _seek_start(self, events: list[Event]) -> bool:
        begin = self._buffer.find(START)
        if begin < 0:
            if len(self._buffer) > KEPT_BYTES:
                self._noise(bytes(self._buffer), events)
                self._buffer.clear()
            return False
        self._noise(bytes(self._buffer[:begin]), events)
        del self._buffer[: begin + 1]
        self._inside, self._scanned = True, 0
        return True

    def _close(self, end: int, events: list[Event]) -> None:
        if self._over or end > self._limit:
            over = self._over or _Overflow()
            over.take(self._buffer[:end])
            events.append(Oversize(bytes(over.head), over.length, over.digest.hexdigest()))
        else:
            events.append(Frame(bytes(self._buffer[:end])))
        del self._buffer[: end + len(END)]
        self._inside, self._over = False, None

    def _cut_off(self, restart: int, events: list[Event]) -> bool:
        """A new frame starts inside this one: the sender gave up half way, so the first part is broken and the new one counts."""
        if self._over:
            self._over.take(self._buffer[:restart])
            events.append(Broken(bytes(self._over.head), self._over.length, "a new frame started inside this one"))
        else:
            events.append(Broken(bytes(self._buffer[: min(restart, KEPT_BYTES)]), restart, "a new frame started inside this one"))
        del self._buffer[: restart + 1]
        self._scanned, self._over = 0, None
        return True

    def _spill(self) -> None:
        """Stop holding an over-limit frame: keep its head, count and hash the rest; the last 4 bytes stay so a split END or START is seen."""
        self._over = self._over or _Overflow()
        self._over.take(self._buffer[:-4])
        del self._buffer[:-4]
        self._scanned = 0

    @staticmethod
    def _noise(content: bytes, events: list[Event]) -> None:
        if content.strip(b"\r\n\x00 \x1c"):
            events.append(Broken(content[:KEPT_BYTES], len(content), "bytes outside any frame"))


class _Overflow:
    """The running account of a frame too large to hold."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.length = 0
        self.digest = hashlib.sha256()

    def take(self, part: bytes | bytearray) -> None:
        if len(self.head) < KEPT_BYTES:
            self.head += part[: KEPT_BYTES - len(self.head)]
        self.length += len(part)
        self.digest.update(part)


def frame(message: bytes) -> bytes:
    """A message in its MLLP envelope."""
    return START + message + END
