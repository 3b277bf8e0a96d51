"""The three gates. Each looks at its own kinds of item, and none speaks for another.

records: everything but consent and coverage. permission: consent. money: coverage, indeterminate until the payer has answered.
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
UNANSWERED: Final = frozenset({"missing", "requested", "expected", "received"})


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
    if name == "money" and held and _payer_silent(held):
        state = "indeterminate"
    return Gate(name, state, _reason(held), tuple(judgement.item for _, judgement in held))


def _payer_silent(held: list[tuple[Requirement, Judgement]]) -> bool:
    """The payer's answer on eligibility is outstanding, and nothing held says no."""
    asked = [j for r, j in held if any(supply.type == "CoverageEligibilityResponse" for part in r.parts for supply in part.inputs)]
    return any(j.state in UNANSWERED for j in asked) and not any(j.state in ("not-acceptable", "declined") for _, j in held)


def _reason(held: list[tuple[Requirement, Judgement]]) -> str | None:
    """How many items hold it, by state: "2 missing, 1 applicability-unknown"."""
    counted = Counter(j.reason if j.reason == "applicability-unknown" else j.state for _, j in held)
    return ", ".join(f"{number} {what}" for what, number in counted.items()) or None
