"""Stories about time: what is recent enough, until when, what is due, and when to look again."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fhir_gateway.cases.checklist import compile_checklist
from fhir_gateway.cases.completeness import evaluate
from fhir_gateway.cases.days import Span, business_days_before, instant, month_end, span
from fhir_gateway.cases.model import Moment, Policy
from fhir_gateway.coverage.authorisation import Item, standing
from profiles.canonical import canonical
from tests.cases.story import CLINIC_ZONE, REFERRAL, Case, answers, appointment, consent, images, item_task, mammogram, moment, note, plans, result

VISIT = "2026-10-01T14:00:00-04:00"


def test_recency_is_measured_against_today_until_an_appointment_is_booked() -> None:
    case = Case().receives(mammogram("2026-03-20"))
    assert case.item("mammography-report").state == "accepted"
    assert case.booked("2026-09-19T10:00:00-04:00").item("mammography-report").state == "accepted"
    found = case.booked(VISIT).item("mammography-report")
    assert (found.state, found.gap_status, found.good_until) == ("expiring", "prospective-gap", date(2026, 9, 19))


def test_moving_the_appointment_recomputes_and_moving_it_back_restores() -> None:
    case = Case().receives(result("58410-2", on="2026-09-05"))
    near, far = case.booked("2026-10-01T09:00:00-04:00"), case.booked("2026-11-20T09:00:00-05:00")
    assert [c.item("lab-cbc").state for c in (near, far, near)] == ["accepted", "expiring", "accepted"]
    assert far.item("lab-cbc", "2026-10-06").state == "not-acceptable"
    assert far.item("lab-cbc", "2026-10-06").reason == "stale"


def test_a_record_good_at_the_visit_stays_good_after_it() -> None:
    case = Case().receives(result("58410-2", on="2026-09-05")).booked(VISIT)
    assert case.item("lab-cbc", "2027-01-01").state == "accepted"


def test_a_cancelled_appointment_is_none() -> None:
    case = Case(appointment=appointment(VISIT, "cancelled"))
    assert case.evaluation().appointment is None
    assert case.evaluation().due is None


def test_due_is_business_days_before_the_visit() -> None:
    case = Case().booked(VISIT)
    assert case.evaluation().due == date(2026, 9, 24)
    with_holiday = moment(holidays=[date(2026, 9, 25)])
    assert case.evaluation(with_holiday).due == date(2026, 9, 23)


def test_the_clinic_chooses_its_lead_time_and_a_checklist_may_choose_another() -> None:
    assert Case(policy=Policy(review_days=2)).booked(VISIT).evaluation().due == date(2026, 9, 29)
    own = compile_checklist(plans()["breast"] | {"extension": [review_days(8)]}, plans()["base"])
    assert evaluate(Case().booked(VISIT).file(), own, moment()).due == date(2026, 9, 21)
    slow = copy.deepcopy(plans()["breast"])
    slow["action"][0]["extension"].append(review_days(10))
    judged = evaluate(Case().booked(VISIT).file(), compile_checklist(slow, plans()["base"]), moment())
    assert [item.due for item in judged.items if item.item in ("mammography-report", "mammography-images")] == [date(2026, 9, 17), date(2026, 9, 24)]


def review_days(days: int) -> dict[str, object]:
    return {"url": canonical("StructureDefinition", "review-days"), "valueInteger": days}


def test_the_visit_day_is_the_clinics_day() -> None:
    late = Case().booked("2026-10-02T01:30:00+00:00")
    assert late.evaluation().due == date(2026, 9, 24)


def test_a_month_without_a_day_is_held_for_a_person_when_the_day_would_decide() -> None:
    case = Case().receives(mammogram("2026-03"))
    assert case.item("mammography-report", "2026-08-30").state == "accepted"
    assert case.item("mammography-report", "2026-09-10").reason == "date-imprecise"
    assert case.item("mammography-report", "2026-10-05").reason == "stale"


def test_a_result_without_a_clinical_date_is_not_dated_by_its_arrival() -> None:
    found = Case().receives(result("58410-2", on=None, issued="2026-09-05T10:00:00Z")).item("lab-cbc")
    assert (found.state, found.reason) == ("received", "undated")
    assert Case().receives(result("85337-4", on=None)).item("er").state == "accepted"


def test_the_answer_says_when_time_alone_would_change_it() -> None:
    case = Case().receives(mammogram("2026-03-20"))
    change = case.evaluation().next_change
    assert change == datetime(2026, 9, 20, 4, 0, tzinfo=UTC)
    before, after = (Moment(at, CLINIC_ZONE) for at in (change - timedelta(seconds=1), change))
    assert [case.item("mammography-report", at).state for at in (before, after)] == ["accepted", "not-acceptable"]


def test_nothing_more_to_wait_for() -> None:
    assert Case().receives(note("34805-2", on="2020-01-01")).evaluation().next_change is None


@pytest.mark.parametrize(
    ("task", "state_then"),
    [
        (item_task("item-waiver", "pathology-slides", "completed", restriction={"period": {"end": "2026-09-15"}}), "missing"),
        (item_task("record-request", "pathology-slides", "requested", restriction={"period": {"end": "2026-09-15"}}), "requested"),
    ],
)
def test_a_decision_with_an_end_is_looked_at_again_when_it_ends(task: dict[str, object], state_then: str) -> None:
    case = Case(tasks=[task])
    change = case.evaluation().next_change
    assert change == datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
    assert case.item("pathology-slides", Moment(change, CLINIC_ZONE)).state == state_then


def test_a_due_date_that_passes_is_a_change() -> None:
    case = Case().booked(VISIT)
    assert case.evaluation().next_change == datetime(2026, 9, 25, 4, 0, tzinfo=UTC)


def test_priors_grow_old_enough_by_waiting() -> None:
    case = Case().receives(images(on="2024-09-20"))
    assert case.item("breast-priors").state == "not-acceptable"
    assert date(2026, 9, 20) in case.item("breast-priors").changes
    assert case.item("breast-priors", "2026-09-20").state == "accepted"


def test_a_consent_that_runs_out_before_the_visit_is_a_prospective_gap() -> None:
    lasting = consent(provision={"period": {"end": "2026-09-20"}})
    case = Case().receives(lasting)
    assert case.item("release-consent").state == "accepted"
    found = case.booked(VISIT).item("release-consent")
    assert (found.state, found.reason) == ("expiring", "consent-lapsed")
    assert case.item("release-consent", "2026-09-21").state == "not-acceptable"


def test_the_planned_start_of_treatment_is_the_day_to_decide_by() -> None:
    assert Case().evaluation().decide_by is None
    asked = Case(referral=REFERRAL | {"occurrencePeriod": {"end": "2026-10-20"}})
    assert asked.evaluation().decide_by == date(2026, 10, 20)
    answered = asked.receives(answers(treatment_start="2026-10-12"))
    assert answered.evaluation().decide_by == date(2026, 10, 12)


def test_as_of_an_earlier_day_is_the_answer_of_that_day() -> None:
    case = Case().receives(mammogram("2026-03-20"))
    assert [case.item("mammography-report", day).state for day in ("2026-09-19", "2026-09-20")] == ["accepted", "not-acceptable"]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-02-03", "2026-02-03", "2026-02-03"),
        ("2026-02-03T03:00:00Z", "2026-02-02", "2026-02-02"),
    ],
)
def test_a_fhir_date_is_a_span_of_days_in_the_clinics_zone(text: str, low: str, high: str) -> None:
    assert span(text, CLINIC_ZONE) == (date.fromisoformat(low), date.fromisoformat(high))


@pytest.mark.parametrize("text", ["", "2026-13", "soon", "2026-02-30", None, 20260203, "9999-12-31T23:59:59-14:00x"])
def test_what_is_no_date_is_no_span(text: object) -> None:
    assert span(text, CLINIC_ZONE) is None


def test_the_calendar_has_ends() -> None:
    assert business_days_before(date.min, 5, ()) == date.min
    assert month_end(date(2024, 2, 10)) == date(2024, 2, 29)


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-31", "0001"])
def test_the_ends_of_the_calendar_break_nothing(created: str) -> None:
    about = {"use": "preauthorization", "status": "active", "created": created, "preAuthPeriod": {"start": created[:10], "end": "9999-12-31"}}
    claim, answer = ({"resourceType": type, "id": type, **about} for type in ("Claim", "ClaimResponse"))
    case = Case().receives({**claim}, {**answer, "outcome": "queued"}, {**plan_of(created)})
    assert case.evaluation().gates["money"].state != "satisfied" and instant(created) is None
    held = [Item("Claim/1", claim), Item("ClaimResponse/1", {**answer, "request": {"reference": "Claim/1"}, "outcome": "queued"})]
    stands = standing(True, held, Span(date(2026, 9, 10), date(2026, 9, 10)), UTC)
    assert stands.state == "pended" and stands.words(datetime(2026, 9, 10, tzinfo=UTC), UTC)


def plan_of(day: str) -> dict[str, Any]:
    return {"resourceType": "Coverage", "id": "plan", "status": "active", "period": {"start": day, "end": "9999-12-31T23:59:59Z"}}
