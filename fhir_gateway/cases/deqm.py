"""Item states in the words of Da Vinci DEQM (gaps in care): the reason code a care-gap system reads.

Source: DOMAIN 3.3 (item states with the DEQM crosswalk), codes of the DEQM care gap reason code system.
"""

from __future__ import annotations

from typing import Final, Literal

from fhir_gateway.cases.model import ItemState, Judgement
from fhir_gateway.cases.requirement import Requirement

Reason = Literal[
    "NotFound",
    "Missing",
    "Present",
    "InvalidAttribute",
    "DateInRange",
    "DateOutOfRange",
    "CountInRange",
    "CountOutOfRange",
    "NonComputableDocumentation",
]

# State → reason. Waived and declined: the record itself is not there; who decided so is in the item's own reason.
BY_STATE: Final[dict[ItemState, Reason | None]] = {
    "not-applicable": None,
    "missing": "NotFound",
    "requested": "Missing",  # an order is placed
    "expected": "Missing",  # deferred: scheduled, pending or on its way
    "received": "NonComputableDocumentation",  # a person has to look
    "accepted": "Present",
    "expiring": "DateOutOfRange",
    "not-acceptable": "InvalidAttribute",
    "waived": "NotFound",
    "declined": "NotFound",
}

# Where our own reason says more than the state does (CodeSystem item-reason).
BY_REASON: Final[dict[tuple[ItemState, str], Reason]] = {
    ("missing", "retracted"): "InvalidAttribute",
    ("not-acceptable", "stale"): "DateOutOfRange",
    ("not-acceptable", "lapsed"): "DateOutOfRange",
    ("not-acceptable", "consent-lapsed"): "DateOutOfRange",
}


def reason(judgement: Judgement, item: Requirement) -> Reason | None:
    """The DEQM reason of one judged item; None where nothing was required."""
    if judgement.state == "accepted" and judgement.reason is None:
        return _within(item)
    if (judgement.state, judgement.reason) == ("not-acceptable", "incomplete"):
        return _short(item)
    return BY_REASON.get((judgement.state, judgement.reason or ""), BY_STATE[judgement.state])


def _within(item: Requirement) -> Reason:
    """What was asked of an accepted record: a number of them, an age, or only that it is there."""
    ways = [way for part in item.parts for way in part.inputs]
    if any(way.count > 1 for way in ways):
        return "CountInRange"
    return "DateInRange" if any(way.recency is not None or way.lookback is not None or way.month_end for way in ways) else "Present"


def _short(item: Requirement) -> Reason:
    """What an incomplete item lacks: some of the records that count together, years they should reach back, or content."""
    ways = item.parts[0].inputs
    if len(item.parts) > 1 or any(way.complete_when for way in ways):
        return "InvalidAttribute"
    if any(way.count > 1 for way in ways):
        return "CountOutOfRange"
    return "DateOutOfRange" if any(way.lookback is not None for way in ways) else "InvalidAttribute"
