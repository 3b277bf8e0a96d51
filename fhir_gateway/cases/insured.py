"""Which of a patient's Coverages a case is about, and whether one is still what the payer was asked about. DOMAIN 4.1, 4.4."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, tzinfo
from typing import Final

from fhir_gateway.cases.days import Span, span
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from profiles.selfpay import self_pay

ASKED_ABOUT: Final = ("status", "type", "subscriberId", "period", "payor", "class")
"""What a payer answers for: another payer, plan, group, member, period, kind or status is another question."""
_LAST: Final = 1_000_000


def digest(coverage: Json) -> str:
    """A name for the Coverage as it can be asked about; equal while an answer still speaks of it."""
    told = {name: coverage[name] for name in ASKED_ABOUT if coverage.get(name)}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str, separators=(",", ":")).encode()).hexdigest()[:32]


def is_self_pay(coverage: Json) -> bool:
    """The patient pays without insurance: nobody is to be asked and no plan billed."""
    return self_pay(coverage)


def primary(coverages: Mapping[str, Json], day: date, zone: tzinfo) -> tuple[str, ...]:
    """The references of those that pay first on a day: active, a plan, in its period, of the lowest `order`. Several when their order does not tell.

    Where none is in its period, the first by order of those that are active: what has lapsed is still what the case was about.
    """
    plans = {name: held for name, held in coverages.items() if held.get("status") == "active" and not is_self_pay(held)}
    current = {name: held for name, held in plans.items() if in_force(held, Span(day, day), zone) is not False} or plans
    first = min((rank(held) for held in current.values()), default=_LAST)
    return tuple(sorted(name for name, held in current.items() if rank(held) == first))


def in_force(coverage: Json, days: Span, zone: tzinfo) -> bool | None:
    """Does the Coverage, as it is held, hold on all of these days? None: it does not say. An open end is no end; without any date nobody can say."""
    if coverage.get("status") == "cancelled":
        return False
    if coverage.get("status") != "active":
        return None
    begins, ends = (span(next(iter(walk(coverage, f"period.{end}")), None), zone) for end in ("start", "end"))
    if begins is None and ends is None:
        return None
    if (begins and begins.low > days.high) or (ends and ends.high < days.low):
        return False
    sure = (begins is None or begins.high <= days.low) and (ends is None or ends.low >= days.high)
    return True if sure else None


def rank(coverage: Json) -> int:
    """Its place in the coordination of benefits (Coverage.order); last where it names none."""
    order = coverage.get("order")
    return order if isinstance(order, int) and not isinstance(order, bool) else _LAST
