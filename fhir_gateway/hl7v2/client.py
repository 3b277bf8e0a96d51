"""A real MLLP client, for `fhir-gateway send`, the demo and tests: send one message, wait for its acknowledgement."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType

from fhir_gateway.hl7v2.frames import Broken, Frame, FrameDecoder, frame


class MllpClient:
    """One connection, many messages. Use as a context manager. Raises OSError for network faults, TimeoutError when no answer comes."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 30.0) -> None:
        raw = socket.create_connection((host, port), timeout=timeout)
        self._socket = tls.wrap_socket(raw, server_hostname=host) if tls else raw
        self._frames = FrameDecoder(64 * 1024 * 1024)
        self._ready: list[bytes] = []

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def exchange(self, message: bytes) -> bytes:
        """Send a message and return the next answer."""
        self.send(message)
        return self.receive()

    def send(self, message: bytes) -> None:
        """Send one framed message without waiting."""
        self._socket.sendall(frame(message))

    def receive(self) -> bytes:
        """The next whole answer. Raises ConnectionError when the other side closes first."""
        while not self._ready:
            data = self._socket.recv(64 * 1024)
            if not data:
                raise ConnectionError("the connection was closed before an answer came")
            for item in self._frames.feed(data):
                if isinstance(item, Frame):
                    self._ready.append(item.message)
                elif isinstance(item, Broken):
                    raise ConnectionError(f"the answer is no MLLP frame: {item.why}")
        return self._ready.pop(0)
