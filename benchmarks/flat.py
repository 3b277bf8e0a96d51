"""Does a request cost the same however much is held? Reads and searches over HTTP, one worker, SQLite, at each size of GATEWAY_BENCH_RESOURCES.

The background is written through the store in bulk (every row a create writes, search rows and record rows too, without judging cases); what is asked for
lies all over it. SEKMET is beside us at the smallest size in `benchmarks.api`: filling it by its own requests would take hours.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from benchmarks.api import SEARCHES, Client, order
from benchmarks.steady import Ask
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Store
from fhir_gateway.store.ids import new_id
from tests.server import Server

SIZES = tuple(sorted(int(size) for size in os.environ.get("GATEWAY_BENCH_RESOURCES", "1000,100000").split(",")))
BATCH = 1_000
ROUNDS = 300


class Cost(NamedTuple):
    """One request at one size, in seconds. factor: of the median to that at the smallest size."""

    what: str
    held: int
    median: float
    p99: float
    factor: float


def measure() -> Iterator[Cost]:
    """Every request at every size; the database grows from one to the next."""
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/flat.db"
        store = Store(url)
        store.upgrade()
        ids: list[str] = []
        for size in SIZES:
            while len(ids) < size:
                ids += _filled(store, len(ids), min(BATCH, size - len(ids)))
            with Server(url, alone=True) as server, Client(f"{server.base}/fhir") as client:
                for what in ("read by id", *SEARCHES):
                    spent = sorted(_asked(client, what, ids))
                    median = statistics.median(spent)
                    yield Cost(what, size, median, spent[int(len(spent) * 0.99)], median / first.setdefault(what, median))
        store.close()


def _filled(store: Store, start: int, count: int) -> list[str]:
    made = []
    with store.transaction(GATEWAY, datetime.now(UTC)) as tx:
        for number in range(start, start + count):
            made.append(new_id())
            tx.resources.create(order(number), id=made[-1])
    return made


def _asked(client: Client, what: str, ids: list[str]) -> Iterator[float]:
    chance = random.Random(7)
    for _ in range(ROUNDS):
        number = chance.randrange(len(ids))
        path = f"/ServiceRequest/{ids[number]}" if what == "read by id" else SEARCHES[what].format(number)
        began = time.perf_counter()
        client.asks(Ask("GET", path))
        yield time.perf_counter() - began
        found = json.loads(client.found)
        assert found.get("id") == ids[number] or [entry["resource"]["id"] for entry in found["entry"]] == [ids[number]]
