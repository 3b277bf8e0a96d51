"""The characters of the case stories: one synthetic patient, her referral, and the records that reach the clinic.

`Case` plays a case the way the pipeline does: it holds what has arrived and asks the rules at a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from fhir_gateway.cases.checklist import compile_checklist
from fhir_gateway.cases.completeness import evaluate
from fhir_gateway.cases.decisions import REASONS, TASK_CODES
from fhir_gateway.cases.model import CaseFile, Evaluation, Judgement, Moment, Policy, Record
from fhir_gateway.cases.requirement import Checklist
from profiles.plandefinitions import load

Json = dict[str, Any]
LOINC, DICOM, ICD10CM = "http://loinc.org", "http://dicom.nema.org/resources/ontology/DCM", "http://hl7.org/fhir/sid/icd-10-cm"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
CLINIC_ZONE = ZoneInfo("America/New_York")
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "ines",
    "identifier": [{"system": "urn:oid:2.16.840.1.113883.19.5.1", "value": "MRN-554321"}, {"system": "urn:example:members", "value": "M-77"}],
    "name": [{"family": "Marlowe", "given": ["Ines"]}],
    "birthDate": "1971-03-14",
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
}
REFERRAL: Json = {
    "resourceType": "ServiceRequest",
    "id": "ref",
    "status": "active",
    "intent": "order",
    "identifier": [{"system": "urn:example:northside", "value": "REF-2026-0417"}],
    "subject": {"reference": "Patient/ines"},
    "requester": {"reference": "Organization/northside", "display": "Northside Breast Center"},
    "reasonCode": [{"coding": [{"system": ICD10CM, "code": "C50.411"}], "text": "Is mastectomy needed?"}],
}


@cache
def plans() -> dict[str, Json]:
    """The shipped plans."""
    return load()


@cache
def checklist(name: str = "breast") -> Checklist:
    """One shipped checklist, compiled."""
    return compile_checklist(plans()[name], None if name == "base" else plans()["base"])


def moment(day: str = "2026-09-10", hour: int = 15, holidays: Sequence[date] = ()) -> Moment:
    """A moment of a day in the clinic's zone."""
    at = datetime.combine(date.fromisoformat(day), datetime.min.time(), CLINIC_ZONE).replace(hour=hour)
    return Moment(at.astimezone(UTC), CLINIC_ZONE, frozenset(holidays))


def record(resource: Json, **about: Any) -> Record:
    """A resource as the store hands it over."""
    return Record(f"{resource['resourceType']}/{resource['id']}", resource, moment().now, **about)


def coded(resource_type: str, name: str, code: str, system: str = LOINC, element: str = "code", **content: Any) -> Json:
    """A resource with one code."""
    return {"resourceType": resource_type, "id": name, element: {"coding": [{"system": system, "code": code}]}, **content}


def report(name: str, code: str, status: str = "final", on: str | None = "2026-08-20", **content: Any) -> Json:
    """A DiagnosticReport."""
    when = {"effectiveDateTime": on} if on else {}
    return coded("DiagnosticReport", name, code, status=status, **when, **content)


def pathology(status: str = "final", name: str = "path", **content: Any) -> Json:
    """The surgical pathology report."""
    return report(name, "11529-5", status, **content)


def mammogram(on: str = "2026-08-20", accession: str = "ACC-20260901-7", name: str = "mammogram", **content: Any) -> Json:
    """The report of a diagnostic mammography."""
    return report(name, "26346-7", on=on, identifier=[{"value": accession}], **content)


def images(modality: str = "MG", on: str = "2026-08-20", accession: str | None = "ACC-20260901-7", name: str = "images", **content: Any) -> Json:
    """The images of a study."""
    numbered = {"identifier": [{"value": accession}]} if accession else {}
    study: Json = {"resourceType": "ImagingStudy", "id": name, "status": "available", "started": on}
    return study | {"modality": [{"system": DICOM, "code": modality}]} | numbered | content


def result(code: str, status: str = "final", on: str | None = "2026-09-05", name: str = "result", **content: Any) -> Json:
    """An Observation."""
    when = {"effectiveDateTime": on} if on else {}
    return coded("Observation", name, code, status=status, **when, **content)


def note(code: str, doc_status: str | None = "final", on: str = "2026-08-25", name: str = "note", **content: Any) -> Json:
    """A DocumentReference."""
    signed = {"docStatus": doc_status} if doc_status else {}
    return coded("DocumentReference", name, code, element="type", status="current", date=on, **signed, **content)


def consent(status: str = "active", name: str = "consent", at: str = "2026-09-01", provision: Json | None = None) -> Json:
    """A release-of-information Consent."""
    body = coded("Consent", name, "64292-6", element="category", status=status, dateTime=at)
    body["category"] = [body["category"]]
    return body | ({"provision": provision} if provision else {})


def answers(name: str = "answers", at: str = "2026-09-02", **given: Any) -> Json:
    """A QuestionnaireResponse; `surgery_done=True` answers the question `surgery-done`."""
    items = []
    for question, value in given.items():
        kind = "valueBoolean" if isinstance(value, bool) else "valueString"
        items.append({"linkId": question.replace("_", "-"), "answer": [{kind: value}]})
    return {"resourceType": "QuestionnaireResponse", "id": name, "status": "completed", "authored": at, "item": items}


def appointment(start: str = "2026-10-01T14:00:00-04:00", status: str = "booked") -> Json:
    """The visit at the clinic."""
    return {"resourceType": "Appointment", "id": "visit", "status": status, "start": start}


def item_task(code: str, item: str, status: str, **content: Any) -> Json:
    """A Task that is part of the coordination Task and about one item."""
    about = {
        "code": {"coding": [{"system": TASK_CODES, "code": code}]},
        "input": [{"type": {"text": "item", "coding": [{"code": "item"}]}, "valueString": item}],
    }
    return {"resourceType": "Task", "id": f"{code}-{item}", "status": status, "lastModified": "2026-09-09T10:00:00Z"} | about | content


def judgement_task(reference: str, word: str, item: str) -> Json:
    """A person's word about a record."""
    said = {"coding": [{"system": REASONS, "code": word}]}
    return item_task("record-judgement", item, "completed", businessStatus=said, focus={"reference": reference})


@dataclass
class Case:
    """A case and what has arrived for it."""

    list_name: str = "breast"
    patient: Json = field(default_factory=lambda: PATIENT)
    referral: Json = field(default_factory=lambda: REFERRAL)
    records: list[Record] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    appointment: Json | None = None
    task: Json | None = None
    policy: Policy = field(default_factory=Policy)

    def receives(self, *resources: Json, **about: Any) -> Case:
        """Records arrive; one with an id already held is its newer version."""
        for resource in resources:
            arrived = record(resource, **about)
            self.records = [r for r in self.records if r.reference != arrived.reference] + [arrived]
        return self

    def file(self) -> CaseFile:
        """The case as the rules are given it."""
        return CaseFile(self.referral, self.patient, self.task, tuple(self.records), self.appointment, tuple(self.tasks))

    def evaluation(self, at: Moment | str = "2026-09-10") -> Evaluation:
        """What the rules say at a moment."""
        return evaluate(self.file(), checklist(self.list_name), moment(at) if isinstance(at, str) else at, self.policy)

    def item(self, name: str, at: Moment | str = "2026-09-10") -> Judgement:
        """One item at a moment."""
        return next(item for item in self.evaluation(at).items if item.item == name)

    def booked(self, start: str) -> Case:
        """The same case with an appointment."""
        return replace(self, appointment=appointment(start))
