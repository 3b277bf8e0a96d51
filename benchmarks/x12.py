"""A 271 of a usual length: bytes to loops, then to a CoverageEligibilityResponse; and what an answer costs as it grows.

Processor time of one thread, the best of several rounds. The bar is issue 6's: 5,000 answers a second from bytes to loops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fhir_gateway.validation import encode, validate
from mappers import x12

CASE = Path(__file__).parents[1] / "fixtures/x12/active-with-copay/input.edi"
BAR = 5_000


class Rate(NamedTuple):
    """seconds: an answer. wanted: answers a second, 0 for no bar."""

    name: str
    seconds: float
    wanted: int = 0


def measure() -> Iterator[Rate]:
    """The steps of a usual answer, then one a hundred times as long."""
    raw = CASE.read_bytes()
    yield Rate("bytes to loops", best(lambda: _loops(raw), 200), BAR)
    yield Rate("bytes to CoverageEligibilityResponse", best(lambda: _mapped(raw), 100))
    yield Rate("the same, validated and encoded", best(lambda: _whole(raw), 50))
    yield Rate("bytes to loops, 100 times the benefits", best(lambda: _loops(longer(raw, 100)), 2))


def best(work: Callable[[], object], times: int, rounds: int = 5) -> float:
    """Processor seconds a call, the best round."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - began) / times)
    return min(found)


def segments(raw: bytes) -> int:
    """How many segments an interchange holds."""
    return sum(len(one.segments) for one in x12.read(raw))


def longer(raw: bytes, times: int) -> bytes:
    """The same answer with its benefits repeated."""
    start, end = raw.index(b"EB*"), raw.index(b"SE*")
    return raw[:start] + raw[start:end] * times + raw[end:]


def _loops(raw: bytes) -> None:
    for one in x12.read(raw):
        for transaction in one.transactions:
            x12.loops(transaction)


def _mapped(raw: bytes) -> list[x12.Answer]:
    return [answer for one in x12.read(raw) for transaction in one.transactions for answer in x12.answers(transaction)]


def _whole(raw: bytes) -> None:
    for answer in _mapped(raw):
        validate(answer.response)
        encode(answer.response)
