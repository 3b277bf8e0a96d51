"""The command as a process of its own, started quickly: forked from one that has imported the program already.

A start costs seconds of imports, and the suite has more than a hundred. What is forked is a process like any other: its own arguments, environment,
descriptors and exit code, and it dies by its own SIGKILL. `python -m fhir_gateway` itself is started by tests/cli/test_commands.py once.

Protocol: over a pair of sockets, one packet for each process to start (arguments, environment and folder as JSON, with the descriptors for stdin, stdout, stderr and
the status pipe). The status pipe says the process id, then how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

_LARGEST = 1 << 18
_NUMBER = struct.Struct("i")


class Started:
    """A process under way."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: int, stdout: int, stderr: int) -> None:
        """stdin, stdout, stderr: descriptors, which the caller closes."""
        self._status, theirs = os.pipe()
        asked = json.dumps({"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}).encode()
        socket.send_fds(_mother(), [asked], [stdin, stdout, stderr, theirs])
        os.close(theirs)
        self.pid = self._told()
        self._ended: int | None = None

    def _told(self) -> int:
        return int(_NUMBER.unpack(os.read(self._status, _NUMBER.size))[0])

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it, or None while it runs."""
        if self._ended is None:
            os.set_blocking(self._status, False)
            try:
                return self.wait()
            except BlockingIOError:
                return None
            finally:
                if self._ended is None:
                    os.set_blocking(self._status, True)
        return self._ended

    def wait(self, timeout: float | None = None) -> int:
        """As `poll`, once it has ended. Raises TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._ended is None and deadline is not None:
            if self.poll() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"process {self.pid} has not ended after {timeout} s")
                time.sleep(0.01)
        if self._ended is None:
            self._ended = os.waitstatus_to_exitcode(self._told())
            os.close(self._status)
        return self._ended

    def send_signal(self, which: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self.send_signal(signal.SIGKILL)


def run(arguments: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`fhir-gateway` with these arguments, to its end."""
    ends = [os.pipe() for _ in range(3)]
    (their_in, our_in), (our_out, their_out), (our_err, their_err) = ends
    started = Started(arguments, environment, their_in, their_out, their_err)
    for end in (their_in, their_out, their_err):
        os.close(end)
    said: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=lambda name=name, end=end: said.update({name: _all(end)})) for name, end in (("out", our_out), ("err", our_err))
    ]
    for reader in readers:
        reader.start()
    with os.fdopen(our_in, "wb") as pipe, contextlib.suppress(BrokenPipeError):
        pipe.write(stdin)
    for reader in readers:
        reader.join()
    return subprocess.CompletedProcess(list(arguments), started.wait(), said["out"], said["err"])


def _all(end: int) -> bytes:
    with os.fdopen(end, "rb") as pipe:
        return pipe.read()


@cache
def _mother() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen([sys.executable, "-m", "tests.process", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours


# What follows runs in the process that is forked from.


def _serve(wanted: socket.socket) -> None:
    _imported()
    while True:
        asked, descriptors, _, _ = socket.recv_fds(wanted, _LARGEST, 4)
        if not asked:
            return
        if os.fork() == 0:
            wanted.close()
            _watch(json.loads(asked), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        pass


def _watch(asked: dict[str, object], descriptors: list[int]) -> NoReturn:
    """Start the process, say its id, wait for its end, say that."""
    *standard, status = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(asked, standard)
    for descriptor in (*standard, 0, 1, 2):
        os.close(descriptor)
    try:
        os.write(status, _NUMBER.pack(pid))
        os.write(status, _NUMBER.pack(os.waitpid(pid, 0)[1]))
    except BrokenPipeError:
        pass
    os._exit(0)


def _become(asked: dict[str, object], standard: list[int]) -> NoReturn:
    import random

    from fhir_gateway.cli import main

    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[arg-type]
    os.chdir(str(asked["folder"]))
    sys.argv = ["fhir-gateway", *asked["arguments"]]  # type: ignore[misc]
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
    random.seed()
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(int(code or 0))


def _imported() -> None:
    """Everything a command may need, so that no child pays for it."""
    import gc
    from importlib import import_module

    from fhir_gateway import cli
    from fhir_gateway.pipeline.casework import Casework
    from fhir_gateway.pipeline.gateway import COMMON
    from fhir_gateway.settings import Settings
    from fhir_gateway.store.search import SearchIndex
    from fhir_gateway.validation import shapes
    from mappers import v2
    from profiles import conceptmaps
    from tests import messages

    for module, _ in cli.COMMANDS.values():
        import_module(f"fhir_gateway.cli.{module}")
    import_module("fhir_gateway.app")
    import_module("uvicorn.main")
    SearchIndex.load()
    Casework.from_settings(Settings())
    for name in COMMON:
        shapes.shape_of_resource(name)
    v2.map_message(v2.read(messages.referral()), conceptmaps.load(), v2.Site())
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
