"""Bytes to acknowledgement over a real MLLP socket, against a real server process on an embedded database."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from fhir_gateway.hl7v2.client import MllpClient
from mappers import v2
from tests.server import Server
from tests.stories import numbered_referral

MESSAGES = 200


class Run(NamedTuple):
    """rate: acknowledged messages a second. p50, p99: seconds from the last byte sent to the ACK read."""

    connections: int
    messages: int
    rate: float
    p50: float
    p99: float


def measure() -> Iterator[Run]:
    """Distinct referrals (own control id, patient and referral number each) over 1, 4 and 16 connections."""
    with tempfile.TemporaryDirectory() as folder, Server(f"sqlite:///{folder}/bench.db", alone=True) as server:
        serial = 0
        for connections in (1, 4, 16):
            batches = [[numbered_referral(serial + n * connections + c) for n in range(MESSAGES // connections)] for c in range(connections)]
            serial += MESSAGES + connections
            yield _run(server, batches)


def _run(server: Server, batches: list[list[bytes]]) -> Run:
    spent: list[float] = []
    threads = [threading.Thread(target=_send, args=(server, batch, spent)) for batch in batches]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - began
    spent.sort()
    return Run(len(batches), len(spent), len(spent) / total, statistics.median(spent), spent[int(len(spent) * 0.99)])


def _send(server: Server, batch: list[bytes], spent: list[float]) -> None:
    with MllpClient("127.0.0.1", server.mllp_port) as client:
        for message in batch:
            began = time.perf_counter()
            code = v2.read_ack(client.exchange(message))[0]
            spent.append(time.perf_counter() - began)
            assert code == "AA", code
