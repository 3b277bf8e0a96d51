"""What people do to a case, as the Tasks that say so: ask for a record, do without one, judge one, give a reason for a move.

Each is a Task `partOf` the coordination Task, so a FHIR client can do the same by POSTing it; `decisions` reads them back. Pure.

Requests follow Da Vinci CDex (Task data request): one document per Task, `data-code`, `purpose-of-use`, `signature-flag`, the work queue tag, and
`restriction.period.end` as due date.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from fhir_gateway.cases.decisions import REASONS, TASK_CODES
from fhir_gateway.cases.machine import BY_NAME
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.referral import moved
from fhir_gateway.cases.requirement import Requirement

CDEX: Final = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp"
HREX: Final = "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp"
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PROFILE: Final = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-data-request"
# Work queue tag: more clinical information from the referring provider to support the requested service (CDex value set cdex-work-queue).
QUEUE: Final = {"system": CDEX, "code": "referral"}

# Tag of a request that no machine delivers: somebody prints the letter.
LETTER: Final = {"system": TASK_CODES, "code": "letter"}


def record_request(case_task: Json, item: Requirement, *, now: datetime, due: date, signature: bool = False, purpose: str = "TREAT") -> Json:
    """Ask the referrer for one record. case_task: the coordination Task. due: last day it is useful."""
    wanted = [{"type": _concept(HREX, "data-code"), "valueCodeableConcept": {"coding": [dict(code)]}} for code in item.codes[:1]]
    return child(case_task, "record-request", now) | {
        "meta": {"profile": [PROFILE], "tag": [QUEUE]},
        "status": "requested",
        "code": {"coding": [{"system": TASK_CODES, "code": "record-request"}, {"system": CDEX, "code": "data-request-code"}], "text": item.title},
        "owner": case_task.get("requester") or {"display": ", ".join(item.supplied_by) or "referring provider"},
        "requester": case_task.get("owner") or {"display": "clinic"},
        "restriction": {"period": {"end": due.isoformat()}},
        "input": [
            {"type": _concept(TASK_CODES, "item"), "valueString": item.id},
            *wanted,
            {"type": _concept(CDEX, "purpose-of-use"), "valueCodeableConcept": _concept(ACT_REASON, purpose)},
            {"type": _concept(CDEX, "signature-flag"), "valueBoolean": signature},
        ],
    }


def question_request(case_task: Json, question: str, wording: str, checklist: str, *, now: datetime, due: date) -> Json:
    """Ask the referrer what decides whether a record is required. checklist: `url|version` whose Questionnaire asks it under this linkId."""
    return child(case_task, "question", now) | {
        "meta": {"tag": [QUEUE]},
        "status": "requested",
        "code": {"coding": [{"system": TASK_CODES, "code": "question"}, {"system": CDEX, "code": "data-request-questionnaire"}], "text": wording},
        "description": wording,
        "owner": case_task.get("requester") or {"display": "referring provider"},
        "requester": case_task.get("owner") or {"display": "clinic"},
        "restriction": {"period": {"end": due.isoformat()}},
        "input": [
            {"type": _concept(TASK_CODES, "question"), "valueString": question},
            {"type": _concept(CDEX, "questionnaire"), "valueCanonical": checklist.replace(":PlanDefinition:", ":Questionnaire:", 1)},
        ],
    }


def by_letter(request: Json) -> Json:
    """The request of a referrer that no machine can tell."""
    meta = request["meta"]
    return request | {"meta": meta | {"tag": [*meta["tag"], LETTER]}}


def waiver(case_task: Json, item: str, *, now: datetime, who: str, why: str, until: date | None = None) -> Json:
    """The clinic does without one record. who and why are kept with it; until: last day it holds."""
    made = child(case_task, "item-waiver", now) | {
        "status": "completed",
        "statusReason": {"text": why},
        "input": [{"type": _concept(TASK_CODES, "item"), "valueString": item}],
        "note": [{"authorString": who, "time": _stamp(now), "text": why}],
    }
    return made | ({"restriction": {"period": {"end": until.isoformat()}}} if until else {})


def judgement(case_task: Json, record: str, verdict: str, *, now: datetime, who: str, item: str = "", why: str = "") -> Json:
    """A person looked at a record: `confirmed`, or the reason it will not do (CodeSystem item-reason). item: only for that one."""
    made = child(case_task, "record-judgement", now) | {
        "status": "completed",
        "businessStatus": _concept(REASONS, verdict),
        "focus": {"reference": record},
        "note": [{"authorString": who, "time": _stamp(now), "text": why or verdict}],
    }
    return made | ({"input": [{"type": _concept(TASK_CODES, "item"), "valueString": item}]} if item else {})


def moved_because(case_task: Json, state: str, now: datetime, why: str) -> Json:
    """The coordination Task in another state, with the reason a person gave; an earlier reason does not outlive its state."""
    changed = moved(case_task, state, now)
    changed.pop("statusReason", None)
    return changed | ({"statusReason": {"text": why}} if why else {})


def confirmed(case_task: Json, now: datetime) -> Json:
    """The clinic settles that a second opinion is asked for, where the referral itself did not say so (table 0336 `S`)."""
    settled = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0336", "code": "S", "display": "Second Opinion"}]}
    return case_task | {"reasonCode": settled, "lastModified": _stamp(now)}


def request_status(state: str, current: str) -> str:
    """ServiceRequest.status that goes with a case state. A declined request stays the placer's to revoke (COW: only the placer changes it)."""
    return current if state == "declined" else BY_NAME[state].request


def child(case_task: Json, code: str, now: datetime) -> Json:
    """A Task of one of our kinds (CodeSystem task-code), part of the coordination Task."""
    made: Json = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": _concept(TASK_CODES, code),
        "partOf": [{"reference": f"Task/{case_task['id']}"}],
        "authoredOn": _stamp(now),
        "lastModified": _stamp(now),
    }
    for element in ("for", "focus"):
        if element in case_task:
            made[element] = case_task[element]
    return made


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
