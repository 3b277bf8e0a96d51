"""The opinion, from the reviewer's words to the closed case: what is recorded, what is returned, what replaces what, what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fhir_gateway.cases import outcome
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode, validate
from tests import messages
from tests.cases.test_opinion import parameters
from tests.pipeline.conftest import OPINION, STAFF, Told

REFERRER = Principal("referrer", "NORTHSIDE", "northside")


def consents(told: Told, status: str = "active") -> None:
    """The patient agrees that her records go to the clinic, and the opinion back."""
    (patient,) = told.found("Patient")
    consent = {
        "resourceType": "Consent",
        "id": "roi",
        "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": f"Patient/{patient['id']}"},
        "dateTime": "2026-09-01",
        "policyRule": {"text": "release of information"},
    }
    entry = {"resource": consent, "request": {"method": "PUT", "url": "Consent/roi"}}
    assert told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200


def in_review(told: Told, permitted: bool = True) -> None:
    told.receives(messages.referral())
    if permitted:
        consents(told)
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.gateway.actions.move(STAFF, "REF-1", "start-review")


def coordination(told: Told) -> dict[str, Any]:
    (task,) = [task for task in told.found("Task") if "partOf" not in task]
    return task


def notes(told: Told, kind: str = "11488-4") -> list[dict[str, Any]]:
    return [held for held in told.found("DocumentReference") if held["type"]["coding"][0]["code"] == kind]


def seen_by_the_referrer(told: Told) -> list[str]:
    """What the referring hospital may read of documents and Tasks, by code."""
    with told.gateway.store.snapshot(REFERRER) as tx:
        kept = [*told.found("DocumentReference"), *told.found("Task")]
        return sorted(r["resourceType"] for r in kept if tx.resources.read(r["resourceType"], r["id"]))


def test_an_opinion_closes_the_case_with_note_summary_and_elements(told: Told) -> None:
    in_review(told)
    assert told.opines()["case"]["state"] == "opinion-issued"
    task = coordination(told)
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("completed", "opinion-final")
    assert told.found("ServiceRequest")[0]["status"] == "completed"
    assert told.cases() == []
    said = {o["type"]["coding"][0]["code"] for o in task["output"]}
    assert said >= {"diagnosis", "new-diagnosis", "pathology", "stage", "new-stage", "option", "trial", "mode", "summary", "author", "signed"}
    assert outcome.may_return(task)
    (note,), (summary,) = notes(told), notes(told, "69730-0")
    assert (outcome.document_of(task, "note"), outcome.document_of(task, "patient-summary")) == (note["id"], summary["id"])
    for document in (note, summary):
        assert (document["status"], document["docStatus"]) == ("current", "final")
        assert document["context"]["related"] == [{"reference": f"ServiceRequest/{told.found('ServiceRequest')[0]['id']}"}]
    for resource in (task, note, summary):
        assert validate(resource) == []
    page = base64.b64decode(note["content"][0]["attachment"]["data"]).decode()
    assert "Ines Marlowe" in page and "REF-1" in page and "2026-09-10 03:00 CDT" in page


def test_an_opinion_is_returned_when_the_permission_covers_it(told: Told) -> None:
    in_review(told)
    told.opines()
    assert seen_by_the_referrer(told) == ["DocumentReference", "DocumentReference", "Task"]


def test_without_permission_neither_documents_nor_elements_reach_the_referrer(told: Told) -> None:
    in_review(told, permitted=False)
    told.opines()
    task = coordination(told)
    assert not outcome.may_return(task)
    assert {o["type"]["coding"][0]["code"] for o in task["output"]} == {"outcome", "note", "patient-summary", "return-to-referrer"}
    assert seen_by_the_referrer(told) == ["Task"], "its own coordination Task, which says none of it"
    (apart,) = [held for held in told.found("Task") if "partOf" in held]
    assert validate(apart) == []
    assert outcome.of(apart, "diagnosis") is not None, "the clinic keeps the elements as data"
    assert len(notes(told)) == 1


def test_an_interim_opinion_leaves_the_case_open_and_the_final_one_replaces_its_note(told: Told) -> None:
    in_review(told)
    assert told.opines(interim=True)["case"]["state"] == "interim"
    (early,) = notes(told)
    assert (early["docStatus"], "authenticator" in early) == ("preliminary", False)
    assert told.cases()[0]["state"] == "interim"
    told.opines()
    by_status = {note["status"]: note for note in notes(told)}
    assert by_status["superseded"]["id"] == early["id"]
    assert by_status["current"]["relatesTo"] == [{"code": "replaces", "target": {"reference": f"DocumentReference/{early['id']}"}}]
    assert by_status["current"]["docStatus"] == "final"


def test_an_opinion_issued_again_after_reopening_replaces_the_first(told: Told) -> None:
    in_review(told)
    told.opines()
    told.gateway.actions.move(STAFF, "REF-1", "reopen", "a question from the referrer")
    told.passes(hours=1)
    told.opines(diagnosis={"verdict": "confirmed"})
    task = coordination(told)
    assert len(notes(told)) == len(notes(told, "69730-0")) == 2
    (current,) = [note for note in notes(told) if note["status"] == "current"]
    assert outcome.document_of(task, "note") == current["id"]
    said = outcome.of(task, "diagnosis")
    assert said is not None and said["valueCodeableConcept"]["coding"][0]["code"] == "confirmed"
    assert outcome.of(task, "new-diagnosis") is None
    assert all(validate(note) == [] for note in notes(told))


def test_permission_given_later_does_not_open_what_was_withheld_before(told: Told) -> None:
    in_review(told, permitted=False)
    told.opines()
    (withheld,) = notes(told)
    consents(told)
    told.gateway.actions.move(STAFF, "REF-1", "reopen")
    told.opines()
    (current,) = [note for note in notes(told) if note["status"] == "current"]
    with told.gateway.store.snapshot(REFERRER) as tx:
        assert tx.resources.read("DocumentReference", current["id"]) is not None
        assert tx.resources.read("DocumentReference", withheld["id"]) is None


def test_the_clinics_own_note_is_no_record_of_the_case(told: Told) -> None:
    in_review(told)
    assert told.item("consult-note")["state"] == "missing"
    flat = told.opines()
    item = next(i for i in flat["items"] if i["id"] == "consult-note")
    assert (item["state"], item["suppliedBy"]) == ("missing", [])


def test_an_opinion_before_its_time_is_refused_with_the_legal_moves_and_leaves_nothing(told: Told) -> None:
    told.receives(messages.referral())
    with pytest.raises(TransitionError, match="possible now: accept"):
        told.opines()
    with pytest.raises(TransitionError, match="issue-opinion is for clinic"):
        in_review(told)
        told.gateway.opinions.issue(REFERRER, "REF-1", OPINION)
    assert told.count("DocumentReference") == 0
    assert "output" not in coordination(told)


def test_faults_are_located_and_nothing_is_written(told: Told) -> None:
    in_review(told)
    with pytest.raises(InvalidError) as refused:
        told.opines(diagnosis={"verdict": "changed"}, mode="by letter")
    assert [(i.expression, i.code) for i in refused.value.issues] == [("diagnosis.code", "required"), ("mode", "code-invalid")]
    with pytest.raises(InvalidError) as unknown:
        told.opines(author={"reference": "Practitioner/nobody"})
    assert [(i.expression, i.code) for i in unknown.value.issues] == [("author.reference", "not-found")]
    with pytest.raises(NotFoundError):
        told.gateway.opinions.issue(STAFF, "NOBODY", OPINION)
    assert told.count("DocumentReference") == 0


def test_the_operation_takes_parameters_and_answers_the_task(told: Told) -> None:
    in_review(told)
    asked = parameters()
    referral = told.found("ServiceRequest")[0]["id"]
    for entry in asked["parameter"]:
        if entry["name"] == "author":
            entry["valueReference"] = {"display": "Dr Maja Lindqvist"}
        elif entry["name"] == "signed":
            entry["valueDateTime"] = OPINION["signed"]
    stored = told.gateway.opinion(STAFF, referral, encode(asked))
    assert stored.resource["businessStatus"]["coding"][0]["code"] == "opinion-final"
    told.gateway.actions.move(STAFF, "REF-1", "reopen")
    asked["parameter"][0]["part"][0]["valueCode"] = "perhaps"
    with pytest.raises(InvalidError) as refused:
        told.gateway.opinion(STAFF, referral, encode(asked))
    assert [i.expression for i in refused.value.issues] == ["Parameters.parameter[0].part[0].valueCode"]
