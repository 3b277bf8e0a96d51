"""Chasing what is missing: what to ask whom, when an open request is answered, when to remind and when to give it to a person. Pure.

A request is a CDex Task `partOf` the coordination Task (`actions.record_request`, `actions.question_request`). It ends when its record is accepted (or
waived, or no longer applies), when its question is settled, or when the referrer says that it can't be supplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from fhir_gateway.cases.decisions import CDEX, TASK_CODES
from fhir_gateway.cases.evidence import codings, text, walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

REQUEST_STATES: Final = canonical("CodeSystem", "request-state")
ASKABLE: Final = ("missing", "not-acceptable", "expiring", "declined")
OPEN_REQUEST: Final = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")
UNANSWERED: Final = ("requested", "received", "accepted", "ready")
SETTLED: Final = ("accepted", "waived", "not-applicable")
BY_CLINIC: Final = frozenset({"clinic", "payer"})
UNKNOWN: Final = "applicability-unknown"


def lacking(flat: Json) -> list[Json]:
    """The flat items to ask the referrer for: required, lacking, and not for the clinic or the payer alone to supply."""
    return [item for item in flat["items"] if item["state"] in ASKABLE and item["gapStatus"] != "not-applicable" and not ours(item)]


def ours(item: Json) -> bool:
    """What the clinic settles with the payer is the clinic's own work."""
    suppliers = set(item.get("suppliers") or ())
    return bool(suppliers) and suppliers <= BY_CLINIC


def is_request(task: Json) -> bool:
    """Is it a request for a record, or a question?"""
    return any((system == TASK_CODES and code in ("record-request", "question")) or code in CDEX for system, code in codings(task.get("code")))


def for_letter(task: Json) -> bool:
    """Is it an open request that only a printed letter delivers?"""
    tags = {(tag.get("system"), tag.get("code")) for tag in walk(task, "meta.tag") if isinstance(tag, dict)}
    return is_request(task) and task.get("status") in OPEN_REQUEST and (TASK_CODES, "letter") in tags


def letters(tasks: Iterable[Json]) -> list[Json]:
    """The letters to be printed, one per case, the most urgent first: `case`, what is `asked` for, and the first date it is `wantedBy`."""
    by_case: dict[str, list[Json]] = {}
    for task in filter(for_letter, tasks):
        by_case.setdefault(text(task, "focus.reference"), []).append(task)
    lines = [
        {"case": case, "asked": [name for task in held for name in named(task)], "wantedBy": min(filter(None, map(wanted_by, held)), default=None)}
        for case, held in by_case.items()
    ]
    return sorted(lines, key=lambda line: (str(line["wantedBy"] or "9999"), str(line["case"])))


def asked(tasks: Iterable[Json]) -> frozenset[str]:
    """Ids of the items and questions that open requests ask for."""
    return frozenset(name for task in tasks if is_request(task) and task.get("status") in OPEN_REQUEST for name in named(task))


def named(task: Json) -> Iterator[str]:
    """Ids of the items or the question a request asks for."""
    for one in walk(task, "input"):
        if isinstance(one, dict) and {"item", "question"} & {code for _, code in codings(one.get("type"))}:
            yield str(one.get("valueString", ""))


def answered(task: Json, flat: Json, now: datetime) -> Json | None:
    """The request completed, with what supplied it as output; None while anything it asks for is open."""
    if not is_request(task) or task.get("status") not in OPEN_REQUEST:
        return None
    wanted = set(named(task))
    items = [item for item in flat["items"] if item["id"] in wanted]
    still_asked = {item["question"] for item in flat["items"] if item.get("question")}
    if not wanted or wanted & still_asked or any(item["state"] not in SETTLED for item in items):
        return None
    supplied = dict.fromkeys(reference for item in items for reference in item.get("suppliedBy") or ())
    output = [{"type": {"coding": [{"system": TASK_CODES, "code": "record"}]}, "valueReference": {"reference": name}} for name in supplied]
    done = {key: value for key, value in task.items() if key != "businessStatus"} | {"status": "completed", "lastModified": _stamp(now)}
    return done | ({"output": output} if output else {})


def reminded(task: Json, now: datetime) -> Json | None:
    """The request with a reminder noted, None when it has been answered meanwhile (even by "it is on its way")."""
    return _marked(task, "reminded", now, "Reminder sent") if task.get("status") in UNANSWERED else None


def escalated(task: Json, now: datetime) -> Json | None:
    """The request handed to the clinic's staff because its due date has passed unanswered; None when it has been answered."""
    if task.get("status") not in UNANSWERED:
        return None
    return _marked(task, "escalated", now, "Not answered by its due date") | {"priority": "urgent"}


def wanted_by(task: Json) -> str:
    """The last day a request is useful, as sent; "" when none was named."""
    return text(task, "restriction.period.end")[:10]


def _marked(task: Json, state: str, now: datetime, note: str) -> Json:
    said = {"coding": [{"system": REQUEST_STATES, "code": state}]}
    notes = [*task.get("note", ()), {"time": _stamp(now), "text": note}]
    return task | {"businessStatus": said, "note": notes, "lastModified": _stamp(now)}


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
