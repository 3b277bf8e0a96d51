"""Custody of physical things: slides, blocks, discs. One Task per consignment (task-code `custody`), part of the coordination Task. Pure.

    businessStatus   Task.status            means for its item
    requested        requested              requested
    shipped          in-progress            expected until the expected day, then missing: overdue
    received         in-progress, completed accepted in good condition; else not-acceptable: unreadable (images), insufficient (anything else)
    returned         completed              accepted when the review had begun; else missing: returned
    lost             failed                 missing: lost

Carrier, tracking number, expected day and containers are inputs, the condition is an output; who and when stand in the notes and in the versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple, cast

from fhir_gateway.cases.actions import child
from fhir_gateway.cases.days import plus, span
from fhir_gateway.cases.decisions import TASK_CODES
from fhir_gateway.cases.evidence import codings, text, walk
from fhir_gateway.cases.model import Consignment, CustodyState, ItemState, Json, Moment
from fhir_gateway.cases.requirement import Requirement
from profiles.canonical import canonical

SYSTEM: Final = canonical("CodeSystem", "custody")
STATES: Final = canonical("CodeSystem", "custody-state")
V2_0490: Final = "http://terminology.hl7.org/CodeSystem/v2-0490"
MUST_RETURN: Final = canonical("StructureDefinition", "must-return")
PHYSICAL: Final = ("specimen", "imaging")

# From → what may happen next; "" is a thing nobody has announced. What was lost may be found.
NEXT: Final[Mapping[str, tuple[CustodyState, ...]]] = {
    "": ("requested", "shipped", "received"),
    "requested": ("shipped", "received", "lost"),
    "shipped": ("shipped", "received", "lost"),
    "received": ("returned", "lost"),
    "lost": ("received",),
    "returned": (),
}
TASK_STATUS: Final[Mapping[str, str]] = {
    "requested": "requested",
    "shipped": "in-progress",
    "received": "in-progress",
    "returned": "completed",
    "lost": "failed",
}
VOID: Final = ("cancelled", "entered-in-error")
GOOD: Final = "good"
# Condition on receipt: two words of ours and the reject reasons of table 0490.
CONDITIONS: Final[Mapping[str, str]] = {
    GOOD: SYSTEM,
    "unreadable": SYSTEM,
    **dict.fromkeys(("EX", "QS", "RA", "RB", "RC", "RD", "RE", "RH", "RI", "RM", "RN", "RP", "RR", "RS"), V2_0490),
}
# Of several consignments of one item the best speaks for it.
RANK: Final[Mapping[ItemState, int]] = {"accepted": 5, "expected": 4, "requested": 3, "not-acceptable": 2, "missing": 1}


class Said(NamedTuple):
    """What a consignment means for its item. until: the expected day. changes: days on which time alone turns it."""

    state: ItemState
    reason: str | None = None
    until: date | None = None
    changes: tuple[date, ...] = ()

    @property
    def against(self) -> bool:
        """It says that the thing is not to be had as it should be."""
        return self.state in ("not-acceptable", "missing")


@dataclass(frozen=True, slots=True)
class Details:
    """What a person says of a consignment beside its state; "" and None for what is not said."""

    carrier: str = ""
    tracking: str = ""
    expected: date | None = None
    containers: int | None = None
    condition: str = ""


def consignments(tasks: Iterable[Json], at: Moment) -> dict[str, tuple[Consignment, ...]]:
    """The custody Tasks by item, in order of their last change."""
    found: dict[str, list[Consignment]] = {}
    for task in sorted(tasks, key=lambda t: (text(t, "lastModified"), text(t, "id"))):
        state = _state(task)
        if not state:
            continue
        day = span(_said(task, "input", SYSTEM, "expected"), at.zone)
        one = Consignment(
            task=text(task, "id"),
            state=state,
            carrier=str(_said(task, "input", SYSTEM, "carrier") or ""),
            tracking=str(_said(task, "input", SYSTEM, "tracking") or ""),
            expected=day.high if day else None,
            containers=_said(task, "input", SYSTEM, "containers"),
            condition=next((code for _, code in codings(_said(task, "output", SYSTEM, "condition"))), ""),
            after_review=_said(task, "output", SYSTEM, "after-review"),
        )
        for item in _items(task):
            found.setdefault(item, []).append(one)
    return {item: tuple(held) for item, held in found.items()}


def says(held: Sequence[Consignment], item: Requirement, at: Moment, reviewed: bool) -> Said | None:
    """What the consignments of an item mean for it; None when there are none. reviewed: the case's review has begun, where a return does not say so."""
    meant = [_means(one, item, at, reviewed) for one in held]
    return max(reversed(meant), key=lambda said: RANK[said.state], default=None)


