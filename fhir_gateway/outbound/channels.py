"""FHIR and webhooks on their way out: one POST, and what it was answered.

Nothing that comes back is trusted: redirects are not followed, the body is read only where one is wanted and only so far, and what is said of a failure is
its kind and never its text.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from fhir_gateway.outbound.bounded import TooLongError, post
from fhir_gateway.outbound.signin import SignInError, SignIns
from fhir_gateway.pipeline.delivery import Delivery, Outcome, SecretSignIn

AGAIN: Final = frozenset({408, 409, 421, 423, 425, 429})
"""4xx that may pass: RFC 9110 and the transient ones of FHIR servers. Any other 4xx says that what we sent is not wanted as it is."""
UNAUTHORISED: Final = 401

_SIGN_INS: Final = SignIns()


def carry(delivery: Delivery, seconds: float, sign_ins: SignIns = _SIGN_INS) -> Outcome:
    """Carry one delivery; never raises for what the other side does. A token that is refused is asked for anew once."""
    sign_in = delivery.sign_in
    if sign_in is None:
        return _posted(delivery, {}, seconds)[1]
    try:
        if isinstance(sign_in, SecretSignIn) and sign_in.in_envelope:
            signed = sign_ins.enveloped(sign_in, delivery.headers.get("Content-Type", ""), delivery.body)
            return _posted(replace(delivery, body=signed), {}, seconds)[1]
        status, outcome = _posted(delivery, {"Authorization": sign_ins.authorization(sign_in, seconds)}, seconds)
        if status == UNAUTHORISED and sign_ins.forget(sign_in):
            status, outcome = _posted(delivery, {"Authorization": sign_ins.authorization(sign_in, seconds)}, seconds)
    except SignInError as fault:
        return Outcome(good=False, error=str(fault))
    return Outcome(good=False, error="the sign-in is refused: HTTP 401") if status == UNAUTHORISED else outcome


def _posted(delivery: Delivery, headers: dict[str, str], seconds: float) -> tuple[int, Outcome]:
    """(HTTP status, 0 for none, what came of it)."""
    try:
        status, said_in, said = post(delivery.address, seconds, delivery.answer_bytes, {**delivery.headers, **headers}, content=delivery.body)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as fault:
        return 0, Outcome(good=False, error=type(fault).__name__)
    except TooLongError:
        return 0, Outcome(good=False, error="the answer is too long", final=True)
    kind = said_in.get("content-type", "")
    if 200 <= status < 300:
        return status, Outcome(good=True, answer=said, answer_type=kind)
    final = 300 <= status < 500 and status not in AGAIN
    wait = None if final else _retry_after(said_in.get("retry-after", ""), datetime.now(UTC))
    return status, Outcome(good=False, error=f"HTTP {status}", final=final, answer=said, answer_type=kind, retry_after=wait)


def _retry_after(text: str, now: datetime) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds: a number of them, or a date. None where it says neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    return None
