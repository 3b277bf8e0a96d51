"""FHIR and webhooks on their way out: one POST, and what it was answered.

Nothing that comes back is trusted: redirects are not followed, the body is read only where one is wanted and only so far, and what is said of a failure is
its kind and never its text.
"""

from __future__ import annotations

from typing import Final

import httpx

from fhir_gateway.pipeline.delivery import Delivery, Outcome

AGAIN: Final = frozenset({408, 409, 421, 423, 425, 429})
"""4xx that may pass: RFC 9110 and the transient ones of FHIR servers. Any other 4xx says that what we sent is not wanted as it is."""


def carry(delivery: Delivery, seconds: float) -> Outcome:
    """Carry one delivery; never raises for what the other side does."""
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False) as client,
            client.stream("POST", delivery.address, content=delivery.body, headers=delivery.headers) as answer,
        ):
            status = answer.status_code
            body = _body(answer, delivery.answer_bytes) if delivery.answer_bytes else None
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as fault:
        return Outcome(good=False, error=type(fault).__name__)
    except TooLongError:
        return Outcome(good=False, error="the answer is too long", final=True)
    kind = answer.headers.get("content-type", "")
    if 200 <= status < 300:
        return Outcome(good=True, answer=body, answer_type=kind)
    return Outcome(good=False, error=f"HTTP {status}", final=300 <= status < 500 and status not in AGAIN, answer=body, answer_type=kind)


class TooLongError(Exception):
    """More came back than was wanted."""


def _body(answer: httpx.Response, most: int) -> bytes:
    found = bytearray()
    for part in answer.iter_bytes():
        found += part
        if len(found) > most:
            raise TooLongError
    return bytes(found)
