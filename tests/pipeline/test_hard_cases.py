"""The hard cases of DOMAIN 3.4, told through the entrances."""

from __future__ import annotations

from typing import Any

from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told


def order(patient: str, code: str = "58410-2") -> dict[str, Any]:
    """A transaction with an order for a test."""
    resource = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": resource, "request": {"method": "POST", "url": "ServiceRequest"}}],
    }


def test_two_referrals_for_one_question_are_shown_once_and_not_merged(told: Told) -> None:
    told.receives(messages.referral("REF-1"))
    told.receives(messages.referral("REF-2"))
    told.receives(messages.referral("REF-2", made="20260911080000-0500"))
    (issue,) = told.found("DetectedIssue")
    assert validate(issue) == []
    assert issue["code"]["coding"][0]["code"] == "two-referrals"
    assert {i["reference"].removeprefix("ServiceRequest/") for i in issue["implicated"]} == {case["id"] for case in told.cases()}
    assert len(told.cases()) == 2


def test_one_patient_with_two_different_cancers_has_two_cases_and_no_issue(told: Told) -> None:
    told.receives(messages.referral("REF-1", diagnosis="C50.411"))
    told.receives(messages.referral("REF-2", diagnosis="C34.11"))
    assert told.found("DetectedIssue") == []
    assert {case["tumourGroup"] for case in told.cases()} == {"breast", "lung"}


def test_a_blood_count_two_cases_need_counts_for_both(told: Told) -> None:
    told.receives(messages.referral("REF-1", diagnosis="C50.411"))
    told.receives(messages.referral("REF-2", diagnosis="C34.11"))
    told.receives(messages.blood_count())
    assert {told.item("lab-cbc", case["id"])["state"] for case in told.cases()} == {"accepted"}


def test_an_order_for_a_test_that_is_held_is_noticed_and_its_day_named(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count(collected="20260901"))
    (patient,) = told.found("Patient")
    status, answer = told.posts(order(patient["id"]))
    assert status == 200
    assert "do not repeat" in answer["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"]
    (issue,) = told.found("DetectedIssue")
    assert validate(issue) == []
    assert issue["code"]["coding"][0]["code"] == "test-already-held"
    assert "2026-10-01" in issue["detail"]
    assert len(told.cases()) == 1, "an order for a blood count opens no case"


def test_an_order_for_a_test_that_has_gone_stale_is_not_stopped(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count(collected="20260901"))
    told.passes(days=40)
    (patient,) = told.found("Patient")
    told.posts(order(patient["id"]))
    assert told.found("DetectedIssue") == []


def test_a_cancelled_result_reopens_its_item(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(messages.pathology(status="X", reported="20260908100000-0500", made="20260908100100-0500"))
    item = told.item("pathology-report")
    assert (item["state"], item["reason"]) == ("missing", "cancelled")


def test_a_message_a_week_late_changes_nothing_that_is_newer(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(status="C", reported="20260908100000-0500", made="20260908100100-0500"))
    told.passes(days=7)
    told.receives(messages.pathology(status="F", reported="20260901100000-0500", made="20260901100100-0500"))
    (report,) = told.found("DiagnosticReport")
    assert report["status"] == "corrected"


def test_duplicates_under_other_control_ids_make_one_record(told: Told) -> None:
    told.receives(messages.referral())
    for made in ("20260905100500-0500", "20260905110500-0500", "20260905100500-0500"):
        told.receives(messages.pathology(made=made))
    assert told.count("DiagnosticReport") == 1
    assert told.count("Observation", code="http://loinc.org|85337-4") == 1


def revoke(told: Told, status: str = "revoked") -> int:
    (referral,) = [r for r in told.found("ServiceRequest") if "category" in r]
    entry = {"resource": {**referral, "status": status}, "request": {"method": "PUT", "url": f"ServiceRequest/{referral['id']}"}}
    return told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0]


