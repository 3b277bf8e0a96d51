"""DTP → the period of the plan and the date of service. Source: 005010X279A1, DTP01 of loops 2100C/D and 2110C/D; DOMAIN table of coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mappers.result import Json
from mappers.x12.place import Finding
from mappers.x12.segment import Segment
from mappers.x12.values import period

PLAN_DATES: Final = {"346": "start", "347": "end", "356": "start", "357": "end", "539": "start", "540": "end", "291": "both", "307": "both"}
"""Plan begin and end, eligibility begin and end, policy effective and expiration; plan, eligibility. A single date of the last two is the first day."""
SERVICE: Final = "472"


def plan_period(segments: Sequence[Segment], findings: list[Finding]) -> Json:
    """Period of the plan, {} where no DTP says it; the first word on each end stands."""
    found: Json = {}
    for segment in segments:
        if end := PLAN_DATES.get(segment.value(1)):
            first, last = period(segment, findings)
            ranged = segment.value(2) == "RD8"
            if first and (end in ("start", "both") or ranged):
                found.setdefault("start", first)
            if last and (end == "end" or ranged):
                found.setdefault("end", last)
    if found.get("start", "") > found.get("end", "9999"):
        findings.append(Finding("error", "the plan ends before it begins", segments[0].where()))
        return {}
    return found


def serviced(segments: Iterable[Segment], findings: list[Finding]) -> Json:
    """`servicedDate` or `servicedPeriod` of the response, {} where no DTP*472 says it."""
    for segment in segments:
        if segment.value(1) == SERVICE:
            first, last = period(segment, findings)
            if first and first == last:
                return {"servicedDate": first}
            if first and last and first < last:
                return {"servicedPeriod": {"start": first, "end": last}}
    return {}
