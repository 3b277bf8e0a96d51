"""SIGKILL at any moment of a run of 500 messages: nothing acknowledged is lost, nothing is applied twice. On both databases."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_gateway.hl7v2.client import MllpClient
from mappers import v2
from tests.databases import postgresql_url
from tests.server import Server
from tests.stories import numbered_referral

MESSAGES = 500
SENDERS = 4
KILLS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/kill.db"
    else:
        with postgresql_url() as url:
            yield url


class Sender:
    """One sending system: sends its messages in order, repeats each until it is acknowledged, whatever happens to the other side."""

    def __init__(self, server: Server, messages: list[bytes]) -> None:
        self._server = server
        self._left = list(messages)
        self.acknowledged = 0

    def run(self) -> None:
        while self._left:
            with contextlib.suppress(OSError), MllpClient("127.0.0.1", self._server.mllp_port, timeout=20) as client:
                while self._left:
                    code, _, texts = v2.read_ack(client.exchange(self._left[0]))
                    assert code == "AA", (code, texts)
                    self.acknowledged += 1
                    self._left.pop(0)
            time.sleep(0.02)


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(database_url: str) -> None:
    seed = random.randrange(10_000)
    chance = random.Random(seed)
    server = Server(database_url)
    server.prepare()
    server.start()
    messages = [numbered_referral(number) for number in range(MESSAGES)]
    senders = [Sender(server, messages[n::SENDERS]) for n in range(SENDERS)]
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    for kill in range(1, KILLS + 1):
        goal = MESSAGES * kill // (KILLS + 1)
        while sum(sender.acknowledged for sender in senders) < goal and any(t.is_alive() for t in threads):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)
        server.kill()
        server.start()
    for thread in threads:
        thread.join(120)
    try:
        assert sum(sender.acknowledged for sender in senders) == MESSAGES, f"seed {seed}"
        _every_referral_stands_once(server, seed)
    finally:
        server.stop()


def _every_referral_stands_once(server: Server, seed: int) -> None:
    with httpx.Client(base_url=f"{server.base}/fhir", timeout=30) as client:
        asked = {"Patient": {}, "Task": {"code:not": "code-translation"}, "Coverage": {}}  # a sender's own code is one Task more, whoever sends it
        counts = {type: client.get(f"/{type}", params={"_summary": "count"} | query).json()["total"] for type, query in asked.items()}
        referrals = client.get("/ServiceRequest", params={"_summary": "count", "code": "57133-1"}).json()["total"]
        assert counts["Patient"] == MESSAGES, (counts, seed)
        assert counts["Task"] == MESSAGES, (counts, seed)
        assert referrals in (0, MESSAGES)
        for number in (0, MESSAGES // 2, MESSAGES - 1):
            found = client.get("/ServiceRequest", params={"identifier": f"REF-{number:06d}"}).json()
            assert len(found.get("entry", ())) == 1, (number, seed)


CREATES = 240
WRITERS = 6


class Writer:
    """One FHIR client: creates its Patients under a condition, each until it is told that it stands."""

    def __init__(self, server: Server, numbers: list[int]) -> None:
        self._server = server
        self._left = list(numbers)
        self.stands: dict[int, str] = {}

    def run(self) -> None:
        while self._left:
            with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=f"{self._server.base}/fhir", timeout=20) as client:
                while self._left:
                    number = self._left[0]
                    body = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2.36.7", "value": f"W{number}"}]}
                    answer = client.post("/Patient", json=body, headers={"If-None-Exist": f"identifier=urn:oid:1.2.36.7|W{number}"})
                    assert answer.status_code in (200, 201), answer.text
                    self.stands[number] = answer.json()["id"]
                    self._left.pop(0)
            time.sleep(0.02)


def test_what_shares_a_transaction_is_lost_or_kept_as_it_was_answered(tmp_path: Path) -> None:
    """On the embedded database several writers are committed at once (`store.shared`): a crash takes none of those that were answered."""
    chance = random.Random(seed := random.randrange(10_000))
    server = Server(f"sqlite:///{tmp_path}/shared.db")
    server.prepare()
    server.start()
    writers = [Writer(server, list(range(CREATES))[n::WRITERS]) for n in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    while sum(len(writer.stands) for writer in writers) < CREATES // 2 and any(thread.is_alive() for thread in threads):
        time.sleep(0.002)
    time.sleep(chance.random() * 0.01)
    server.kill()
    server.start()
    for thread in threads:
        thread.join(60)
    try:
        stands = {number: id for writer in writers for number, id in writer.stands.items()}
        assert len(stands) == len(set(stands.values())) == CREATES, seed
        with httpx.Client(base_url=f"{server.base}/fhir", timeout=30) as client:
            assert client.get("/Patient", params={"_summary": "count"}).json()["total"] == CREATES, seed
            for number, id in stands.items():
                assert client.get(f"/Patient/{id}").json()["identifier"][0]["value"] == f"W{number}", seed
    finally:
        server.stop()
