"""A question about an insurance, answered by the rules held here, on SQLite with synchronous=FULL: through the gateway object, and over HTTP.

Each question is about a member of its own; question and answer are validated, stored and on disk before the answer is given. The bars are issue 6's:
below 10 ms at p99, and 400 a second on one worker.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from benchmarks.steady import Ask, rate
from fhir_gateway.coverage import payer as payers
from fhir_gateway.coverage.payer import shipped
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.validation import encode
from tests.server import Server

FILES = Path(payers.__file__).parent / "payers"
STAFF = Principal("administrator", name="benchmark")
MEMBERS, QUESTIONS, THREADS = 400, 1200, 4
P99, RATE = 0.010, 400


class Speed(NamedTuple):
    """Questions one after the other: median and p99 in seconds. rate: questions a second asked by staff from several threads. payer: asked by the payer
    itself, which is configured and shown what is its own. served: as rate, over HTTP, from as many connections, of one worker.
    """

    median: float
    p99: float
    rate: float
    payer: float
    served: float


def measure(members: int = MEMBERS, questions: int = QUESTIONS) -> Speed:
    """Fill a database with members, ask about them."""
    payer = next(iter(shipped().values()))
    times, rate = _asked(payer.title, STAFF, None, members, questions)
    cut = quantiles(times[len(times) // 10 :], n=100)
    _, own = _asked(payer.title, Principal("payer", payer.name), FILES, members, questions)
    return Speed(cut[49], cut[98], rate, own, _served(payer.title, members, questions))


def _asked(payer: str, who: Principal, files: Path | None, members: int, questions: int) -> tuple[list[float], float]:
    """Seconds for each question asked after the other, and questions a second from several threads. files: of the payers the clinic has configured."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as threads:
        gateway = Gateway(Settings(database_url=f"sqlite:///{folder}/bench.db", auth="off", payers=files), threads)
        gateway.store.upgrade()
        gateway.start()
        asked = [encode(_question(gateway, number, payer)) for number in range(members)]
        bodies = [asked[number % members] for number in range(questions)]
        times = [_timed(lambda body=body: gateway.submit_eligibility(who, body)) for body in bodies]
        began = time.perf_counter()
        list(threads.map(lambda body: gateway.submit_eligibility(who, body), bodies))
        rate = len(bodies) / (time.perf_counter() - began)
        gateway.stop()
    return times, rate


def _served(payer: str, members: int, questions: int) -> float:
    """Answers a second over HTTP."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(THREADS) as threads:
        url = f"sqlite:///{folder}/served.db"
        gateway = Gateway(Settings(database_url=url, auth="off"), threads)
        gateway.store.upgrade()
        asked = [encode(_question(gateway, number, payer)) for number in range(members)]
        gateway.stop()
        with Server(url, alone=True) as server:
            orders = [Ask("POST", "/CoverageEligibilityRequest/$submit", asked[number % members]) for number in range(questions)]
            ask = partial(rate, f"{server.base}/fhir")
            ask(orders[: members // 2])
            began = time.perf_counter()
            list(threads.map(ask, [orders[thread::THREADS] for thread in range(THREADS)]))
            return questions / (time.perf_counter() - began)


def _question(gateway: Gateway, number: int, payer: str) -> dict[str, Any]:
    patient = gateway.fhir.create(STAFF, "Patient", json.dumps({"resourceType": "Patient", "name": [{"family": f"Member{number}"}]}).encode(), None)
    coverage = {
        "resourceType": "Coverage",
        "status": "active",
        "subscriberId": f"M-{number}",
        "beneficiary": {"reference": patient.stored.reference},
        "period": {"start": "2020-01-01"},
        "payor": [{"display": payer}],
    }
    held = gateway.fhir.create(STAFF, "Coverage", encode(coverage), None)
    return {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": ["validation", "benefits", "auth-requirements"],
        "patient": {"reference": patient.stored.reference},
        "created": "2026-09-10",
        "insurer": {"display": payer},
        "insurance": [{"coverage": {"reference": held.stored.reference}}],
    }


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(measure())
