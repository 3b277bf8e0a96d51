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

from benchmarks.steady import Ask, rate
from fhir_gateway.validation import encode
from tests.server import Server, free_port

FEW = 1_000
ROUNDS = 200
BLOCK, BLOCKS = 200, 5
STALE = 3.0
HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


class Cost(NamedTuple):
    """One kind of request at one server holding so many ServiceRequests. median: seconds, asked in turn. rate: requests a second, without a pause."""

    what: str
    server: str
    held: int
    median: float
    rate: float


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
        orders = [encode(order(number)) for number in range(FEW)]

        def create(name: str, n: int) -> None:
            location = clients[name].asks(Ask("POST", "/ServiceRequest", orders[n], 201)).headers["Location"]
            ids[name].append(location.partition("/_history")[0].rpartition("/")[2])

        yield from _costs("create", bases, create, FEW, lambda _, n: Ask("POST", "/ServiceRequest", encode(order(FEW + n)), 201), BLOCK)

        def read(name: str, n: int) -> Ask:
            return Ask("GET", f"/ServiceRequest/{ids[name][n % FEW]}")

        yield from _costs("read by id", bases, lambda name, n: clients[name].asks(read(name, n)), ROUNDS, read, BLOCK)
        searching = {name: base for name, base in bases.items() if name != "floor"}
        for what, query in SEARCHES.items():
            ask = partial(_search, query)
            yield from _costs(what, searching, partial(_found, clients, ask), ROUNDS, ask, BLOCK)

        def transaction(_: str, n: int) -> Ask:
            return Ask("POST", "", encode(bundle(n)))

        yield from _costs("transaction of 20", bases, lambda name, n: clients[name].asks(transaction(name, n)), 20, transaction, 10)


class Client:
    """One connection, kept open, through the standard library: an HTTP library's own time would be the larger part of a read."""

    def __init__(self, base: str) -> None:
        address = urlsplit(base)
        self._path = address.path
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=60)
        self._asked = 0.0
        self.found = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def asks(self, ask: Ask) -> HTTPResponse:
        """The answer, read to its end: `found` is its body."""
        if time.monotonic() - self._asked > STALE:
            self._connection.close()  # the server ends a connection that is silent for five seconds; the next request opens another
        self._connection.request(ask.method, self._path + ask.path, ask.body or None, HEADERS)
        answer = self._connection.getresponse()
        self.found = answer.read()
        self._asked = time.monotonic()
        assert answer.status == ask.wanted, self.found[:500]
        return answer


def _search(query: str, _name: str, number: int) -> Ask:
    return Ask("GET", query.format(number % FEW))


def _found(clients: Mapping[str, Client], ask: Callable[[str, int], Ask], name: str, number: int) -> None:
    clients[name].asks(ask(name, number))
    assert clients[name].found.count(b'"fullUrl"') == 1


SEARCHES = {
    "search by identifier": "/ServiceRequest?identifier=urn:oid:1.2.36.1|N{}",
    "search by subject": "/ServiceRequest?subject=http://elsewhere.example/fhir/Patient/p{}",
}


def _costs(
    what: str, bases: Mapping[str, str], once: Callable[[str, int], object], rounds: int, ask: Callable[[str, int], Ask], block: int
) -> Iterator[Cost]:
    """In turn first, then in blocks, which take turns as well."""
    spent: dict[str, list[float]] = {name: [] for name in bases}
    for number in range(rounds):
        for name in bases:
            began = time.perf_counter()
            once(name, number)
            spent[name].append(time.perf_counter() - began)
    rates: dict[str, list[float]] = {name: [] for name in bases}
    for start in range(rounds, rounds + BLOCKS * block, block):
        for name, base in bases.items():
            rates[name].append(rate(base, [ask(name, number) for number in range(start, start + block)]))
    return (Cost(what, name, FEW, statistics.median(spent[name]), statistics.median(rates[name])) for name in bases)


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
