"""From the store to what the case rules are told: one case with its records, now or as of another moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.docket import BOOKED
from fhir_gateway.cases.model import CaseFile, Record
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.cases import Case, CaseRecord

Json = dict[str, Any]

ENDED: Final = frozenset({"cancelled", "noshow", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Held:
    """A case as held: the rules' view of it, and the stored Task it is moved by."""

    file: CaseFile
    task: Stored | None
    appointment: Stored | None


def assemble(tx: Transaction, case: Case, as_of: datetime | None = None) -> Held | None:
    """Everything the rules want to know about a case; None when the referral did not exist (then)."""
    referral = _one(tx, "ServiceRequest", case.service_request_id, as_of)
    if referral is None:
        return None
    rows = tx.cases.records_of(case, as_of=as_of) if as_of else tx.cases.records_of(case)
    task = _one(tx, "Task", case.task_id, as_of) if case.task_id else None
    patient = _one(tx, "Patient", case.patient_id, as_of) if case.patient_id else None
    appointment = current_appointment(rows)
    others = _other_patients(tx, case, rows)
    records = tuple(_record(row, case, others) for row in rows if row.stored.type != "Appointment")
    file = CaseFile(
        referral=referral.resource,
        patient=patient.resource if patient else {"resourceType": "Patient"},
        task=task.resource if task else None,
        records=records,
        appointment=appointment.resource if appointment else None,
        source=referral.inbox_id,
    )
    return Held(file, task, appointment)


def current_appointment(rows: Sequence[CaseRecord]) -> Stored | None:
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


def _status(appointment: Stored) -> str:
    return str(appointment.resource.get("status", ""))


def _one(tx: Transaction, type: str, identity: str, as_of: datetime | None) -> Stored | None:
    if as_of is not None:
        return tx.resources.as_of(type, [identity], as_of).get(identity)
    stored = tx.resources.read(type, identity)
    return None if stored is None or stored.deleted else stored


def _other_patients(tx: Transaction, case: Case, rows: Sequence[CaseRecord]) -> dict[str, Json]:
    """Patients, other than the case's, that records linked by a referral number are about: their identity must be compared."""
    wanted = {f"Patient/{row.patient_id}" for row in rows if row.patient_id and row.patient_id != case.patient_id}
    return {reference: stored.resource for reference, stored in tx.resources.read_many(sorted(wanted)).items()}


def _record(row: CaseRecord, case: Case, others: dict[str, Json]) -> Record:
    stored = row.stored
    stranger = row.patient_id is not None and row.patient_id != case.patient_id
    return Record(
        reference=stored.reference,
        resource=stored.resource,
        received_at=row.received_at,
        link=row.link,
        source=stored.inbox_id,
        sender=stored.owner,
        patient=others.get(f"Patient/{row.patient_id}", {"resourceType": "Patient"}) if stranger else None,
    )
