"""What goes to a partner's FHIR server: requests for records as CDex Tasks, and the opinion's consultation note.

Requests go by HL7 v2 where a partner has no FHIR server; who has neither polls, or gets the letter.
"""

from __future__ import annotations

from typing import Any, Final

from fhir_gateway.cases import chase
from fhir_gateway.pipeline import telling
from fhir_gateway.pipeline.delivery import Delivery
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.settings import Settings
from fhir_gateway.store import Job, Partner, Stored, Transaction
from fhir_gateway.validation import encode, shapes

Json = dict[str, Any]
FHIR_JSON: Final = "application/fhir+json; charset=utf-8"


def record_requests(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """What to send for these requests: those still open, by the best way the referrer has."""
    case = tx.cases.get(f"ServiceRequest/{job.payload['case']}")
    partner = tx.partners.get(case.owner) if case is not None and case.owner else None
    if case is None or case.closed or partner is None:
        return []
    stored = tx.resources.read_many([f"Task/{task}" for task in job.payload["tasks"]])
    tasks = [task for task in stored.values() if task.resource.get("status") in chase.OPEN_REQUEST]
    if partner.fhir_base:
        return [_task(task, partner, job, settings) for task in tasks]
    return telling.requests(tx, job, tasks, case, partner, settings) if tasks else []


def opinion(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """The consultation note as a transaction that makes it once. Nothing where it may not be returned."""
    case = tx.cases.get(f"ServiceRequest/{job.payload['case']}")
    partner = tx.partners.get(case.owner) if case is not None and case.owner else None
    task = tx.resources.read("Task", case.task_id) if case is not None and case.task_id else None
    if case is None or partner is None or task is None or not partner.fhir_base:
        return []
    note = telling.returned_note(tx, case, task.resource)
    if note is None:
        return []
    copy = rewritten({key: value for key, value in note.items() if key not in ("id", "meta")}, lambda text: _absolute(text, settings.fhir_base))
    name = note["masterIdentifier"]
    request = {"method": "POST", "url": "DocumentReference", "ifNoneExist": f"identifier={name['system']}|{name['value']}"}
    entry = {"fullUrl": name["value"], "resource": copy, "request": request}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    return [Delivery("http", partner.fhir_base, encode(bundle), {"Content-Type": FHIR_JSON})]


def _task(task: Stored, partner: Partner, job: Job, settings: Settings) -> Delivery:
    """A copy with absolute references; conditional, so that a repeat makes no second one. A reminder is a Task of its own."""
    name = f"{task.id}-{job.payload['reminder']}" if job.payload["reminder"] else task.id
    copy = {key: value for key, value in task.resource.items() if key not in ("id", "meta", "partOf", "text")}
    copy = rewritten(copy, lambda text: _absolute(text, settings.fhir_base))
    meta = {key: value for key, value in (task.resource.get("meta") or {}).items() if key in ("profile", "tag", "security")}
    copy["identifier"] = [*copy.get("identifier", ()), {"system": telling.TASK_IDS, "value": name}]
    copy["basedOn"] = [*copy.get("basedOn", ()), {"reference": f"{settings.fhir_base}/Task/{task.id}"}]
    headers = {"Content-Type": FHIR_JSON, "If-None-Exist": f"identifier={telling.TASK_IDS}|{name}"}
    return Delivery("http", f"{partner.fhir_base.rstrip('/')}/Task", encode({**copy, **({"meta": meta} if meta else {})}), headers)


def _absolute(text: str, base: str) -> str | None:
    type, slash, rest = text.partition("/")
    return f"{base}/{text}" if slash and rest and shapes.known(type) else None
