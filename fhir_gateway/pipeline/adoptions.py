"""Records that came under another number find their case by themselves, whichever of the two arrives second, where nothing is left to doubt.

Nothing is moved: the two Patients are linked (`merging.join`), and the records follow. What is doubtful waits for staff (`orphans`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from fhir_gateway.cases.matching import match, numbers
from fhir_gateway.cases.model import Json
from fhir_gateway.events import event
from fhir_gateway.pipeline.merging import NEVER, join, parted
from fhir_gateway.store import Case, Stored, Transaction
from fhir_gateway.store.records import aspect

WHO = "Second Opinion Gateway: name, birth date and an identifier agree"


def adopt(tx: Transaction, written: Sequence[Stored], opened: Iterable[Stored], touched: Iterable[Case], at: datetime) -> list[Stored]:
    """Link the Patients of waiting records with the Patients of cases, where `matching` is certain and one person only can be meant; what was written.

    Asked about Patients that were written, those of new referrals (`opened`), and those of records that no case was touched by.
    """
    done: list[Stored] = []
    for identity in sorted(_concerned(tx, written, opened, touched)):
        held = tx.resources.read("Patient", identity)
        if held is None or held.deleted:
            continue
        mates = _mates(tx, held.id, held.resource)
        if not mates:
            continue
        homeless = [identity] if not tx.cases.for_patient([identity]) else [mate.id for mate in mates]
        for orphan in tx.identities.waiting(homeless):
            done += _home(tx, orphan, at)
    return done


def _concerned(tx: Transaction, written: Sequence[Stored], opened: Iterable[Stored], touched: Iterable[Case]) -> set[str]:
    cared_for = {patient for case in touched if case.patient_id for patient in tx.identities.person(case.patient_id)}
    about = {found.patient_id for stored in written if not stored.deleted and (found := aspect(stored.resource)) is not None}
    subjects = {found.patient_id for referral in opened if (found := aspect(referral.resource)) is not None}
    patients = {stored.id for stored in written if stored.type == "Patient" and not stored.deleted}
    return {identity for identity in (about - cared_for) | subjects | patients if identity is not None}


def _mates(tx: Transaction, identity: str, patient: Json) -> list[Stored]:
    """Other Patients that are certainly the same person and not yet linked. Who shares no number is not, which is the cheapest thing to see."""
    mine = numbers(patient).keys()
    alike = tx.identities.alike(patient) if mine else []
    found = [mate for mate in alike if mine & numbers(mate.resource).keys() and match(mate.resource, patient).certain]
    return [mate for mate in found if mate.id not in tx.identities.person(identity)] if found else []


def _home(tx: Transaction, orphan: str, at: datetime) -> list[Stored]:
    """Link a Patient with the one person of a case that it certainly is. Two such persons are for staff to tell apart."""
    held = tx.resources.read("Patient", orphan)
    if held is None or held.deleted or tx.cases.for_patient([orphan]):
        return []
    mates = [mate.id for mate in _mates(tx, orphan, held.resource) if not parted(tx, mate.id, orphan)]
    cases = {case.patient_id: case for case in tx.cases.for_patient(mates)} if mates else {}
    homes = [mate for mate in mates if tx.identities.person(mate) & cases.keys()]
    if len({tx.identities.person(mate) for mate in homes}) != 1:
        return []
    first = next((mate for mate in homes if mate in cases), homes[0])
    case = next(case for patient, case in cases.items() if patient in tx.identities.person(first))
    written = join(tx, first, orphan, active=True, who=WHO, now=at, clock=NEVER)
    tx.audit.append("attach", "Patient", orphan, detail=f"ServiceRequest/{case.service_request_id} certain")
    event("orphan-attached", patient=orphan, case=case.service_request_id, how="certain")
    return written
