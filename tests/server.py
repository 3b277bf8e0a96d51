"""A real server process on real sockets, started and ended (gently or by SIGKILL) by tests and benchmarks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests import process


class Server:
    """`fhir-gateway serve` as its own process. Use as a context manager, or `start` and `kill` by hand."""

    def __init__(self, database_url: str, *, alone: bool = False, **settings: str) -> None:
        """alone: an interpreter of its own, as for measuring; otherwise forked from one that has imported the program (tests.process)."""
        self._alone = alone
        self.http_port, self.mllp_port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.http_port}"
        self._environment = {
            **os.environ,
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_AUTH": "off",
            "GATEWAY_LOG_LEVEL": "error",
            **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | process.Started | None = None

    def prepare(self) -> None:
        """Migrate the database (`serve` does so by itself only for the embedded one)."""
        process.run(["db", "upgrade"], self._environment).check_returncode()

    def start(self) -> Server:
        """Start and wait until `/readyz` says 200."""
        arguments = ["serve", "--port", str(self.http_port), "--mllp-port", str(self.mllp_port)]
        said = tempfile.TemporaryFile()  # noqa: SIM115 - read when the server ends too early, gone with the server otherwise
        with Path(os.devnull).open("r+b") as nothing:
            if self._alone:
                command = [sys.executable, "-m", "fhir_gateway", *arguments]
                self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=said)
            else:
                self._process = process.Started(arguments, self._environment, nothing.fileno(), nothing.fileno(), said.fileno())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"the server ended: {said.read().decode()[-2000:]}")
            try:
                if httpx.get(f"{self.base}/readyz", timeout=2).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.02)
        self.kill()
        raise RuntimeError("the server did not become ready")

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: end in good order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)
        self._process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
