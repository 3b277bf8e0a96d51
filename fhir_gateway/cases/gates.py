"""The three gates. Each looks at its own kinds of item, and none speaks for another.

records: everything but consent and coverage. permission: consent. money: coverage, indeterminate until the payer has answered for the Coverage that pays
first and for the month of the appointment, and while what it answered is neither yes nor no.
Optional items never hold a gate; an item whose applicability is unknown does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from fhir_gateway.cases.model import Gate, GateState, Judgement
from fhir_gateway.cases.requirement import Checklist, Requirement

Name = Literal["records", "permission", "money"]

GATE_OF_KIND: Final[Mapping[str, Name]] = {"consent": "permission", "coverage": "money"}
CLOSED: Final = frozenset({"accepted", "waived", "not-applicable"})


def gates(checklist: Checklist, items: tuple[Judgement, ...]) -> dict[str, Gate]:
    """The gates by name, in the order they are asked about."""
    holding: dict[Name, list[tuple[Requirement, Judgement]]] = {"records": [], "permission": [], "money": []}
    for requirement, judgement in zip(checklist.items, items, strict=True):
        if _holds(requirement, judgement):
            holding[GATE_OF_KIND.get(requirement.kind, "records")].append((requirement, judgement))
    return {name: _gate(name, open_items) for name, open_items in holding.items()}


def _holds(requirement: Requirement, judgement: Judgement) -> bool:
    announced = requirement.pending_allowed and judgement.state == "expected"
    return requirement.blocks and judgement.state not in CLOSED and not announced


def _gate(name: Name, held: list[tuple[Requirement, Judgement]]) -> Gate:
    state: GateState = "not-satisfied" if held else "satisfied"
    if name == "money" and held and _undecided(held):
        state = "indeterminate"
    return Gate(name, state, _reason(held), tuple(judgement.item for _, judgement in held))


def _undecided(held: list[tuple[Requirement, Judgement]]) -> bool:
    """Nothing held says no, and either the payer's answer on eligibility is outstanding or all that is held waits for somebody's answer."""
    if any(_says_no(requirement, judgement) for requirement, judgement in held):
        return False
    return any(_asks_payer(requirement) for requirement, _ in held) or all(_waits(judgement) for _, judgement in held)


def _says_no(requirement: Requirement, judgement: Judgement) -> bool:
    """An answer of another month is out of date, which is no refusal."""
    return judgement.state in ("not-acceptable", "declined") and not (judgement.reason == "stale" and _asks_payer(requirement))


def _asks_payer(requirement: Requirement) -> bool:
    """Is this the item the payer's answer on eligibility closes, rather than one of the things it may have said?"""
    inputs = [supply for part in requirement.parts for supply in part.inputs]
    return any(supply.type == "CoverageEligibilityResponse" and not supply.counts_when for supply in inputs)


def _waits(judgement: Judgement) -> bool:
    return judgement.state in ("expected", "received") or judgement.reason == "applicability-unknown"


def _reason(held: list[tuple[Requirement, Judgement]]) -> str | None:
    """How many items hold it, by state: "2 missing, 1 applicability-unknown"."""
    counted = Counter(j.reason if j.reason == "applicability-unknown" else j.state for _, j in held)
    return ", ".join(f"{number} {what}" for what, number in counted.items()) or None
