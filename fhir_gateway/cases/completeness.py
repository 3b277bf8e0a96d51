"""What a case still lacks: the state of every required record, the three gates, and when time alone would change the answer.

`evaluate` is the whole of it; the same call serves the case page, `asOf`, the dry run and the nightly re-evaluation. The order in
which records arrived decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from fhir_gateway.cases import machine, money, permission
from fhir_gateway.cases.acceptance import Verdict, belongs, verdict
from fhir_gateway.cases.custody import physical, says
from fhir_gateway.cases.days import midnight, plus
from fhir_gateway.cases.decisions import still_to_come
from fhir_gateway.cases.docket import Docket
from fhir_gateway.cases.facts import decide_by, pays_alone, self_pay_ends
from fhir_gateway.cases.gates import gates
from fhir_gateway.cases.model import CaseFile, Evaluation, GapStatus, ItemState, Judgement, Moment, Policy
from fhir_gateway.cases.requirement import Checklist, Input, Part, Requirement

# Which of several records speaks for an item: the higher the better, the newest among equals.
PREFERENCE: Final[dict[ItemState, int]] = {"accepted": 5, "expiring": 4, "received": 3, "expected": 2, "not-acceptable": 1, "missing": 0}

# Item state → DEQM gap status (DOMAIN 3.3).
GAP_STATUS: Final[dict[ItemState, GapStatus]] = {
    "not-applicable": "not-applicable",
    "accepted": "closed-gap",
    "waived": "closed-gap",
    "expiring": "prospective-gap",
}

WITHDRAWN: Final = frozenset({"retracted", "cancelled"})
# Types of which the newest answer speaks and not the best, and the reasons of one that leaves the word to an older.
DECISIVE: Final[Mapping[str, Collection[str]]] = {
    "Consent": permission.UNDECIDED,
    "CoverageEligibilityResponse": money.UNDECIDED,
    "ClaimResponse": money.UNDECIDED,
}
ABSENT: Final = Verdict("missing")
ASKED: Final = Verdict("expected", "asked")
"""The payer was asked to authorise and has not answered."""


def evaluate(case: CaseFile, checklist: Checklist, at: Moment, policy: Policy = Policy()) -> Evaluation:  # noqa: B008 - frozen
    """Everything `$completeness` says about a case at one moment. Never raises on odd resources."""
    docket = Docket(case, checklist, at, policy)
    items = _judge_all(checklist, docket)
    passed = gates(checklist, items)
    before = machine.state_of(case.task)
    event = machine.rule_event(before, passed, items)
    return Evaluation(
        case=str(case.referral.get("id", "")),
        state=machine.move(before, event, "rule").to if event else before,
        checklist=checklist.canonical,
        as_of=at.now,
        gates=passed,
        items=items,
        due=docket.due(),
        appointment=docket.appointment,
        decide_by=decide_by(case, dict(docket.facts), at),
        next_change=_next_change(items, checklist, docket),
        event=event,
        self_pay=pays_alone(docket.facts),
    )


def judge(item: Requirement, docket: Docket, narratives: Mapping[str, Judgement] | None = None) -> Judgement:
    """State of one required record. narratives: judgements of the items whose narrative may contain this one."""
    applies = docket.truth(item.condition.expression) if item.condition else True
    if applies is False:
        return Judgement(item.id, "not-applicable", gap_status="not-applicable")
    found = _in_custody(item, _gathered(item, docket), docket)
    taken_back = found.reason in WITHDRAWN  # what was withdrawn out of a report can't be read in it any more
    told = None if found.good or taken_back else _in_narrative(item, narratives or {})
    if told:
        return replace(told, due=docket.due(item))
    unknown = applies is None and not found.good
    if unknown:
        found = Verdict("missing", "applicability-unknown", (), None, found.changes)
    decided = _decided(item, found, docket)
    return _judgement(item, decided, docket, item.condition.question if unknown and item.condition and decided is found else None)


def _judge_all(checklist: Checklist, docket: Docket) -> tuple[Judgement, ...]:
    """Items that lean on another's narrative come after it; the answer keeps the checklist's order."""
    judged: dict[str, Judgement] = {}
    for item in sorted(checklist.items, key=lambda item: bool(item.narrative_in)):
        judged[item.id] = replace(judge(item, docket, judged), custody=docket.custody.get(item.id, ()))
    return tuple(judged[item.id] for item in checklist.items)


def _judgement(item: Requirement, found: Verdict, docket: Docket, question: str | None) -> Judgement:
    gap = GAP_STATUS.get(found.state, "open-gap")
    if gap == "open-gap" and not item.blocks:
        gap = "not-applicable"  # nothing was required, so nothing is lacking
    held = sorted(found.entries, key=lambda e: e.order, reverse=True)
    return Judgement(
        item=item.id,
        state=found.state,
        reason=found.reason,
        gap_status=gap,
        supplied_by=tuple(e.reference for e in held),
        source=next((e.record.source for e in held if e.record.source), None),
        due=docket.due(item),
        good_until=found.until if found.state in ("accepted", "expiring", "not-acceptable", "waived") else None,
        question=question,
        changes=tuple(sorted(set(found.changes))),
    )


def _gathered(item: Requirement, docket: Docket) -> Verdict:
    """The item's parts together: the best of them, or, where every part is wanted, the worst."""
    parts = [_part(part, item, docket) for part in item.parts]
    if len(parts) == 1 or not item.every_part:
        return max(parts, key=_preference)
    worst = min(parts, key=_preference)
    held = {id(e): e for part in parts for e in part.entries}
    changes = tuple(day for part in parts for day in part.changes)
    until = min((part.until for part in parts if part.until), default=None)
    if worst.state == "missing" and any(part.state != "missing" for part in parts):
        return Verdict("not-acceptable", "incomplete", tuple(held.values()), until, changes)
    return Verdict(worst.state, worst.reason, tuple(held.values()), until, changes)