def _means(one: Consignment, item: Requirement, at: Moment, reviewed: bool) -> Said:
    match one.state:
        case "requested":
            return Said("requested")
        case "shipped" if one.expected is not None and one.expected < at.today:
            return Said("missing", "overdue")
        case "shipped":
            return Said("expected", "in-transit", one.expected, (plus(one.expected, 1),) if one.expected else ())
        case "received" if one.condition in ("", GOOD):
            return Said("accepted")
        case "received":
            return Said("not-acceptable", "unreadable" if item.kind == "imaging" else "insufficient")
        case "returned":
            done = reviewed if one.after_review is None else one.after_review
            return Said("accepted") if done else Said("missing", "returned")
    return Said("missing", "lost")


def refusal(before: Json | None, after: Json) -> str:
    """Why a custody Task may not be written so, "" when it may or is none. before: the version it replaces, None for a new one."""
    if (TASK_CODES, "custody") not in codings(after.get("code")) or text(after, "status") in VOID:
        return ""
    now, was = _state(after), _state(before or {})
    if not now:
        return f"Task.businessStatus says what happened to the thing: one of {', '.join(TASK_STATUS)}"
    if text(after, "status") not in {TASK_STATUS[now], *(("completed",) if now == "received" else ())}:
        return f"Task.status {text(after, 'status')} does not go with {now}"
    return "" if now in (was, *NEXT[was]) else impossible(now, [was] if was else [])


def impossible(state: str, held: Sequence[CustodyState]) -> str:
    """That it can't have happened, and what can. held: where the consignments are that it may be said of."""
    possible = {after for one in held for after in NEXT[one]} if held else {*NEXT[""]}
    return f"{state} can't be: the thing is {', '.join(held) or 'not announced'}; possible now: {', '.join(sorted(possible)) or 'nothing'}"


def must_return(item: Requirement) -> bool:
    """Whether the thing belongs to somebody who wants it back."""
    return any(e.get("url") == MUST_RETURN and e.get("valueBoolean") is True for e in walk(item.action, "extension") if isinstance(e, dict))


def physical(item: Requirement) -> bool:
    """Whether there is a thing to have custody of."""
    return item.kind in PHYSICAL or must_return(item)


def begun(case_task: Json, item: str, now: datetime) -> Json:
    """A custody Task of an item, before anything was said of it."""
    return child(case_task, "custody", now) | {"input": [_named(TASK_CODES, "item", valueString=item)]}


def moved(task: Json, state: CustodyState, said: Details, *, now: datetime, who: str, reviewed: bool, back: bool) -> Json:
    """The custody Task after something happened to the consignment. who: whose word it is. reviewed: the review has begun. back: the thing must go back."""
    given = {"carrier": said.carrier or None, "tracking": said.tracking or None, "expected": said.expected, "containers": said.containers}
    stamp = now.isoformat(timespec="milliseconds")
    output = _without(task, "output", "condition" if said.condition else "")
    if said.condition:
        condition = {"coding": [{"system": CONDITIONS[said.condition], "code": said.condition}]}
        output.append(_named(SYSTEM, "condition", valueCodeableConcept=condition))
    if state == "returned":
        output.append(_named(SYSTEM, "after-review", valueBoolean=reviewed))
    changed = task | {
        "status": "completed" if state == "received" and not back else TASK_STATUS[state],
        "businessStatus": {"coding": [{"system": STATES, "code": state}]},
        "lastModified": stamp,
        "input": [*_without(task, "input", *(name for name, value in given.items() if value is not None)), *_inputs(given)],
        "note": [*walk(task, "note"), {"authorString": who or "clinic", "time": stamp, "text": state}],
    }
    return changed | ({"output": output} if output else {})


def _inputs(given: Mapping[str, Any]) -> list[Json]:
    kinds = {"carrier": "valueString", "tracking": "valueString", "expected": "valueDate", "containers": "valuePositiveInt"}
    plain = {name: value.isoformat() if isinstance(value, date) else value for name, value in given.items() if value is not None}
    return [_named(SYSTEM, name, **{kinds[name]: value}) for name, value in plain.items()]


def _without(task: Json, element: Literal["input", "output"], *names: str) -> list[Json]:
    """Inputs or outputs but those of our types that are said anew."""
    return [one for one in walk(task, element) if not any((SYSTEM, name) in codings(one.get("type")) for name in names)]


def _said(task: Json, element: str, system: str, name: str) -> Any:
    """The value of an input or output of that type, None when there is none."""
    for one in walk(task, element):
        if isinstance(one, dict) and (system, name) in codings(one.get("type")):
            return next((value for key, value in one.items() if key.startswith("value")), None)
    return None


def _state(task: Json) -> CustodyState | Literal[""]:
    """Where a consignment is, "" for a Task that is none or no more."""
    if (TASK_CODES, "custody") not in codings(task.get("code")) or text(task, "status") in VOID:
        return ""
    return next((cast(CustodyState, code) for system, code in codings(task.get("businessStatus")) if system == STATES and code in TASK_STATUS), "")


def _items(task: Json) -> list[str]:
    named = (one for one in walk(task, "input") if isinstance(one, dict) and (TASK_CODES, "item") in codings(one.get("type")))
    return [str(one["valueString"]) for one in named if "valueString" in one]


def _named(system: str, name: str, **value: Any) -> Json:
    return {"type": {"coding": [{"system": system, "code": name}]}, **value}
