"""Asking for what is missing: by hand or by policy, delivered once, followed up, ended by the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_gateway.app import CARRIERS
from fhir_gateway.cases.chase import lacking
from fhir_gateway.outbound.sender import Sender
from fhir_gateway.store import Partner
from fhir_gateway.validation import validate
from tests import messages
from tests.partner import Endpoint, endpoint
from tests.pipeline.conftest import STAFF, Told


@pytest.fixture
def ehr() -> Iterator[Endpoint]:
    with endpoint() as here:
        yield here


def knows(told: Told, partner: Partner) -> None:
    with told.gateway.store.transaction(STAFF, told.now) as tx:
        tx.partners.put(partner)


def sends(told: Told) -> None:
    sender = Sender(told.gateway.outgoing, CARRIERS, 5)
    while sender.round():
        pass


def chases(told: Told, policy: str) -> None:
    told.gateway.settings.chase = policy  # type: ignore[assignment]


def requests(told: Told) -> list[dict[str, Any]]:
    return [task for task in told.found("Task", _count="200") if "partOf" in task]


def item_of(task: dict[str, Any]) -> str:
    return str(task["input"][0]["valueString"])


def request_for(told: Told, item: str) -> dict[str, Any]:
    return next(task for task in requests(told) if item_of(task) == item)


def writes(told: Told, resource: dict[str, Any]) -> int:
    entry = {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
    return told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0]


def test_what_decides_whether_a_record_is_wanted_is_asked_once_for_all_records_it_decides(told: Told) -> None:
    told.receives(messages.referral())
    unknown = {i["question"] for i in lacking(told.case()) if i["reason"] == "applicability-unknown"}
    assert unknown
    told.gateway.actions.request(STAFF, "REF-1", [])
    questions = [task for task in requests(told) if task["code"]["coding"][0]["code"] == "question"]
    assert sorted(item_of(task) for task in questions) == sorted(unknown)
    assert all(validate(task) == [] for task in questions)


def test_an_answered_question_ends_its_request(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", [])
    (question,) = [task for task in requests(told) if item_of(task) == "surgery-done"]
    answer = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "basedOn": [{"reference": f"ServiceRequest/{told.case()['case']['id']}"}],
        "subject": question["for"],
        "authored": "2026-09-10T10:00:00Z",
        "item": [{"linkId": "surgery-done", "answer": [{"valueBoolean": False}]}],
    }
    entry = {"resource": answer, "request": {"method": "POST", "url": "QuestionnaireResponse"}}
    assert told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200
    assert next(task for task in requests(told) if task["id"] == question["id"])["status"] == "completed"


def test_a_request_ends_with_what_answered_it(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    told.receives(messages.pathology())
    (task,) = requests(told)
    assert validate(task) == []
    assert (task["status"], task["output"][0]["valueReference"]["reference"]) == ("completed", told.item("pathology-report")["suppliedBy"][0])


def test_a_retracted_record_that_was_asked_for_can_be_asked_for_again(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    told.receives(messages.pathology())
    told.receives(messages.pathology(status="X", reported="20260908100000-0500", made="20260908100100-0500"))
    assert told.item("pathology-report")["state"] == "missing"
    assert told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    assert told.item("pathology-report")["state"] == "requested"
    assert [task["status"] for task in requests(told)].count("requested") == 1


def test_nothing_is_asked_by_itself_unless_the_clinic_says_so(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    assert requests(told) == []


@pytest.mark.parametrize(("policy", "at_once"), [("on-receipt", True), ("on-acceptance", False)])
def test_by_policy_everything_lacking_is_asked_for_once(told: Told, policy: str, at_once: bool) -> None:
    chases(told, policy)
    told.receives(messages.referral())
    assert bool(requests(told)) is at_once
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    number = len(requests(told))
    assert told.item("pathology-report")["state"] == "requested"
    told.receives(messages.blood_count())
    assert len(requests(told)) == number, "another record is no reason to ask for anything again"
    assert request_for(told, "lab-cbc")["status"] == "completed"


def test_a_record_withdrawn_later_is_asked_for_again_by_policy(told: Told) -> None:
    chases(told, "on-receipt")
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(messages.pathology(status="X", reported="20260908100000-0500", made="20260908100100-0500"))
    assert told.item("pathology-report")["state"] == "requested"
    assert sorted(task["status"] for task in requests(told) if item_of(task) == "pathology-report") == ["completed", "requested"]


def test_what_can_not_be_supplied_is_not_asked_for_again_by_a_machine(told: Told) -> None:
    chases(told, "on-receipt")
    told.receives(messages.referral())
    assert writes(told, {**request_for(told, "lab-cbc"), "status": "failed"}) == 200
    told.receives(messages.pathology())
    assert told.item("lab-cbc")["state"] == "declined"
    assert len([task for task in requests(told) if item_of(task) == "lab-cbc"]) == 1


def test_an_announced_result_is_expected_until_its_day_and_then_overdue(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    pending = {"text": "pending at Riverbend laboratory"}
    (task,) = requests(told)
    assert writes(told, {**task, "status": "in-progress", "statusReason": pending, "executionPeriod": {"end": "2026-09-14"}}) == 200
    assert told.item("lab-cbc")["state"] == "expected"
    told.passes(days=5)
    assert (told.item("lab-cbc")["state"], told.item("lab-cbc")["reason"]) == ("expected", "overdue")


def test_requests_reach_a_partners_fhir_server_once_and_conditionally(told: Told, ehr: Endpoint) -> None:
    knows(told, Partner("NORTHSIDE", fhir_base=f"{ehr.address}/fhir"))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report", "lab-cbc"])
    sends(told)
    sends(told)
    assert [post.path for post in ehr.posts] == ["/fhir/Task", "/fhir/Task"]
    for post in ehr.posts:
        assert validate(post.json) == []
        identifier = post.json["identifier"][0]
        assert post.headers["if-none-exist"] == f"identifier={identifier['system']}|{identifier['value']}"
        assert post.json["for"]["reference"].startswith("http://127.0.0.1:8080/fhir/Patient/")
        assert "partOf" not in post.json


def test_a_partner_that_is_away_is_tried_again_later_and_gets_it_then(told: Told, ehr: Endpoint) -> None:
    knows(told, Partner("NORTHSIDE", fhir_base=ehr.address))
    ehr.answers += [503, 503]
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    sends(told)
    assert len(ehr.posts) == 1
    told.now = told.now.replace(minute=2)
    sends(told)
    told.now = told.now.replace(minute=5)
    sends(told)
    assert len(ehr.posts) == 3
    assert len({post.body for post in ehr.posts}) == 1


def test_what_a_partner_refuses_is_given_up_at_once_and_shown(told: Told, ehr: Endpoint) -> None:
    knows(told, Partner("NORTHSIDE", fhir_base=ehr.address))
    ehr.answers += [422]
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    sends(told)
    with told.gateway.store.snapshot(STAFF) as tx:
        (line,) = tx.outbox.list("dead")
    assert (line.kind, line.last_error) == ("request", "HTTP 422")


def test_reminders_are_sent_until_answered_and_then_staff_take_over(told: Told, ehr: Endpoint) -> None:
    knows(told, Partner("NORTHSIDE", fhir_base=ehr.address))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc", "pathology-report"])
    sends(told)
    assert len(ehr.posts) == 2
    told.receives(messages.pathology())
    told.passes(days=3, hours=1)
    sends(told)
    assert len(ehr.posts) == 3, "only what is still open is reminded"
    told.passes(days=3)
    sends(told)
    assert len(ehr.posts) == 4
    assert len({post.json["identifier"][0]["value"] for post in ehr.posts}) == 4
    told.passes(days=4)
    sends(told)
    task = request_for(told, "lab-cbc")
    assert (task["priority"], task["businessStatus"]["coding"][0]["code"]) == ("urgent", "escalated")
    assert [note["text"] for note in task["note"]] == ["Reminder sent", "Reminder sent", "Not answered by its due date"]
    assert validate(task) == []
    assert told.item("lab-cbc")["reason"] == "overdue"


def test_a_closed_case_is_not_chased(told: Told, ehr: Endpoint) -> None:
    knows(told, Partner("NORTHSIDE", fhir_base=ehr.address))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    told.gateway.actions.move(STAFF, "REF-1", "decline", "no capacity")
    told.passes(days=20)
    sends(told)
    assert ehr.posts == []
    assert "businessStatus" not in request_for(told, "lab-cbc")