def _part(part: Part, item: Requirement, docket: Docket) -> Verdict:
    return max((_supplied(supply, item, docket) for supply in part.inputs), key=_preference)


def _supplied(supply: Input, item: Requirement, docket: Docket) -> Verdict:
    """The verdict over all records one input may mean."""
    found, suggested = [], []
    for e, sure in docket.candidates(supply):
        if sure and belongs(e, item, docket):
            found.append(verdict(e, supply, item, docket))
        elif not sure:
            suggested.append(_suggestion(verdict(e, supply, item, docket), docket, item))
    if not found and supply.type == "ClaimResponse" and docket.authorised.says == "asked":
        return ASKED
    if not found:
        return max(suggested, key=_preference, default=ABSENT)
    if supply.type in DECISIVE:
        return _decisive(found, DECISIVE[supply.type])
    if supply.count > 1 or supply.lookback is not None:
        return _series(found, supply, docket)
    best = max(found, key=_preference)
    if best.good:
        return best
    return best._replace(changes=tuple(day for one in found for day in one.changes))


def _suggestion(one: Verdict, docket: Docket, item: Requirement) -> Verdict:
    """A record only its category speaks for: accepted when a person confirmed it, otherwise held for one to look at."""
    if one.good and not docket.said(one.entries[0], item)[0]:
        return Verdict("received", "type-unconfirmed", one.entries, None, one.changes)
    return one


def _decisive(found: list[Verdict], undecided: Collection[str]) -> Verdict:
    """Of several answers the newest that settles the matter: a later refusal outweighs an older permission. undecided: reasons that settle nothing."""
    newest_first = sorted(found, key=lambda one: one.entries[0].order, reverse=True)
    settled = next((one for one in newest_first if one.reason not in undecided and one.state != "received"), None)
    chosen = settled or max(found, key=_preference)
    if chosen.good and settled is newest_first[0]:
        return chosen
    return chosen._replace(changes=tuple(day for one in found for day in one.changes))


