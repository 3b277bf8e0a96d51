"""The FHIR API over real sockets, one worker each, SQLite: ours (synchronous=FULL, validation and audit on), the floor, and SEKMET, asked in turn so that
other work on the machine weighs on all of them alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from fhir_gateway.validation import encode
from tests.server import Server, free_port

FEW = 1_000
ROUNDS = 200
HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


class Cost(NamedTuple):
    """One request at one server holding so many ServiceRequests, in seconds."""

    what: str
    server: str
    held: int
    median: float


def order(number: int) -> dict[str, Any]:
    """A laboratory order of one of many patients; nobody's referral."""
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": [{"system": "urn:oid:1.2.36.1", "value": f"N{number}"}],
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "108252007"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2", "display": "CBC panel"}]},
        "subject": {"reference": f"http://elsewhere.example/fhir/Patient/p{number}"},
        "authoredOn": "2026-09-10T08:00:00Z",
        "requester": {"display": "Dr. Ash"},
    }


def bundle(number: int) -> dict[str, Any]:
    """Twenty creates."""
    entries = [{"resource": order(number * 20 + n + 1_000_000), "request": {"method": "POST", "url": "ServiceRequest"}} for n in range(20)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def measure() -> Iterator[Cost]:
    """Creates until FEW are held, then the other requests."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        url = f"sqlite:///{folder}/ours.db"
        ours = Server(url, alone=True)
        ours.prepare()
        ours.start()
        running.callback(ours.stop)
        bases = {
            "ours": f"{ours.base}/fhir",
            "floor": running.enter_context(_served("benchmarks.floor:app", {"FLOOR_DATABASE": f"{folder}/floor.db"})),
        }
        if find_spec("sekmet"):
            bases["SEKMET"] = running.enter_context(_served("sekmet.main:app_factory", {"SEKMET_DB": f"{folder}/sekmet.db"}, factory=True))
        clients = {name: running.enter_context(Client(base)) for name, base in bases.items()}
        ids: dict[str, list[str]] = {name: [] for name in bases}

        def create(name: str, body: bytes) -> None:
            ids[name].append(clients[name].asks("POST", "/ServiceRequest", body, wanted=201).partition("/_history")[0].rpartition("/")[2])

        orders = [encode(order(number)) for number in range(FEW)]
        yield from _turns("create", list(bases), lambda name, n: create(name, orders[n]), FEW)
        yield from _turns("read by id", list(bases), lambda name, n: clients[name].asks("GET", f"/ServiceRequest/{ids[name][n]}"), ROUNDS)
        searching = [name for name in bases if name != "floor"]
        for what, query in SEARCHES.items():
            yield from _turns(what, searching, partial(_found, clients, query), ROUNDS)
        bundles = [encode(bundle(number)) for number in range(20)]
        yield from _turns("transaction of 20", list(bases), lambda name, n: clients[name].asks("POST", "", bundles[n]), 20)


class Client:
    """One connection, kept open, through the standard library: an HTTP library's own time would be the larger part of a read."""

    def __init__(self, base: str) -> None:
        address = urlsplit(base)
        self._path = address.path
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=60)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def asks(self, method: str, path: str, body: bytes | None = None, wanted: int = 200) -> str:
        """The Location of the answer, which is read to its end."""
        answer = self._asked(method, path, body, wanted)[1]
        return answer.headers.get("Location", "")

    def found(self, path: str) -> bytes:
        """The answer's body."""
        return self._asked("GET", path, None, 200)[0]

    def _asked(self, method: str, path: str, body: bytes | None, wanted: int) -> tuple[bytes, HTTPResponse]:
        self._connection.request(method, self._path + path, body, HEADERS)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == wanted, content[:500]
        return content, answer


def _found(clients: Mapping[str, Client], query: str, name: str, number: int) -> None:
    assert clients[name].found(query.format(number)).count(b'"fullUrl"') == 1


SEARCHES = {
    "search by identifier": "/ServiceRequest?identifier=urn:oid:1.2.36.1|N{}",
    "search by subject": "/ServiceRequest?subject=http://elsewhere.example/fhir/Patient/p{}",
}


def _turns(what: str, servers: list[str], ask: Callable[[str, int], object], rounds: int) -> Iterator[Cost]:
    spent: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(rounds):
        for name in servers:
            began = time.perf_counter()
            ask(name, number)
            spent[name].append(time.perf_counter() - began)
    return (Cost(what, name, FEW, statistics.median(times)) for name, times in spent.items())


@contextmanager
def _served(app: str, settings: dict[str, str], *, factory: bool = False) -> Iterator[str]:
    """Another server by uvicorn; its base address."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "error", *(["--factory"] if factory else [])]
    environment = {**os.environ, "SEKMET_BASE_URL": f"http://127.0.0.1:{port}/fhir", **settings}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=2)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/fhir"
    finally:
        process.terminate()
        process.wait(30)
