"""What makes a resource a record of a case, and the rows that say which patient it is about and which referrals it names.

Attachment to cases is never stored: a case's records follow from these rows and the case's keys alone, so the order of arrival cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, exists, or_, select, update

from fhir_gateway.store import identities, orphans, tables
from fhir_gateway.store.links import Link, record_links
from fhir_gateway.store.search.expression import Getter, compile_expression
from fhir_gateway.store.search.references import local
from fhir_gateway.store.stored import Json
from fhir_gateway.store.work import Begun, Work, Written

# type → where its patient is, where it names the referral it is for ("": it names none).
# Elements are those of FHIR R4; basedOn, request and context.related may also hold the referral's identifier only.
RECORDS: Final[dict[str, tuple[str, str]]] = {
    "AllergyIntolerance": ("AllergyIntolerance.patient", ""),
    "Appointment": ("Appointment.participant.actor.where(resolve() is Patient)", "Appointment.basedOn"),
    "CarePlan": ("CarePlan.subject", "CarePlan.basedOn"),
    "Claim": ("Claim.patient", "Claim.referral"),
    "ClaimResponse": ("ClaimResponse.patient", ""),
    "Communication": ("Communication.subject", "Communication.basedOn | Communication.about"),
    "Condition": ("Condition.subject", ""),
    "Consent": ("Consent.patient", ""),
    "Coverage": ("Coverage.beneficiary", ""),
    "CoverageEligibilityResponse": ("CoverageEligibilityResponse.patient", ""),
    "DiagnosticReport": ("DiagnosticReport.subject", "DiagnosticReport.basedOn"),
    "DocumentReference": ("DocumentReference.subject", "DocumentReference.context.related"),
    "FamilyMemberHistory": ("FamilyMemberHistory.patient", ""),
    "ImagingStudy": ("ImagingStudy.subject", "ImagingStudy.basedOn"),
    "List": ("List.subject", ""),
    "Media": ("Media.subject", "Media.basedOn"),
    "MedicationRequest": ("MedicationRequest.subject", "MedicationRequest.basedOn"),
    "MedicationStatement": ("MedicationStatement.subject", "MedicationStatement.basedOn"),
    "Observation": ("Observation.subject", "Observation.basedOn"),
    "Procedure": ("Procedure.subject", "Procedure.basedOn"),
    "QuestionnaireResponse": ("QuestionnaireResponse.subject", "QuestionnaireResponse.basedOn"),
    # An order that is nobody's referral; referrals themselves are left out when a case is read.
    "ServiceRequest": ("ServiceRequest.subject", "ServiceRequest.basedOn | ServiceRequest.requisition"),
    "Specimen": ("Specimen.subject", "Specimen.request"),
}


def _nothing(_resource: Any) -> list[Any]:
    return []


_GETTERS: Final[dict[str, tuple[Getter, Getter]]] = {
    type: (compile_expression(patient), compile_expression(links) if links else _nothing) for type, (patient, links) in RECORDS.items()
}
_T: Final = tables.record
_L: Final = tables.record_link
_CURRENT: Final = select(_T.c.pk, _T.c.resource, _T.c.patient_id, _T.c.expired).where(
    _T.c.resource.in_(bindparam("resources", expanding=True)), _T.c.until.is_(None)
)
_LINKS: Final = select(_L.c.record, _L.c.key, _L.c.strong).where(_L.c.record.in_(bindparam("records", expanding=True)))
_CLOSE: Final = update(_T).where(_T.c.pk == bindparam("record_pk")).values(until=bindparam("moment", type_=_T.c.until.type))
_REVIVE: Final = update(_T).where(_T.c.pk == bindparam("record_pk")).values(expired=None)
_TAKEN: Final = or_(
    exists().where(tables.case.c.patient_id == _T.c.patient_id),
    exists().where(and_(_L.c.record == _T.c.pk, tables.case_key.c.key == _L.c.key)),
)
_TAKE_IN: Final = update(_T).where(_T.c.pk.in_(bindparam("records", expanding=True)), _TAKEN).values(orphan=False)


@dataclass(frozen=True, slots=True)
class Aspect:
    """What a record says about where it belongs."""

    patient_id: str | None
    links: frozenset[Link]


def aspect(resource: Json) -> Aspect | None:
    """The patient and the referrals a resource names; None when it is no record."""
    getters = _GETTERS.get(resource["resourceType"])
    if getters is None:
        return None
    patients = (local(str(reference.get("reference"))) for reference in getters[0](resource) if isinstance(reference, dict))
    patient = next((found[1] for found in patients if found and found[0] == "Patient"), None)
    return Aspect(patient, record_links(getters[1](resource)))


def lock_names(found: Aspect) -> list[str]:
    """What a transaction holds while it writes such a record or opens a case, so that a record and its case that arrive at once see each other."""
    return [*([f"patient:{found.patient_id}"] if found.patient_id else []), *(f"referral:{link.key}" for link in found.links)]


class RecordProjection:
    """The record rows of the resources written."""

    def write(self, work: Work, written: Sequence[Written]) -> None:
        """See Projection. An unchanged aspect keeps its row, a changed one ends it and begins another; a new version waits again."""
        records = [one for one in {one.pk: one for one in written}.values() if one.stored.type in RECORDS]
        if not records:
            return
        wanted = {one.pk: None if one.stored.deleted else aspect(one.stored.resource) for one in records}
        work.lock(name for found in wanted.values() if found for name in lock_names(found))
        identities.hold(work, {found.patient_id for found in wanted.values() if found and found.patient_id})
        held = _held(work, [one.pk for one in records if not one.created])
        begun: list[tuple[Written, Aspect]] = []
        for one in records:
            now = one.stored.last_updated
            row, found = held.get(one.pk), wanted[one.pk]
            if row is not None and row[1] != found:
                work.execute(_CLOSE, {"record_pk": row[0], "moment": now})
            elif row is not None and row[2]:
                work.execute(_REVIVE, {"record_pk": row[0]})
            if found is not None and (row is None or row[1] != found):
                begun.append((one, found))
            work.begun.pop((one.stored.type, one.stored.id), None)
        rows = [_row(one, found.patient_id, one.stored.last_updated) for one, found in begun]
        keys = insert_records(work, rows, {one.pk: found.links for one, found in begun})
        for one, found in begun:
            if one.created:
                work.begun[one.stored.type, one.stored.id] = Begun(keys[one.pk], found.patient_id, bool(found.links))


def insert_records(work: Work, rows: Sequence[dict[str, Any]], links: dict[int, frozenset[Link]]) -> dict[int, int]:
    """Begin these record rows (one per resource), with the links of each by resource, and take in those that a case is open for. The rows by resource."""
    if not rows:
        return {}
    returned = work.execute(work.known("new records", lambda: work.insert(_T).returning(_T.c.pk, _T.c.resource)), rows)
    keys = {row.resource: row.pk for row in returned}
    link_rows = [{"record": keys[pk], "key": link.key, "strong": link.strong} for pk, of in links.items() for link in of]
    if link_rows:
        work.execute(_L.insert(), link_rows)
    if placed := [keys[row["resource"]] for row in rows if row["patient_id"] or links.get(row["resource"])]:
        work.execute(_TAKE_IN, {"records": placed})
    people = identities.persons(work, [row["patient_id"] for row in rows if row["patient_id"]])
    for whole in {whole for whole in people.values() if len(whole) > 1}:
        orphans.settle(work, whole)
    return keys


def _held(work: Work, resources: list[int]) -> dict[int, tuple[int, Aspect, bool]]:
    """By resource: the current row of each of these records, what it says, and whether it was given up."""
    rows = work.execute(_CURRENT, {"resources": resources}).all() if resources else ()
    if not rows:
        return {}
    links: dict[int, set[Link]] = {}
    for row in work.execute(_LINKS, {"records": [row.pk for row in rows]}):
        links.setdefault(row.record, set()).add(Link(row.key, row.strong))
    return {row.resource: (row.pk, Aspect(row.patient_id, frozenset(links.get(row.pk, ()))), row.expired is not None) for row in rows}


def _row(one: Written, patient_id: str | None, since: datetime) -> dict[str, Any]:
    return {
        "resource": one.pk,
        "patient_id": patient_id,
        "since": since,
        "until": None,
        "orphan": True,
    }
