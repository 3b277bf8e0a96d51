"""A patient refers herself, and what comes on paper or on a disc is filed: the resources a FHIR client would send, judged by the ordinary rules."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from fhir_gateway.cases.paper import Sheet
from fhir_gateway.cases.paper import Told as Referral
from fhir_gateway.errors import ConflictError, GatewayError, InvalidError, NotFoundError, TooLargeError
from fhir_gateway.pipeline.sniff import media_type
from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told

MRN = ("urn:oid:2.16.840.1.113883.19.5.1", "554321")
BREAST = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}
INES = Referral(
    "Marlowe", ("Ines",), "1971-03-14", BREAST, "Is chemotherapy needed before the operation?", sex="female", identifiers=(MRN,), number="P-1"
)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
TIFF = b"II*\x00" + bytes(40)


def opens(told: Told, referral: Referral = INES, **how: Any) -> dict[str, Any]:
    return told.gateway.paperwork.open(STAFF, referral, **how)


def files(told: Told, item: str, content: bytes = PDF, code: str = "", **sheet: Any) -> dict[str, Any]:
    flat = told.gateway.paperwork.file(STAFF, "P-1", item, Sheet(content, "", **sheet), code)
    return next(one for one in flat["items"] if one["id"] == item)


def acts(told: Told, type: str, id: str) -> list[str]:
    with told.gateway.store.snapshot(STAFF) as tx:
        return [f"{name} {action}" for _, _, name, action in tx.audit.of(type, id)]


def everything(told: Told) -> list[dict[str, Any]]:
    kinds = ("Patient", "RelatedPerson", "ServiceRequest", "Task", "Provenance", "DocumentReference", "DiagnosticReport", "ImagingStudy", "Media",
             "Specimen", "QuestionnaireResponse")  # fmt: skip
    return [resource for kind in kinds for resource in told.found(kind)]


# Opening


def test_a_patient_refers_herself(told: Told) -> None:
    flat = opens(told)
    assert flat["case"]["state"] == "received" and "breast" in flat["case"]["checklist"]
    (patient,), (referral,), (task,) = told.found("Patient"), told.found("ServiceRequest"), told.found("Task")
    her = {"reference": f"Patient/{patient['id']}"}
    assert referral["requester"] == referral["subject"] == task["requester"] == her
    assert [validate(one) for one in everything(told)] == [[]] * 4
    states = {item["id"]: item["state"] for item in flat["items"]}
    assert (states["referral-order"], states["second-opinion-question"]) == ("accepted", "accepted")
    (provenance,) = told.found("Provenance")
    assert provenance["agent"][0]["who"] == {"display": STAFF.name}
    assert acts(told, "ServiceRequest", referral["id"]) == [f"{STAFF.name} open-case"]
    assert told.cases()[0]["confirmed"] is True
    asked = told.gateway.actions.request(STAFF, "P-1", ["medication-list"])
    assert next(i for i in asked["items"] if i["id"] == "medication-list")["state"] == "requested"
    (request,) = [t for t in told.found("Task") if "partOf" in t]
    assert request["owner"] == her and validate(request) == [], "it is the patient who is asked"


def test_a_relative_or_a_practitioner_may_refer_and_must_be_named(told: Told) -> None:
    opens(told, replace(INES, by="relative", requester="Paul Marlowe"))
    (relative,) = told.found("RelatedPerson")
    assert validate(relative) == [] and relative["name"] == [{"text": "Paul Marlowe"}]
    assert told.found("ServiceRequest")[0]["requester"] == {"reference": f"RelatedPerson/{relative['id']}"}
    opens(told, replace(INES, by="practitioner", requester="Dr Okafor", number="P-2", second_opinion=False))
    (second,) = [r for r in told.found("ServiceRequest") if r["identifier"][0]["value"] == "P-2"]
    assert second["requester"] == {"display": "Dr Okafor"}
    assert {case["referral"]: case["confirmed"] for case in told.cases()} == {"P-1": True, "P-2": False}
    with pytest.raises(InvalidError, match="name of who refers"):
        opens(told, replace(INES, by="relative"))


def test_a_patient_who_is_held_is_found_by_her_number_and_not_made_twice(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    (patient,) = told.found("Patient")
    flat = opens(told, replace(INES, diagnosis={**BREAST, "code": "C34.11"}))
    assert told.count("Patient") == 1
    assert next(i for i in flat["items"] if i["id"] == "lab-cbc")["state"] == "missing"
    assert told.found("ServiceRequest", identifier="P-1")[0]["subject"] == {"reference": f"Patient/{patient['id']}"}


def test_a_number_of_somebody_else_is_refused_and_nothing_is_written(told: Told) -> None:
    told.receives(messages.referral())
    with pytest.raises(ConflictError, match="another family name or birth date") as refused:
        opens(told, replace(INES, born="1971-03-15"))
    assert "Marlowe" not in str(refused.value) and "1971" not in str(refused.value)
    assert (told.count("Patient"), len(told.cases())) == (1, 1)


def test_of_patients_alike_in_name_and_birth_date_a_person_decides(told: Told) -> None:
    told.receives(messages.referral())
    (held,) = told.found("Patient")
    unnumbered = replace(INES, identifiers=())
    with pytest.raises(ConflictError, match=f"Patient/{held['id']}"):
        opens(told, unnumbered)
    insurer = ("urn:x:members", "M-1")
    opens(told, replace(INES, identifiers=(insurer,)), patient_id=held["id"])
    (patient,) = told.found("Patient")
    assert {"system": "urn:x:members", "value": "M-1"} in patient["identifier"] and validate(patient) == []
    opens(told, replace(unnumbered, number="P-2"), new_patient=True)
    assert told.count("Patient") == 2
    other = replace(INES, family="Okoro", identifiers=(("urn:x:members", "M-2"),), number="P-3")
    opens(told, other)
    with pytest.raises(ConflictError, match="different patients"):
        opens(told, replace(INES, identifiers=(insurer, ("urn:x:members", "M-2"))))


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"family": " "}, "Patient.name.family"),
        ({"question": ""}, "ServiceRequest.note.text"),
        ({"born": "14.3.1971"}, "Patient.birthDate"),
        ({"born": "2027-01-01"}, "Patient.birthDate"),
        ({"sex": "f"}, "Patient.gender"),
    ],
)
def test_what_makes_no_referral_is_refused_with_its_place(told: Told, wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidError) as refused:
        opens(told, replace(INES, **wrong))
    assert refused.value.issues[0].expression == where
    assert told.cases() == [] and told.count("Patient") == 0


def test_a_client_does_the_same_with_one_transaction(told: Told) -> None:
    person, request = "urn:uuid:8a1f40cb-44a6-4f5e-a5bc-3d1b2f9f7d01", "urn:uuid:0f9c52f6-8f7e-4f43-8a6f-52f0b7c0a702"
    paper = "urn:uuid:5d0a3a10-50d2-4b0e-9a55-3f8f1a2d7c03"
    subject = {"reference": person}
    resources = {
        person: {"resourceType": "Patient", "identifier": [{"system": MRN[0], "value": MRN[1]}], "name": [{"family": "Marlowe", "given": ["Ines"]}],
                 "birthDate": "1971-03-14"},
        request: {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": subject, "requester": subject,
                  "category": [{"coding": [{"system": "http://loinc.org", "code": "57133-1"}]}], "reasonCode": [{"coding": [BREAST]}],
                  "note": [{"text": "Is chemotherapy needed?"}]},
        paper: {"resourceType": "Binary", "contentType": "application/pdf", "data": base64.b64encode(PDF).decode()},
        "urn:uuid:77b6f8f0-7a55-43cf-93a5-9f3c0d7f5b04": {
            "resourceType": "DocumentReference", "status": "current", "docStatus": "final", "subject": subject,
            "type": {"coding": [{"system": "http://loinc.org", "code": "11529-5"}]}, "content": [{"attachment": {"url": paper}}],
            "context": {"related": [{"reference": request}]}},
    }  # fmt: skip
    entries = [{"fullUrl": name, "resource": r, "request": {"method": "POST", "url": r["resourceType"]}} for name, r in resources.items()]
    status, answer = told.posts({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert status == 200, answer
    assert told.item("pathology-report")["state"] == "accepted"
    (referral,), (task,) = told.found("ServiceRequest"), told.found("Task")
    assert task["requester"] == referral["requester"] == referral["subject"]


# Filing


def test_a_signed_report_on_paper_closes_its_item_and_its_scan_can_be_read(told: Told) -> None:
    opens(told)
    item = files(told, "pathology-report", made="2026-09-03", title="Histology", author="Dr Weiss", signed=True, language="en")
    assert (item["state"], item["reason"]) == ("accepted", None)
    (document,) = told.found("DocumentReference")
    assert validate(document) == [] and item["suppliedBy"] == [f"DocumentReference/{document['id']}"]
    assert document["type"]["coding"][0]["code"] == "11526-1", "the first code the item goes by"
    assert document["docStatus"] == "final" and document["context"]["period"] == {"start": "2026-09-03"}
    assert document["context"]["related"] == [{"reference": f"ServiceRequest/{told.case()['case']['id']}"}]
    attachment = document["content"][0]["attachment"]
    assert (attachment["contentType"], attachment["size"], attachment["title"]) == ("application/pdf", len(PDF), "Histology")
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(PDF).digest()
    binary = told.gateway.fhir.read(STAFF, "Binary", attachment["url"].removeprefix("Binary/")).resource
    assert validate(binary) == [] and base64.b64decode(binary["data"]) == PDF
    assert acts(told, "DocumentReference", document["id"])[0] == f"{STAFF.name} file:pathology-report"
    assert any(f"DocumentReference/{document['id']}" in str(p["target"]) for p in told.found("Provenance"))


@pytest.mark.parametrize(
    ("item", "sheet", "state", "reason"),
    [
        ("referral-order", {}, "accepted", None),  # the case has its order already
        ("consult-note", {"made": "2026-09-01", "signed": False}, "not-acceptable", "unsigned"),
        ("consult-note", {"made": "2026-09-01"}, "received", "signature-unconfirmed"),
        ("consult-note", {"made": "2025-09-01", "signed": True}, "not-acceptable", "stale"),
        ("consult-note", {"signed": True}, "received", "undated"),
        ("consult-note", {"made": "2026-03", "signed": True}, "received", "date-imprecise"),
        ("consult-note", {"made": "2026-09-01", "signed": True, "language": "pl"}, "not-acceptable", "language"),
        ("release-consent", {"signed": True}, "received", "to-be-confirmed"),
        ("er", {"made": "2026-09-01"}, "received", "status-unknown"),
        ("er", {"made": "2026-09-01", "signed": False}, "not-acceptable", "preliminary"),
        ("er", {"made": "2026-09-01", "signed": True}, "accepted", None),
    ],
)
def test_what_is_filed_is_judged_like_any_record(told: Told, item: str, sheet: dict[str, Any], state: str, reason: str | None) -> None:
    opens(told)
    filed = files(told, item, **sheet)
    assert (filed["state"], filed["reason"]) == (state, reason)
    assert [validate(one) for one in everything(told) if one["resourceType"] in ("DocumentReference", "DiagnosticReport")] == [[]]


def test_a_disc_is_an_imaging_study_of_the_modality_said_and_its_label_is_kept(told: Told) -> None:
    opens(told)
    with pytest.raises(InvalidError, match="told by its modality; say one of MG"):
        files(told, "mammography-images", PNG)
    item = files(told, "mammography-images", PNG, "MG", made="2026-08-20", title="Disc of 20 August")
    assert (item["state"], item["goodUntil"]) == ("accepted", "2027-02-19")
    (study,), (label,) = told.found("ImagingStudy"), told.found("Media")
    assert validate(study) == validate(label) == []
    assert label["partOf"] == [{"reference": f"ImagingStudy/{study['id']}"}] and label["content"]["contentType"] == "image/png"
    with pytest.raises(InvalidError, match="'CT' does not say"):
        files(told, "mammography-images", TIFF, "CT")


def test_slides_are_a_specimen_in_the_container_the_list_names_or_images_when_that_is_said(told: Told) -> None:
    opens(told)
    assert files(told, "pathology-slides", PNG, made="2026-09-02")["state"] == "accepted"
    (specimen,) = told.found("Specimen")
    assert validate(specimen) == [] and specimen["container"][0]["type"]["coding"][0]["code"] == "433466003"
    files(told, "pathology-slides", TIFF, "SM")
    assert validate(told.found("ImagingStudy")[0]) == []


def test_the_same_file_is_filed_once(told: Told) -> None:
    opens(told)
    files(told, "pathology-report", signed=True)
    with pytest.raises(ConflictError, match="filed already as DocumentReference/"):
        files(told, "pathology-report", signed=True)
    files(told, "mammography-images", PNG, "MG", made="2026-08-20")
    with pytest.raises(ConflictError, match="filed already as Media/"):
        files(told, "mammography-images", PNG, "MG", made="2026-08-20")
    assert (told.count("DocumentReference"), told.count("ImagingStudy"), told.count("Binary")) == (1, 1, 2)


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (b"", InvalidError, "empty"),
        (b"MZ\x90\x00" + bytes(100), InvalidError, "program"),
        (b"\x7fELF" + bytes(100), InvalidError, "program"),
        (b"#!/bin/sh\nrm -r /\n", InvalidError, "program"),
        (b"PK\x03\x04" + bytes(100), InvalidError, "kind that is not filed"),
        (b"caf\xe9", InvalidError, "kind that is not filed"),
        (b"a" * 1_000_001, TooLargeError, "1000000"),
    ],
)
def test_what_is_not_filed_is_refused_with_a_sentence(told: Told, content: bytes, error: type[GatewayError], text: str) -> None:
    opens(told)
    with pytest.raises(error, match=text):
        files(told, "pathology-report", content)
    assert told.count("Binary") == told.count("DocumentReference") == 0


def test_a_file_is_what_its_content_says() -> None:
    kinds = {PDF: "application/pdf", PNG: "image/png", TIFF: "image/tiff", b"MM\x00*": "image/tiff", b"\xff\xd8\xff\xe0": "image/jpeg",
             bytes(128) + b"DICM": "application/dicom", b"plain\r\nwords": "text/plain", b"\xef\xbb\xbfplain": "text/plain",
             "Übersetzung".encode(): "text/plain", b"\n<!DOCTYPE html><p>": "text/html", b"<html lang='en'>": "text/html",
             b"MZ %PDF-1.7": None, b"\x00\x01": None, b" \n": None, b"": None}  # fmt: skip
    assert {content: media_type(content) for content in kinds} == kinds


def test_what_can_t_be_filed_against_an_item_says_what_it_takes(told: Told) -> None:
    opens(told)
    with pytest.raises(InvalidError, match="takes CoverageEligibilityResponse"):
        files(told, "coverage-eligibility")
    with pytest.raises(NotFoundError, match="no item"):
        files(told, "no-such-item")
    with pytest.raises(NotFoundError):
        told.gateway.paperwork.file(STAFF, "NOBODY", "pathology-report", Sheet(PDF, ""))
    with pytest.raises(InvalidError, match="ahead"):
        files(told, "pathology-report", made="2026-12-01")


# Answers


def test_an_answer_told_at_the_desk_settles_a_condition_and_says_who_wrote_it(told: Told) -> None:
    opens(told)
    assert told.item("operative-note")["asked"].startswith("Has surgery")
    flat = told.gateway.paperwork.answer(STAFF, "P-1", "surgery-done", "no")
    assert next(i for i in flat["items"] if i["id"] == "operative-note")["state"] == "not-applicable"
    (response,) = told.found("QuestionnaireResponse")
    assert validate(response) == [] and response["author"] == {"display": STAFF.name}
    assert response["questionnaire"] == "urn:second-opinion-gateway:Questionnaire:breast|1.0.0+1.1.0"
    assert acts(told, "QuestionnaireResponse", response["id"]) == [f"{STAFF.name} answer:surgery-done"]
    told.passes(hours=1)
    told.gateway.paperwork.answer(STAFF, "P-1", "surgery-done", "Yes")
    assert told.item("operative-note")["reason"] is None and told.item("operative-note")["state"] == "missing"


def test_questions_are_answered_in_their_own_way(told: Told) -> None:
    opens(told)
    answer = told.gateway.paperwork.answer
    assert answer(STAFF, "P-1", "treatment-start", "2026-10-05")["case"]["decideBy"] == "2026-10-05"
    answer(STAFF, "P-1", "treatment-started", "no")
    assert told.item("systemic-summary")["state"] == "not-applicable", "nothing has begun, so nothing was given"
    answer(STAFF, "P-1", "pending-results", "HER2 at the university laboratory")
    assert told.item("pending-results")["state"] == told.item("treatment-started")["state"] == "accepted"
    for question, wrong, wanted in (
        ("surgery-done", "perhaps", "yes or no"),
        ("treatment-start", "soon", "a date"),
        ("pending-results", " ", "words"),
    ):
        with pytest.raises(InvalidError, match=f"answered by {wanted}"):
            answer(STAFF, "P-1", question, wrong)
    with pytest.raises(NotFoundError, match="surgery-done"):
        answer(STAFF, "P-1", "no-such-question", "yes")
    assert [validate(response) for response in told.found("QuestionnaireResponse")] == [[]] * 3