def _series(found: list[Verdict], supply: Input, docket: Docket) -> Verdict:
    """Several records that count together: at least `count` days apart in time, reaching back `lookback` days; the newest must be recent."""
    best = max(found, key=_preference)
    usable = [one for one in found if one.good or one.reason == "stale"]
    dated = {e.when.high: e for one in usable for e in one.entries if e.when}
    entries = tuple(e for one in usable for e in one.entries)
    if not best.good:
        return best._replace(changes=tuple(day for one in found for day in one.changes))
    if len(dated) < supply.count and supply.count > 1:
        return Verdict("not-acceptable", "incomplete", entries, None, best.changes)
    if supply.lookback is not None:
        reached = [plus(day, supply.lookback) for day in dated]
        if not reached or min(reached) > docket.anchor:
            later = () if docket.appointment_day or not reached else (min(reached),)
            return Verdict("not-acceptable", "incomplete", entries, None, (*best.changes, *later))
    return Verdict(best.state, best.reason, entries, best.until, best.changes)


def _in_custody(item: Requirement, found: Verdict, docket: Docket) -> Verdict:
    """The records, and what the clinic knows of the thing itself: a record of slides that are broken, lost or gone again closes nothing.

    Only a record of the thing is overruled so: images that came over the wire stand although the disc is unreadable. Nor does the arrival of a thing
    answer an objection to its record: slides whose record was withdrawn may be somebody else's.
    """
    held = docket.custody.get(item.id, ())
    said = says(held, item, docket.at, machine.state_of(docket.case.task) in machine.REVIEWED) if held and physical(item) else None
    if said is None:
        return found
    if said.against:
        stands = any(e.type != "Specimen" for e in found.entries)
    else:
        objected = bool(found.entries) and found.state in ("not-acceptable", "missing")
        stands = found.good or objected or PREFERENCE.get(said.state, 0) < PREFERENCE[found.state]
    if stands:
        return found
    return Verdict(said.state, said.reason, found.entries, said.until, (*found.changes, *said.changes))


def _in_narrative(item: Requirement, narratives: Mapping[str, Judgement]) -> Judgement | None:
    """An accepted report counts for the results it contains; the reviewer is told where to read them."""
    for name in item.narrative_in:
        told = narratives.get(name)
        if told and told.state in ("accepted", "expiring"):
            return replace(told, item=item.id, reason="in-narrative")
    return None


def _decided(item: Requirement, found: Verdict, docket: Docket) -> Verdict:
    """What people decided, where the records alone do not close the item."""
    if found.good:
        return found
    names = (item.id, *(str(coding.get("code")) for coding in item.codes))
    waiver = docket.decisions.waivers.get(item.id)
    if waiver and item.waivable:
        return Verdict("waived", waiver.reason, (), waiver.until, still_to_come(waiver, docket.at))
    request = next((docket.decisions.requests[name] for name in names if name in docket.decisions.requests), None)
    if request and found.state == "missing" and found.reason != "applicability-unknown":
        late = request.until is not None and request.until < docket.today and request.state in ("requested", "expected")
        reason = request.reason or ("overdue" if late else None)
        return Verdict(request.state, reason, found.entries, request.until, (*found.changes, *still_to_come(request, docket.at)))
    return found


def _preference(one: Verdict) -> tuple[object, ...]:
    newest = max((e.order for e in one.entries), default=())
    return PREFERENCE.get(one.state, 0), bool(one.reason), newest


def _next_change(items: tuple[Judgement, ...], checklist: Checklist, docket: Docket) -> datetime | None:
    """The first midnight at which an item, a decision, a due date or an age in a condition may turn."""
    days = {day for item in items for day in item.changes} | set(docket.case.not_billed.turns)
    days |= {plus(end, 1) for end in self_pay_ends(docket.entries, docket.at)}
    days |= {plus(item.due, 1) for item in items if item.due and item.open}
    if any(item.condition and "age" in item.condition.expression.variables for item in checklist.items):
        days.add(plus(docket.today, 1))
    ahead = [day for day in days if day > docket.today]
    return midnight(min(ahead), docket.at.zone) if ahead else None
