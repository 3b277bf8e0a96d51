"""What staff do: ask, waive, judge, move. Each is a Task a FHIR client could have written, and is refused where the rules say so."""

from __future__ import annotations

import pytest

from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told


def test_asking_makes_one_task_per_record_and_never_a_second_one(told: Told) -> None:
    told.receives(messages.referral())
    flat = told.gateway.actions.request(STAFF, "REF-1", ["pathology-report", "lab-cbc"])
    assert {i["id"] for i in flat["items"] if i["state"] == "requested"} == {"pathology-report", "lab-cbc"}
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    tasks = [task for task in told.found("Task") if "partOf" in task]
    assert len(tasks) == 2
    for task in tasks:
        assert validate(task) == []
        assert task["restriction"]["period"]["end"] == "2026-09-17"
        assert {"system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": "referral"} in task["meta"]["tag"]
        assert task["owner"] == told.found("ServiceRequest")[0]["requester"]


def test_asking_for_everything_lacking_leaves_out_what_is_optional_or_held(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    flat = told.gateway.actions.request(STAFF, "REF-1", [])
    states = {item["id"]: item["state"] for item in flat["items"]}
    assert states["lab-cbc"] == "requested"
    assert states["pathology-report"] == "accepted"
    left = [i for i in flat["items"] if i["state"] == "missing" and i["gapStatus"] != "not-applicable" and i["reason"] != "applicability-unknown"]
    assert left and all(set(i["suppliers"]) <= {"clinic", "payer"} for i in left), "what the clinic settles itself is not asked of the referrer"


def test_a_requested_record_that_comes_closes_its_item(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    told.receives(messages.pathology())
    assert told.item("pathology-report")["state"] == "accepted"


def test_the_referrer_says_it_cannot_supply(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc"])
    (task,) = [task for task in told.found("Task") if "partOf" in task]
    reason = {"coding": [{"system": "urn:second-opinion-gateway:CodeSystem:item-reason", "code": "no-matching-results"}]}
    answered = {**task, "status": "failed", "statusReason": reason}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": answered, "request": {"method": "PUT", "url": f"Task/{task['id']}"}}],
    }
    assert told.posts(bundle)[0] == 200
    item = told.item("lab-cbc")
    assert (item["state"], item["reason"]) == ("declined", "no-matching-results")


def test_a_waiver_holds_until_its_day_and_names_who_and_why(told: Told) -> None:
    told.receives(messages.referral())
    flat = told.gateway.actions.waive(STAFF, "REF-1", "pathology-slides", "re-review not wanted", told.now.date())
    assert next(i for i in flat["items"] if i["id"] == "pathology-slides")["state"] == "waived"
    (task,) = [task for task in told.found("Task") if "partOf" in task]
    assert task["note"][0]["authorString"] == STAFF.name and task["statusReason"]["text"] == "re-review not wanted"
    told.passes(days=2)
    assert told.item("pathology-slides")["state"] == "missing"


def test_what_may_not_be_waived_is_refused(told: Told) -> None:
    told.receives(messages.referral())
    with pytest.raises(InvalidError, match="can't be waived"):
        told.gateway.actions.waive(STAFF, "REF-1", "pathology-report", "no time")
    with pytest.raises(InvalidError, match="reason"):
        told.gateway.actions.waive(STAFF, "REF-1", "pathology-slides", " ")
    with pytest.raises(NotFoundError):
        told.gateway.actions.waive(STAFF, "REF-1", "no-such-item", "x")
    with pytest.raises(NotFoundError):
        told.gateway.actions.waive(STAFF, "NOBODY", "pathology-slides", "x")


def test_a_record_judged_as_somebody_elses_reopens_its_item(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    (report,) = told.found("DiagnosticReport")
    flat = told.gateway.actions.judge(STAFF, "REF-1", f"DiagnosticReport/{report['id']}", "wrong-patient")
    item = next(i for i in flat["items"] if i["id"] == "pathology-report")
    assert (item["state"], item["reason"]) == ("not-acceptable", "wrong-patient")
    told.gateway.actions.judge(STAFF, "REF-1", f"DiagnosticReport/{report['id']}", "confirmed")
    assert told.item("pathology-report")["state"] == "accepted"
    with pytest.raises(InvalidError, match="no verdict"):
        told.gateway.actions.judge(STAFF, "REF-1", f"DiagnosticReport/{report['id']}", "meh")
    with pytest.raises(NotFoundError):
        told.gateway.actions.judge(STAFF, "REF-1", "DiagnosticReport/nothing", "confirmed")


def test_a_case_goes_from_referral_to_opinion(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    assert told.gateway.actions.move(STAFF, "REF-1", "start-review")["case"]["state"] == "in-review"
    with pytest.raises(InvalidError, match="case opinion"):
        told.gateway.actions.move(STAFF, "REF-1", "issue-opinion")
    assert told.opines(interim=True)["case"]["state"] == "interim"
    assert told.opines()["case"]["state"] == "opinion-issued"
    (task,) = [task for task in told.found("Task") if "partOf" not in task]
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("completed", "opinion-final")
    assert told.found("ServiceRequest")[0]["status"] == "completed"
    assert told.cases() == [], "closed cases leave the worklist"
    told.gateway.actions.move(STAFF, "REF-1", "reopen", "a question from the referrer")
    assert told.cases()[0]["state"] == "in-review"


def test_declining_keeps_the_reason_and_leaves_the_request_to_its_placer(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "decline", "no sarcoma service here")
    (task,) = told.found("Task")
    assert (task["status"], task["statusReason"]["text"]) == ("rejected", "no sarcoma service here")
    assert told.found("ServiceRequest")[0]["status"] == "active"


def test_an_illegal_move_is_refused_with_the_legal_ones_named(told: Told) -> None:
    told.receives(messages.referral())
    with pytest.raises(TransitionError, match="accept"):
        told.gateway.actions.move(STAFF, "REF-1", "issue-opinion")
    assert told.case()["case"]["state"] == "received"


def test_staff_settle_an_unconfirmed_case_and_its_tag_goes(told: Told) -> None:
    told.receives(messages.referral(second_opinion=False, diagnosis="C64.1"))
    (task,) = told.found("Task")
    assert {tag["code"] for tag in task["meta"]["tag"]} == {"unconfirmed", "no-tumour-group"}
    told.gateway.actions.confirm(STAFF, "REF-1")
    assert told.cases()[0]["confirmed"] is True
    (task,) = told.found("Task")
    assert {tag["code"] for tag in task["meta"]["tag"]} == {"no-tumour-group"}
    told.receives(messages.pathology())
    assert told.cases()[0]["confirmed"] is True, "a later record does not unsettle it"
