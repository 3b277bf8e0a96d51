"""From the store to what the case rules are told: one case with its records, now or as of another moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_gateway.cases import machine
from fhir_gateway.cases.docket import BOOKED
from fhir_gateway.cases.linkage import whole
from fhir_gateway.cases.model import CaseFile, Record
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.attachment import RecordOf
from fhir_gateway.store.cases import Case
from fhir_gateway.store.records import aspect

Json = dict[str, Any]

CLOSED: Final = frozenset({"opinion-issued", "declined", "cancelled", "expired", "entered-in-error"})
UNDECIDED: Final = frozenset({"received", "awaiting-information", "returned-incomplete"})
ENDED: Final = frozenset({"cancelled", "noshow", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Held:
    """A case as held: the rules' view of it, and the stored resources it is moved by."""

    file: CaseFile
    task: Stored | None
    appointment: Stored | None
    referral: Stored


def assemble(tx: Transaction, case: Case, as_of: datetime | None = None) -> Held | None:
    """Everything the rules want to know about a case; None when the referral did not exist (then)."""
    referral = _one(tx, "ServiceRequest", case.service_request_id, as_of)
    if referral is None:
        return None
    rows = tx.cases.records_of(case, as_of)
    task = _one(tx, "Task", case.task_id, as_of) if case.task_id else None
    people = tx.identities.person(case.patient_id, as_of) if case.patient_id else frozenset[str]()
    patient = _person(tx, case.patient_id, people, as_of) if case.patient_id else None
    appointment = current_appointment(rows)
    others = _other_patients(tx, people, rows)
    records = tuple(_record(row, people, others) for row in rows if row.stored.type != "Appointment")
    file = CaseFile(
        referral=referral.resource,
        patient=patient or {"resourceType": "Patient"},
        task=task.resource if task else None,
        records=records,
        appointment=appointment.resource if appointment else None,
        tasks=tuple(stored.resource for stored in tx.cases.tasks_of(case, as_of)),
        source=referral.inbox_id,
    )
    return Held(file, task, appointment, referral)


def current_appointment(rows: Sequence[RecordOf]) -> Stored | None:
    """The appointment that counts: one that names the referral before one of the patient; a live one before an ended one; the latest word on it."""
    held = [row for row in rows if row.stored.type == "Appointment"]
    held.sort(key=lambda row: (row.link == "referral", _status(row.stored) not in ENDED, row.stored.clock, row.stored.last_updated))
    return held[-1].stored if held else None


def appointment_event(appointment: Stored | None, state: str, start_before: str | None) -> str | None:
    """The workflow event an appointment calls for in this state, None when there is none."""
    if appointment is None:
        return None
    status = _status(appointment)
    if status == "noshow":
        return "no-show" if state == "scheduled" else None
    if status in ENDED:
        return "appointment-cancelled" if state == "scheduled" else None
    if status not in BOOKED:
        return None
    if state == "scheduled":
        return "appointment-moved" if start_before and appointment.resource.get("start") != start_before else None
    return "appointment-booked"


def withdrawal_event(referral: Json, state: str) -> str | None:
    """What a referral that its placer has withdrawn asks of a case in this state: the end before work began, afterwards a request to the clinic."""
    status = referral.get("status")
    if status == "entered-in-error":
        return "void" if (state, "void") in machine.TABLE else None
    if status != "revoked" or state in CLOSED:
        return None
    return next((event for event in machine.WITHDRAWN["revoked"] if (state, event) in machine.TABLE), None)


def expiry(task: Stored, days: int) -> datetime | None:
    """When a referral nobody has accepted expires by itself, counted from when its case was last moved; None when it does not."""
    return task.last_updated + timedelta(days=days) if days and machine.state_of(task.resource) in UNDECIDED else None


def resubmission_event(referral: Stored, task: Stored, state: str) -> str | None:
    """`resubmit` when the sender told the referral anew after the clinic's decision; what was on its way before that asks for nothing."""
    if referral.resource.get("status") != "active" or referral.inbox_id is None or (state, "resubmit") not in machine.TABLE:
        return None
    told = referral.clock.message
    stale = bool(told) and told <= f"{task.last_updated:%Y%m%d%H%M%S%f}"
    return "resubmit" if referral.last_updated > task.last_updated and not stale else None


def _status(appointment: Stored) -> str:
    return str(appointment.resource.get("status", ""))


def _one(tx: Transaction, type: str, identity: str, as_of: datetime | None) -> Stored | None:
    if as_of is not None:
        return tx.resources.as_of(type, [identity], as_of).get(identity)
    stored = tx.resources.read(type, identity)
    return None if stored is None or stored.deleted else stored


def _person(tx: Transaction, identity: str, people: frozenset[str], as_of: datetime | None) -> Json | None:
    """The case's patient as one person: the case follows the survivor of a merge, and every linked Patient lends its numbers."""
    if len(people) == 1:
        alone = _one(tx, "Patient", identity, as_of)
        return alone.resource if alone else None
    if as_of is None:
        held = {stored.id: stored.resource for stored in tx.resources.read_many([f"Patient/{id}" for id in sorted(people)]).values()}
    else:
        held = {id: stored.resource for id, stored in tx.resources.as_of("Patient", sorted(people), as_of).items()}
    return whole(identity, held)


def _other_patients(tx: Transaction, people: frozenset[str], rows: Sequence[RecordOf]) -> dict[str, Json]:
    """Patients, other than the case's, that records linked by a referral number are about: their identity must be compared."""
    wanted = {f"Patient/{patient}" for row in rows if (patient := _patient(row)) and patient not in people}
    return {reference: stored.resource for reference, stored in tx.resources.read_many(sorted(wanted)).items()}


def _patient(row: RecordOf) -> str | None:
    found = aspect(row.stored.resource)
    return found.patient_id if found else None


def _record(row: RecordOf, people: frozenset[str], others: dict[str, Json]) -> Record:
    stored, patient = row.stored, _patient(row)
    return Record(
        reference=stored.reference,
        resource=stored.resource,
        received_at=row.received_at,
        link=row.link,
        source=stored.inbox_id,
        sender=stored.owner,
        patient=others.get(f"Patient/{patient}", {"resourceType": "Patient"}) if patient and patient not in people else None,
    )
