"""A compiled checklist: what the rules read. Made from a PlanDefinition by `checklist.compile_checklist`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fhir_gateway.cases.expression import Expression
from fhir_gateway.cases.model import Code, Json

Kind = Literal["document", "report", "imaging", "specimen", "observation", "consent", "coverage"]
Required = Literal["must", "could", "must-unless-documented"]

KINDS: Final = ("document", "report", "imaging", "specimen", "observation", "consent", "coverage")
REQUIRED: Final = ("must", "could", "must-unless-documented")


@dataclass(frozen=True, slots=True)
class Input:
    """One way to supply a record. codes empty: any record of the type. statuses empty: the type's usual ones."""

    type: str
    codes: frozenset[Code]
    categories: frozenset[Code]
    statuses: frozenset[str]
    signatures: frozenset[str]
    recency: int | None
    lookback: int | None
    count: int
    month_end: bool
    confirm: bool
    counts_when: Expression | None
    complete_when: Expression | None
    only_when: Expression | None
    requirement: Json


@dataclass(frozen=True, slots=True)
class Part:
    """A group of inputs of which any one suffices."""

    id: str
    title: str
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """When the item applies. question: id and wording of what to ask the referrer when that can't be decided."""

    expression: Expression
    question: str
    wording: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One required record."""

    id: str
    title: str
    codes: tuple[Json, ...]
    kind: Kind
    required: Required
    parts: tuple[Part, ...]
    every_part: bool
    condition: Condition | None
    pairs_with: str | None
    narrative_in: tuple[str, ...]
    review_days: int | None
    pending_allowed: bool
    supplied_by: tuple[str, ...]
    action: Json

    @property
    def blocks(self) -> bool:
        """Whether a gate waits for it."""
        return self.required != "could"

    @property
    def waivable(self) -> bool:
        """Whether the clinic may do without it, with a reason."""
        return self.required != "must"


@dataclass(frozen=True, slots=True)
class Checklist:
    """A compiled plan, its base's items first. canonical, base: `url|version`, of the base None for a list of its own. questions: id → wording."""

    canonical: str
    base: str | None
    name: str
    title: str
    review_days: int | None
    urgent_when: Expression | None
    urgent_review_days: int | None
    items: tuple[Requirement, ...]
    questions: Mapping[str, str]
