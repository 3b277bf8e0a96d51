"""Asking for what a case lacks, and following it up: requests made by policy, closed when answered, queued for delivery and for reminders.

Everything here is part of the transaction that makes it necessary. What is queued has a name of its own, so that nothing is asked or reminded twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from fhir_gateway.cases import actions, chase
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.requirement import Checklist
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction

Json = dict[str, Any]

# Policy → case states in which what is missing is asked for without a person doing it.
_WORKING: Final = frozenset({"accepted", "collecting", "records-complete", "scheduled", "no-show", "appt-cancelled"})
POLICIES: Final = {"by-hand": frozenset[str](), "on-acceptance": _WORKING, "on-receipt": _WORKING | {"received", "awaiting-information"}}


def make_requests(
    tx: Transaction,
    case_task: Stored,
    items: Iterable[Json],
    checklist: Checklist,
    held: Sequence[Json],
    at: datetime,
    settings: Settings,
    due: date | None,
) -> list[Stored]:
    """One Task per item not asked for yet, and one per open question. held: the case's child Tasks. due: overrules the items' own dates. What can't be sent to
    the referrer by a machine is marked for the letter.
    """
    by_id = {requirement.id: requirement for requirement in checklist.items}
    asked = set(chase.asked(held))
    partner = tx.partners.get(case_task.owner) if case_task.owner else None
    asks_itself = partner is not None and partner.asked_by_machine
    made: list[Stored] = []
    for item in items:
        question = item["question"] if item.get("reason") == chase.UNKNOWN else None
        name = question or item["id"]
        if name in asked:
            continue
        asked.add(name)
        until = due or _due(item, at, settings)
        if question:
            wording = checklist.questions.get(question, item["title"])
            wanted = actions.question_request(case_task.resource, question, wording, checklist.canonical, now=at, due=until)
        else:
            wanted = actions.record_request(case_task.resource, by_id[item["id"]], now=at, due=until)
        made.append(tx.resources.create(wanted if asks_itself else actions.by_letter(wanted)))
    return made


def _due(item: Json, at: datetime, settings: Settings) -> date:
    """The item's own date while that is ahead, else some days from now."""
    usual = (at + timedelta(days=settings.request_days)).astimezone(settings.zone).date()
    own = date.fromisoformat(item["due"]) if item.get("due") else None
    return own if own and own >= at.astimezone(settings.zone).date() else usual


def by_policy(tx: Transaction, one: Judged, checklist: Checklist, at: datetime, settings: Settings) -> bool:
    """Ask for what the case lacks when the clinic's policy says so; was anything asked?"""
    if one.task is None or one.after["case"]["state"] not in POLICIES[settings.chase]:
        return False
    clinic = tx.on_behalf_of(Principal("gateway", one.task.owner))
    # A record the referrer said it can't supply is not asked for again by a machine.
    wanted = [item for item in chase.lacking(one.after) if item["state"] != "declined"]
    return bool(make_requests(clinic, one.task, wanted, checklist, one.file.tasks, at, settings, None))


def close_answered(tx: Transaction, one: Judged, at: datetime) -> None:
    """End the requests whose records have come."""
    for task in one.file.tasks:
        done = chase.answered(task, one.after, at)
        if done is not None and one.task is not None:
            tx.on_behalf_of(Principal("gateway", one.task.owner)).resources.update(done)


def queue_requests(tx: Transaction, at: datetime, settings: Settings) -> None:
    """Queue what this transaction asks for, one delivery per case, and the reminders of each request."""
    by_case: dict[str, list[Stored]] = {}
    for stored in tx.written():
        if stored.type == "Task" and stored.version == 1 and not stored.deleted and chase.is_request(stored.resource):
            parent = next(iter(walk(stored.resource, "partOf.reference")), None)
            if stored.resource.get("status") == "requested" and parent:
                by_case.setdefault(str(parent), []).append(stored)
    for parent, tasks in by_case.items():
        case = tx.on_behalf_of(GATEWAY).cases.get(parent)
        if case is None:
            continue
        names = [task.id for task in tasks]
        tx.outbox.put(
            "request",
            f"request/{names[0]}/0",
            {"case": case.service_request_id, "tasks": names, "reminder": 0},
            lane=f"case/{case.service_request_id}",
        )
        for task in tasks:
            _queue_reminders(tx, task, case.service_request_id, at, settings)


def _queue_reminders(tx: Transaction, task: Stored, case: str, at: datetime, settings: Settings) -> None:
    for number, days in enumerate(settings.reminders, 1):
        tx.outbox.put("remind", f"remind/{task.id}/{number}", {"case": case, "task": task.id, "number": number}, at + timedelta(days=days))
    until = chase.wanted_by(task.resource)
    if until:
        late = datetime.combine(date.fromisoformat(until), datetime.min.time(), settings.zone) + timedelta(days=settings.escalate_days + 1)
        tx.outbox.put("escalate", f"escalate/{task.id}", {"case": case, "task": task.id}, late)


def follow_up(tx: Transaction, kind: str, payload: Json, at: datetime) -> Stored | None:
    """A reminder or an escalation whose time has come: the Task as it is now, None when it has been answered or its case is over."""
    staff = tx.on_behalf_of(GATEWAY)
    task = staff.resources.read("Task", payload["task"])
    case = staff.cases.get(f"ServiceRequest/{payload['case']}")
    if task is None or task.deleted or case is None or case.closed:
        return None
    marked = chase.reminded(task.resource, at) if kind == "remind" else chase.escalated(task.resource, at)
    if marked is None:
        return None
    stored = tx.on_behalf_of(Principal("gateway", task.owner)).resources.update(marked)
    if kind == "remind":
        number = payload["number"]
        tx.outbox.put(
            "request",
            f"request/{task.id}/{number}",
            {"case": payload["case"], "tasks": [task.id], "reminder": number},
            lane=f"case/{payload['case']}",
        )
    return stored