def test_a_referral_withdrawn_before_work_began_is_cancelled(told: Told) -> None:
    told.receives(messages.referral())
    assert revoke(told) == 200
    (task,) = told.found("Task")
    assert task["status"] == "cancelled"
    assert told.cases() == []


def test_a_referral_withdrawn_later_asks_the_clinic_which_may_refuse_or_confirm(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    told.gateway.actions.move(STAFF, "REF-1", "collect")
    revoke(told)
    assert told.case()["case"]["state"] == "cancel-requested"
    assert told.gateway.actions.move(STAFF, "REF-1", "refuse-cancel", "the slides are under the microscope")["case"]["state"] == "collecting"
    told.receives(messages.pathology())
    assert told.case()["case"]["state"] == "collecting", "a refused withdrawal is not asked again"
    revoke(told)
    assert told.gateway.actions.move(STAFF, "REF-1", "confirm-cancel")["case"]["state"] == "cancelled"


def test_an_opinion_may_still_be_issued_after_cancellation_was_asked(told: Told) -> None:
    told.receives(messages.referral())
    for event in ("accept", "collect"):
        told.gateway.actions.move(STAFF, "REF-1", event)
    revoke(told)
    assert told.opines()["case"]["state"] == "opinion-issued"


def test_a_referral_sent_in_error_voids_its_case(told: Told) -> None:
    told.receives(messages.referral())
    revoke(told, "entered-in-error")
    assert told.found("Task")[0]["status"] == "entered-in-error"


def test_a_no_show_and_a_cancelled_appointment_move_the_case_and_a_new_booking_moves_it_back(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.receives(messages.appointment("S15", "20260928090000-0500", made="20260912080000-0500", status="Cancelled"))
    assert told.case()["case"]["state"] == "appt-cancelled"
    told.receives(messages.appointment("S12", "20261005090000-0500", made="20260913080000-0500"))
    assert told.case()["case"]["state"] == "scheduled"
    told.receives(messages.appointment("S26", "20261005090000-0500", made="20261005200000-0500", status="Noshow"))
    assert told.case()["case"]["state"] == "no-show"


def test_a_report_whose_every_value_was_sent_for_the_wrong_patient_reopens_its_item(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    taken_back = messages.pathology(status="C", reported="20260908100000-0500", made="20260908100100-0500").replace(b"||||||C\r", b"||||||W\r")
    assert told.receives(taken_back)[0] == "AA"
    assert told.found("DiagnosticReport")[0]["status"] == "entered-in-error"
    item = told.item("pathology-report")
    assert (item["state"], item["reason"]) == ("missing", "retracted")
    assert told.item("er")["state"] == "missing"


def test_a_referral_nobody_accepts_expires_where_the_clinic_wants_that_and_comes_back_when_sent_again(told: Told) -> None:
    told.gateway.settings.expire_days = 30
    told.receives(messages.referral())
    told.passes(days=29)
    assert told.case()["case"]["state"] == "received"
    told.passes(days=2)
    assert told.case("REF-1")["case"]["state"] == "expired"
    told.passes(days=1)
    told.receives(messages.referral(made="20261012080000-0500"))
    assert told.case()["case"]["state"] == "received"


def test_an_accepted_referral_does_not_expire_by_itself(told: Told) -> None:
    told.gateway.settings.expire_days = 30
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    told.passes(days=90)
    assert told.case()["case"]["state"] == "accepted"


def test_one_result_withdrawn_out_of_a_report_is_not_found_in_its_narrative(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    corrected = messages.pathology(status="C", reported="20260908100000-0500", made="20260908100100-0500")
    receptor = corrected.index(b"OBX|2")
    told.receives(corrected[:receptor] + corrected[receptor:].replace(b"||||||C\r", b"||||||W\r"))
    assert told.item("pathology-report")["state"] == "accepted"
    assert (told.item("er")["state"], told.item("er")["reason"]) == ("missing", "retracted")
