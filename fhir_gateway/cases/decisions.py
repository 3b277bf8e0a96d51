"""What people decided about items and records, read from the Tasks that are part of the coordination Task.

    code                businessStatus / status                 means
    record-request      requested, received, accepted, ready    the record was asked for (due: restriction.period.end); later it is overdue
                        in-progress, on-hold                    it is on its way, by executionPeriod.end when that is known
                        failed, rejected                        it can't be supplied; statusReason says why
    item-waiver         completed                               the clinic does without, until restriction.period.end
    record-judgement    completed; businessStatus says what     a person looked at `focus`: `confirmed`, or why it will not do

Codes are ours (CodeSystem task-code, item-reason); the CDex data-request codes are read as record-request. The item is named by
`input` of type `item`, or by a LOINC code in any other input, which then speaks for every item with that code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

from fhir_gateway.cases.days import plus, span
from fhir_gateway.cases.evidence import codings, text, walk
from fhir_gateway.cases.model import ItemState, Json, Moment
from profiles.canonical import canonical

TASK_CODES: Final = canonical("CodeSystem", "task-code")
REASONS: Final = canonical("CodeSystem", "item-reason")
CDEX: Final = frozenset({"data-request", "data-request-code", "data-request-query", "data-request-questionnaire"})

# Task.status → what an open request means for its item.
REQUEST_STATES: Final[dict[str, ItemState]] = {
    "requested": "requested",
    "received": "requested",
    "accepted": "requested",
    "ready": "requested",
    "in-progress": "expected",
    "on-hold": "expected",
    "failed": "declined",
    "rejected": "declined",
}
CONFIRMED: Final = "confirmed"
WRONG_PATIENT: Final = "wrong-patient"


class Claim(NamedTuple):
    """One decision about an item. until: last day it holds. order: the later decision wins."""

    state: ItemState
    reason: str | None
    until: date | None
    order: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Decisions:
    """requests and waivers by item id or LOINC code; judgements by (record reference, item id or "" for every item)."""

    requests: Mapping[str, Claim] = field(default_factory=dict)
    waivers: Mapping[str, Claim] = field(default_factory=dict)
    judgements: Mapping[tuple[str, str], Claim] = field(default_factory=dict)

    def judgement(self, reference: str, item: str) -> str | None:
        """What a person said about a record for this item: CONFIRMED, a reason it will not do, or None."""
        claim = self.judgements.get((reference, item)) or self.judgements.get((reference, ""))
        return claim.reason if claim else None


def decisions(tasks: Iterable[Json], at: Moment) -> Decisions:
    """Read the child Tasks as they stand at `at`. Tasks of other kinds say nothing."""
    requests: dict[str, Claim] = {}
    waivers: dict[str, Claim] = {}
    judgements: dict[tuple[str, str], Claim] = {}
    for task in sorted(tasks, key=_order):
        kinds = {code for system, code in codings(task.get("code")) if system == TASK_CODES or code in CDEX}
        if "question" in kinds:  # asks whether a record is required, which an answer settles and not the Task
            continue
        status, until = text(task, "status"), _until(task, "restriction.period.end", at)
        if kinds & (CDEX | {"record-request"}) and status in REQUEST_STATES:
            state = REQUEST_STATES[status]
            expected = _until(task, "executionPeriod.end", at) if state == "expected" else until
            for item in _items(task):
                requests[item] = Claim(state, _reason(task, "statusReason"), expected, _order(task))
        elif kinds & (CDEX | {"record-request"}):
            for item in _items(task):
                requests.pop(item, None)
        elif "item-waiver" in kinds and status == "completed" and (until is None or until >= at.today):
            waivers |= {item: Claim("waived", _reason(task, "statusReason"), until, _order(task)) for item in _items(task)}
        elif "record-judgement" in kinds and status == "completed":
            said = Claim("received", _reason(task, "businessStatus"), None, _order(task))
            for reference in walk(task, "focus.reference"):
                judgements |= {(str(reference), item): said for item in _items(task) or ("",)}
    return Decisions(requests, waivers, judgements)


def judged_as(task: Json, verdict: str) -> bool:
    """Does this Task say so of the record it focuses on?"""
    kinds = {code for system, code in codings(task.get("code")) if system == TASK_CODES}
    return "record-judgement" in kinds and text(task, "status") == "completed" and _reason(task, "businessStatus") == verdict


def still_to_come(claim: Claim, at: Moment) -> tuple[date, ...]:
    """The day on which a decision lapses, when that is still ahead."""
    if claim.until is None or claim.until < at.today:
        return ()
    return (plus(claim.until, 1),)


def _order(task: Json) -> tuple[str, str]:
    """By when it was last changed, ties by id, so that the order of reading decides nothing."""
    return text(task, "lastModified") or text(task, "authoredOn"), text(task, "id")


def _items(task: Json) -> tuple[str, ...]:
    named, coded = [], []
    for one in walk(task, "input"):
        if not isinstance(one, dict):
            continue
        if "item" in {code for _, code in codings(one.get("type"))}:
            named.append(str(one.get("valueString", "")))
        else:
            coded += [code for _, code in codings(one.get("valueCodeableConcept"))]
    return tuple(named or coded)


def _reason(task: Json, element: str) -> str | None:
    concept = task.get(element)
    return next((code for _, code in codings(concept)), None) if isinstance(concept, dict) else None


def _until(task: Json, path: str, at: Moment) -> date | None:
    for value in walk(task, path):
        found = span(value, at.zone)
        if found:
            return found.high
    return None
