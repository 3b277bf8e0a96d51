"""Cases over FHIR: what opens one, what does not, what it answers, and what may not be done to it (PRODUCT, "What makes a case")."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fhir_gateway.validation import decode, validate
from tests import messages
from tests.rest.conftest import Api, issues, places

LOINC = "http://loinc.org"
REFERRAL_NOTE = {"coding": [{"system": LOINC, "code": "57133-1"}]}
SNOMED_REFERRAL = {"coding": [{"system": "http://snomed.info/sct", "code": "3457005"}]}
BREAST_CANCER = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}]}
NORTHSIDE = "urn:oid:2.16.840.1.113883.19.5.1"
BUSINESS = "urn:second-opinion-gateway:CodeSystem:case-state"


def own() -> str:
    return uuid.uuid4().hex[:10]


def patient(mrn: str) -> dict[str, Any]:
    name = [{"family": "Marlowe", "given": ["Ines"]}]
    return {
        "resourceType": "Patient",
        "identifier": [{"system": NORTHSIDE, "value": mrn}],
        "name": name,
        "birthDate": "1971-03-14",
        "gender": "female",
    }


def order(subject: str = "urn:uuid:8a1f40cb-44a6-4f5e-a5bc-3d1b2f9f7d01", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": subject}, "reasonCode": [BREAST_CANCER]}
    return {**made, **more}


def task(focus: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": focus}, **more}


def pathology(subject: str, request: str = "") -> dict[str, Any]:
    code = {"coding": [{"system": LOINC, "code": "11529-5"}]}
    made = {"resourceType": "DiagnosticReport", "status": "final", "code": code, "subject": {"reference": subject}, "issued": "2026-09-05T10:00:00Z"}
    made["effectiveDateTime"] = "2026-09-03"
    return {**made, "basedOn": [{"reference": request}]} if request else made


PERSON = "urn:uuid:8a1f40cb-44a6-4f5e-a5bc-3d1b2f9f7d01"
REQUEST = "urn:uuid:0f9c52f6-8f7e-4f43-8a6f-52f0b7c0a702"


def entry(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    made = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}
    return {**made, "fullUrl": full_url} if full_url else made


def sent(api: Api, *entries: dict[str, Any]) -> list[str]:
    """`Type/id` of each entry of a transaction that must succeed."""
    answer = api.sends(*entries)
    assert answer.status_code == 200, answer.text
    return [e["response"]["location"].partition("/_history/")[0] for e in decode(answer.content)["entry"]]


def completeness(api: Api, request: str, query: str = "") -> dict[str, Any]:
    response = api.get(f"/fhir/{request}/$completeness{query}")
    assert response.status_code == 200, response.text
    return decode(response.content)


def items(guidance: dict[str, Any]) -> dict[str, str]:
    """State by item id."""
    (parameters,) = guidance["contained"]
    found = [{part["name"]: value(part) for part in given["part"]} for given in parameters["parameter"] if given["name"] == "item"]
    return {item["id"]: item["state"] for item in found}


def value(part: dict[str, Any]) -> Any:
    return next(held for key, held in part.items() if key != "name")


def opens(api: Api, request: str) -> bool:
    return api.get(f"/fhir/{request}/$completeness").status_code == 200


# What opens a case


@pytest.mark.parametrize("said", [{"category": [REFERRAL_NOTE]}, {"code": REFERRAL_NOTE}, {"category": [SNOMED_REFERRAL]}])
def test_an_order_that_is_called_a_referral_opens_a_case(either: Api, said: dict[str, Any]) -> None:
    _, request = sent(either, entry(patient(own()), PERSON), entry(order(**said)))
    assert opens(either, request)
    (coordination,) = either.found("Task", f"focus={request}")
    assert (coordination["status"], coordination["businessStatus"]["coding"][0]["code"]) == ("received", "received")


def test_an_order_that_a_task_focuses_on_opens_a_case_and_the_task_becomes_its_coordination(either: Api) -> None:
    mine = task(REQUEST, description="Please see this lady", identifier=[{"system": "urn:x:tasks", "value": own()}])
    answer = either.sends(entry(patient(own()), PERSON), entry(order(), REQUEST), entry(mine))
    done = decode(answer.content)["entry"]
    request, sent_task = (e["response"]["location"].partition("/_history/")[0] for e in done[1:])
    (coordination,) = either.found("Task", f"focus={request}")
    assert f"Task/{coordination['id']}" == sent_task, "there is one Task, the sender's own"
    assert (coordination["description"], coordination["identifier"]) == (mine["description"], mine["identifier"])
    assert coordination["status"] == "received" and opens(either, request)
    assert done[2]["response"]["etag"] == f'W/"{coordination["meta"]["versionId"]}"', "the answer names the version that stands"


def test_a_task_that_comes_later_opens_the_case_of_an_order_held(either: Api) -> None:
    _, request = sent(either, entry(patient(own()), PERSON), entry(order()))
    assert not opens(either, request)
    made = either.made(task(request))
    assert opens(either, request)
    (coordination,) = either.found("Task", f"focus={request}")
    assert coordination["id"] == made["id"]


def test_an_order_that_a_message_header_focuses_on_opens_a_case(either: Api) -> None:
    header = {
        "resourceType": "MessageHeader",
        "eventCoding": {"system": "urn:x:events", "code": "new-referral"},
        "source": {"endpoint": "urn:x:ehr"},
        "focus": [{"reference": REQUEST}],
    }
    _, request, _ = sent(either, entry(patient(own()), PERSON), entry(order(), REQUEST), entry(header))
    assert opens(either, request)


def test_an_order_with_its_results_opens_none_nor_does_a_plain_one(either: Api) -> None:
    before = either.count("Task")
    _, plain = sent(either, entry(patient(own()), PERSON), entry(order()))
    _, carried_out, _ = sent(either, entry(patient(own()), PERSON), entry(order(code=REFERRAL_NOTE), REQUEST), entry(pathology(PERSON, REQUEST)))
    assert not opens(either, plain) and not opens(either, carried_out)
    assert either.count("Task") == before


def test_a_referral_sent_alone_opens_a_case_too(either: Api) -> None:
    person = either.made(patient(own()))
    made = either.made(order(f"Patient/{person['id']}", category=[SNOMED_REFERRAL]))
    assert opens(either, f"ServiceRequest/{made['id']}")
    again = either.put(f"/fhir/ServiceRequest/{made['id']}", {**made, "priority": "urgent"})
    assert again.status_code == 200 and either.count("Task", f"focus=ServiceRequest/{made['id']}") == 1


# What a case answers


def test_completeness_by_get_and_post_now_and_then(either: Api) -> None:
    _, request, _ = sent(either, entry(patient(own()), PERSON), entry(order(category=[REFERRAL_NOTE]), REQUEST), entry(pathology(PERSON)))
    now = completeness(either, request)
    assert validate(now) == [] and now["status"] == "data-required"
    assert "PlanDefinition" in now["moduleCanonical"] and items(now)["pathology-report"] == "accepted"
    empty = either.ask("POST", f"/fhir/{request}/$completeness")
    asked = {"resourceType": "Parameters", "parameter": [{"name": "asOf", "valueDateTime": "2090-01-01"}]}
    later = either.post(f"/fhir/{request}/$completeness", asked)
    assert (empty.status_code, later.status_code) == (200, 200)
    assert items(decode(empty.content)) == items(now)
    assert items(decode(later.content)) == items(completeness(either, request, "?asOf=2090-01-01"))
    assert either.get(f"/fhir/{request}/$completeness?asOf=1999-12-31").status_code == 404, "there was no such case then"


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("?asOf=yesterday", None, 400),
        ("?asOf=2026-13-01", None, 400),
        ("", {"resourceType": "Patient"}, 422),
        ("", {"resourceType": "Parameters", "parameter": 5}, 422),
        ("", {"resourceType": "Parameters", "parameter": [{"name": "asOf", "valueString": "x"}]}, 400),
        ("", b"{", 400),
    ],
)
def test_completeness_that_can_t_be_answered(either: Api, query: str, body: Any, status: int) -> None:
    _, request = sent(either, entry(patient(own()), PERSON), entry(order(category=[REFERRAL_NOTE])))
    response = either.ask("GET" if body is None else "POST", f"/fhir/{request}/$completeness{query}", body)
    assert response.status_code == status and issues(response), response.text


def test_what_is_no_case_has_no_completeness(either: Api) -> None:
    for name in ("nobody", "a_b", "x" * 80):
        response = either.get(f"/fhir/ServiceRequest/{name}/$completeness")
        assert response.status_code == 404 and issues(response)[0]["code"] == "not-found"


# What may not be done to it


def test_the_coordination_task_moves_only_as_its_table_allows(either: Api) -> None:
    _, request = sent(either, entry(patient(own()), PERSON), entry(order(category=[REFERRAL_NOTE])))
    (held,) = either.found("Task", f"focus={request}")
    here = f"/fhir/Task/{held['id']}"
    leap = either.put(here, {**held, "status": "completed", "businessStatus": {"coding": [{"system": BUSINESS, "code": "opinion-final"}]}})
    assert leap.status_code == 422 and places(leap) == ["Task.status"]
    assert "accept" in issues(leap)[0]["diagnostics"] and "decline" in issues(leap)[0]["diagnostics"]
    inside = either.sends({"resource": {**held, "status": "completed"}, "request": {"method": "PUT", "url": f"Task/{held['id']}"}})
    assert inside.status_code == 422 and places(inside) == ["Bundle.entry[0].resource.status"]
    elsewhere = either.put(here, {**held, "focus": {"reference": f"ServiceRequest/{own()}"}})
    assert elsewhere.status_code == 422
    accepted = {**held, "status": "accepted", "businessStatus": {"coding": [{"system": BUSINESS, "code": "accepted"}]}}
    assert either.put(here, accepted).status_code == 200
    assert either.put(here, {**decode(either.get(here).content), "note": [{"text": "rang the patient"}]}).status_code == 200


def test_a_case_does_not_end_by_deletion(either: Api) -> None:
    person, request = sent(either, entry(patient(own()), PERSON), entry(order(category=[REFERRAL_NOTE])))
    (held,) = either.found("Task", f"focus={request}")
    for name in (request, f"Task/{held['id']}"):
        response = either.delete(f"/fhir/{name}")
        assert response.status_code == 409 and issues(response)[0]["code"] == "conflict"
        inside = either.sends({"request": {"method": "DELETE", "url": name}})
        assert inside.status_code == 409 and places(inside) == ["Bundle.entry[0]"]
    assert opens(either, request)
    made = either.made(task(request, code={"text": "call back"}))
    assert either.delete(f"/fhir/Task/{made['id']}").status_code == 204, "any other Task may go"
    assert either.get(f"/fhir/{person}").status_code == 200


# Records before, with and after; FHIR and HL7 v2 about one patient


def test_records_count_whether_they_come_before_or_after_the_referral(either: Api) -> None:
    before_mrn, after_mrn = own(), own()
    early = f"identifier={NORTHSIDE}|{before_mrn}"
    sent(either, entry(patient(before_mrn), PERSON), entry(pathology(PERSON)))
    _, first = sent(either, entry(patient(before_mrn), PERSON, ifNoneExist=early), entry(order(category=[REFERRAL_NOTE])))
    person, second = sent(either, entry(patient(after_mrn), PERSON), entry(order(category=[REFERRAL_NOTE])))
    assert items(completeness(either, second))["pathology-report"] == "missing"
    either.made(pathology(person))
    assert items(completeness(either, first))["pathology-report"] == items(completeness(either, second))["pathology-report"] == "accepted"


def test_fhir_records_and_a_v2_referral_with_one_number_meet_on_one_patient(either: Api) -> None:
    mrn, late = own(), own()
    sent(either, entry(patient(mrn), PERSON), entry(pathology(PERSON)))
    assert either.v2(messages.referral(f"REF-{mrn}", mrn=mrn)) == "AA"
    assert either.v2(messages.referral(f"REF-{late}", mrn=late)) == "AA"
    sent(either, entry(patient(late), PERSON, ifNoneExist=f"identifier={NORTHSIDE}|{late}"), entry(pathology(PERSON)))
    for number in (mrn, late):
        (person,) = either.found("Patient", f"identifier={NORTHSIDE}|{number}")
        (request,) = either.found("ServiceRequest", f"patient={person['id']}")
        assert items(completeness(either, f"ServiceRequest/{request['id']}"))["pathology-report"] == "accepted"


def test_a_number_taken_from_a_patient_names_her_no_longer(either: Api) -> None:
    """A wrong record number was corrected over FHIR; the next message with the wrong number is about somebody else."""
    wrong, right = own(), own()
    made = either.made(patient(wrong))
    corrected = {**made, "identifier": [{"system": NORTHSIDE, "value": right}]}
    assert either.put(f"/fhir/Patient/{made['id']}", corrected).status_code == 200
    assert either.v2(messages.referral(f"REF-{wrong}", mrn=wrong, family="Other", born="19500101")) == "AA"
    assert decode(either.get(f"/fhir/Patient/{made['id']}").content)["name"] == made["name"]
    (other,) = either.found("Patient", f"identifier={NORTHSIDE}|{wrong}")
    assert other["id"] != made["id"]
    assert either.v2(messages.referral(f"REF-{right}", mrn=right)) == "AA"
    (still,) = either.found("Patient", f"identifier={NORTHSIDE}|{right}")
    assert still["id"] == made["id"]


def test_a_number_kept_as_an_old_one_still_names_her(either: Api) -> None:
    first, second = own(), own()
    made = either.made(patient(first))
    both = [{"use": "old", "system": NORTHSIDE, "value": first}, {"system": NORTHSIDE, "value": second}]
    assert either.put(f"/fhir/Patient/{made['id']}", {**made, "identifier": both}).status_code == 200
    assert either.v2(messages.referral(f"REF-{first}", mrn=first)) == "AA"
    assert [r["id"] for r in either.found("Patient", f"identifier={NORTHSIDE}|{first}")] == [made["id"]]
