"""For any way to supply a record, a record that does: so that a test can prove every way of every list reachable."""

from __future__ import annotations

from typing import Any

from fhir_gateway.cases.requirement import Input, Requirement
from tests.cases.story import REFERRAL, Case, checklist

Json = dict[str, Any]
SUBJECT = {"reference": "Patient/ines"}
STATUS = {
    "DocumentReference": "current",
    "ImagingStudy": "available",
    "Specimen": "available",
    "QuestionnaireResponse": "completed",
    "Media": "completed",
}
ACTIVE = {"Consent", "Coverage", "CoverageEligibilityResponse", "ClaimResponse", "CarePlan", "MedicationStatement", "MedicationRequest"}
CONTENT: dict[str, Json] = {
    "Coverage": {"payor": [{"display": "Acme Health"}], "subscriberId": "M-77"},
    "CoverageEligibilityResponse": {
        "created": "2026-09-03",
        "outcome": "complete",
        "insurance": [
            {
                "inforce": True,
                "item": [
                    {
                        "authorizationRequired": False,
                        "extension": [{"url": "urn:second-opinion-gateway:StructureDefinition:second-opinion-required", "valueBoolean": False}],
                    }
                ],
            }
        ],
    },
    "ClaimResponse": {"use": "preauthorization", "outcome": "complete", "preAuthRef": "PA-1"},
    "Condition": {"stage": [{"summary": {"text": "Stage IIA"}}]},
    "DocumentReference": {"docStatus": "final", "date": "2026-09-05"},
}
ELEMENT = {"DocumentReference": "type", "Consent": "category", "CarePlan": "category", "Media": "type"}
DATE = {
    "ImagingStudy": "started",
    "MedicationStatement": "dateAsserted",
    "MedicationRequest": "authoredOn",
    "List": "date",
    "DiagnosticReport": "effectiveDateTime",
    "Observation": "effectiveDateTime",
    "Consent": "dateTime",
    "QuestionnaireResponse": "authored",
}


def supply(way: Input, name: str, day: str = "2026-09-05") -> Json:
    """A good record of the first code the input asks for."""
    status = "active" if way.type in ACTIVE else STATUS.get(way.type, "final")
    body: Json = {"resourceType": way.type, "id": name, "status": status, "subject": SUBJECT}
    body |= CONTENT.get(way.type, {})
    if way.type in DATE:
        body[DATE[way.type]] = day
    if not way.codes:
        return body
    system, code = min(way.codes)
    if way.type == "QuestionnaireResponse":
        return body | {"item": [{"linkId": code, "answer": [{"valueBoolean": False}]}]}
    if way.type == "ImagingStudy":
        return body | {"modality": [{"system": system, "code": code}]}
    if code == "transforms":
        return body | {"relatesTo": [{"code": code, "target": {"reference": "DocumentReference/elsewhere"}}]}
    if way.type == "Specimen":
        return body | {"container": [{"type": {"coding": [{"system": system, "code": code}]}}]}
    if way.type == "ClaimResponse":
        return body
    element = ELEMENT.get(way.type, "code")
    concept: Any = {"coding": [{"system": system, "code": code}]}
    return body | {element: [concept] if element == "category" else concept}


def series(way: Input, name: str) -> list[Json]:
    """As many records as the input wants, one of them old enough where it looks back."""
    days = ["2026-09-05", "2026-06-05", "2026-03-05"][: max(way.count, 1)]
    if way.lookback:
        days.append("2023-01-05")
    return [supply(way, f"{name}-{n}", day) for n, day in enumerate(days)]


def needed(item: Requirement) -> list[Json]:
    """Records for every part of an item, each by its first way that is no part of the case itself."""
    found: list[Json] = []
    for part in item.parts:
        way = next((w for w in part.inputs if w.type not in ("ServiceRequest", "Patient") and not w.only_when), None)
        found += series(way, f"{item.id}-{part.id}") if way else []
    return found


def answered(list_name: str, value: bool, **otherwise: bool) -> Json:
    """The same answer to every question of a list, but for those named (`self_pay=False`)."""
    given = dict.fromkeys(checklist(list_name).questions, value) | {name.replace("_", "-"): other for name, other in otherwise.items()}
    items = [{"linkId": name, "answer": [{"valueBoolean": yes}]} for name, yes in given.items()]
    return {"resourceType": "QuestionnaireResponse", "id": "all", "status": "completed", "authored": "2026-09-01", "item": items}


def everything(list_name: str) -> Case:
    """A case that holds every record of a list it could be asked for."""
    case = Case(list_name, referral=REFERRAL)
    for item in checklist(list_name).items:
        case.receives(*needed(item))
    return case.receives(answered(list_name, False))
