"""SIGKILL while partners are being told: everybody is told everything, in order, and what comes twice is the same message."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from fhir_gateway.hl7v2.client import MllpClient
from mappers import v2
from tests import messages, process
from tests.partner import mllp_listener
from tests.server import Server

REFERRALS = 40
KILLS = 3


@pytest.mark.timeout(240)
def test_a_killed_gateway_tells_everything_in_the_end_and_nothing_differently(tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    chance = random.Random(seed)
    url = f"sqlite:///{tmp_path}/kill.db"
    server = Server(url, worker_seconds="0.05", send_seconds="0.3")
    server.prepare()
    with mllp_listener() as ehr:
        _registers(url, ehr.port)
        server.start()
        with MllpClient("127.0.0.1", server.mllp_port) as client:
            for number in range(REFERRALS):
                sent = messages.referral(f"REF-{number}", mrn=f"{number:06d}", control_id=f"ASK-{number}")
                assert v2.read_ack(client.exchange(sent)).code == "AA"
        for _ in range(KILLS):
            time.sleep(chance.random() * 0.3)
            server.kill()
            server.start()
        deadline = time.monotonic() + 120
        while len(_answered(ehr.messages)) < REFERRALS and time.monotonic() < deadline:
            time.sleep(0.2)
        server.stop()
        told = _answered(ehr.messages)
    assert set(told) == {f"ASK-{number}" for number in range(REFERRALS)}, f"seed {seed}"
    assert all(len(set(copies)) == 1 for copies in told.values()), f"seed {seed}"


def _registers(url: str, port: int) -> None:
    arguments = ["partner", "add", "NORTHSIDE", "--mllp", f"127.0.0.1:{port}", "--replies", "rri"]
    process.run(arguments, {**os.environ, "GATEWAY_DATABASE_URL": url}).check_returncode()


def _answered(received: list[bytes]) -> dict[str, list[bytes]]:
    """By the control id of the referral they answer."""
    found: dict[str, list[bytes]] = {}
    for message in list(received):
        found.setdefault(v2.read(message).named("MSA")[0].value(2), []).append(message)
    return found
