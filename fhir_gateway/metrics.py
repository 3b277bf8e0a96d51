"""What is counted and timed, in one catalogue, in Prometheus' text format. Labels are codes, never ids."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
REGISTRY: Final = CollectorRegistry()

MESSAGES: Final = Counter("gateway_messages", "Messages taken in", ["channel", "type", "answer"], registry=REGISTRY)
INTAKE: Final = Histogram("gateway_intake_seconds", "Bytes to acknowledgement", ["channel"], registry=REGISTRY)
REQUESTS: Final = Histogram("gateway_request_seconds", "HTTP requests", ["method", "route", "status"], registry=REGISTRY)
EVALUATIONS: Final = Counter("gateway_case_evaluations", "Case evaluations", ["why"], registry=REGISTRY)
AVOIDED_TESTS: Final = Counter("gateway_avoided_tests", "Orders for tests whose acceptable result is held already", registry=REGISTRY)
SENDINGS: Final = Counter("gateway_sendings", "Messages, requests and notifications sent to partners", ["kind", "became"], registry=REGISTRY)
BROKEN: Final = Counter("gateway_broken_frames", "Bytes that made no whole message", ["channel"], registry=REGISTRY)


@cache
def request_timer(method: str, route: str, status: int) -> Histogram:
    """What times the requests of one kind. There are as many kinds as methods, routes and statuses, all of them codes of ours."""
    return REQUESTS.labels(method, route, status)


def text() -> bytes:
    """The current figures."""
    return generate_latest(REGISTRY)
