"""The case state machine: the table is sound, refusals name what is legal, and writes on the Task go through it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.cases.machine import (
    BY_BUSINESS,
    BY_NAME,
    CASE_STATE_SYSTEM,
    CASE_STATES,
    TABLE,
    TRANSITIONS,
    IllegalTransition,
    check_task_write,
    legal,
    move,
    rule_event,
    state_of,
)
from fhir_gateway.cases.model import Gate, Judgement

ACTORS = ("clinic", "referrer", "rule")
TASK_STATUSES = {
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
    "cancelled",
    "entered-in-error",
}


def task(state: str, **content: Any) -> dict[str, Any]:
    row = BY_NAME[state]
    return {
        "resourceType": "Task",
        "status": row.task,
        "intent": "order",
        "businessStatus": {"coding": [{"system": CASE_STATE_SYSTEM, "code": row.business}]},
        "focus": {"reference": "ServiceRequest/ref"},
        "for": {"reference": "Patient/ines"},
    } | content


def gates(records: str, permission: str) -> dict[str, Gate]:
    return {"records": Gate("records", records), "permission": Gate("permission", permission), "money": Gate("money", "indeterminate")}  # type: ignore[arg-type]


def test_every_transition_is_between_states_of_the_crosswalk_and_said_once() -> None:
    assert {row.source for row in TRANSITIONS} | {row.to for row in TRANSITIONS} <= set(BY_NAME)
    assert len(TABLE) == len(TRANSITIONS)
    assert len(BY_BUSINESS) == len(CASE_STATES)
    assert {state.task for state in CASE_STATES} <= TASK_STATUSES


def test_every_state_can_be_reached_from_received_and_only_error_is_final() -> None:
    reached, ahead = {"received"}, ["received"]
    while ahead:
        here = ahead.pop()
        for row in TRANSITIONS:
            if row.source == here and row.to not in reached:
                reached.add(row.to)
                ahead.append(row.to)
    assert reached == set(BY_NAME)
    assert {name for name in BY_NAME if not any(row.source == name for row in TRANSITIONS)} == {"entered-in-error"}


@given(st.lists(st.tuples(st.sampled_from(sorted({row.event for row in TRANSITIONS})), st.sampled_from(ACTORS)), max_size=30))
def test_whatever_is_tried_the_case_stays_in_the_table(tries: list[tuple[str, str]]) -> None:
    state = "received"
    for event, actor in tries:
        allowed = {row.event for row in legal(state, actor)}
        if event in allowed:
            state = move(state, event, actor).to
        else:
            with pytest.raises(IllegalTransition) as refused:
                move(state, event, actor)
            assert set(refused.value.legal) == allowed
    assert state in BY_NAME


def test_a_refusal_names_the_legal_events() -> None:
    with pytest.raises(
        IllegalTransition, match="issue-opinion is not possible in state received; possible now: accept, request-information"
    ) as refused:
        move("received", "issue-opinion", "clinic")
    assert "decline" in refused.value.legal


def test_only_the_clinic_accepts() -> None:
    with pytest.raises(IllegalTransition, match="accept is for clinic, not referrer"):
        move("received", "accept", "referrer")


def test_the_opinion_may_still_come_after_a_request_to_cancel() -> None:
    assert move("in-review", "cancel-request", "referrer").to == "cancel-requested"
    assert move("cancel-requested", "issue-opinion", "clinic").to == "opinion-issued"


def test_the_rule_completes_a_case_on_records_and_permission_not_on_money() -> None:
    assert rule_event("collecting", gates("satisfied", "satisfied")) == "records-complete"
    assert rule_event("collecting", gates("satisfied", "not-satisfied")) is None
    assert rule_event("received", gates("satisfied", "satisfied")) is None


@pytest.mark.parametrize(("reason", "event"), [("retracted", "record-retracted"), ("stale", "record-stale"), (None, "records-incomplete")])
def test_a_complete_case_that_stops_being_so_goes_back(reason: str | None, event: str) -> None:
    lacking = [Judgement("pathology-report", "missing", reason)]
    assert rule_event("records-complete", gates("not-satisfied", "satisfied"), lacking) == event
    assert move("records-complete", event, "rule").to == "collecting"


@pytest.mark.parametrize("state", [state.name for state in CASE_STATES])
def test_the_task_says_the_state_exactly(state: str) -> None:
    assert state_of(task(state)) == state


def test_a_task_without_our_business_status_says_it_roughly() -> None:
    assert state_of(None) == "received"
    assert state_of({"status": "completed"}) == "opinion-issued"
    assert state_of({"status": "in-progress", "businessStatus": {"text": "busy"}}) == "collecting"
    assert state_of({"status": 7, "businessStatus": "?"}) == "received"


def test_a_write_on_the_task_is_a_legal_transition_or_refused() -> None:
    assert check_task_write(task("received"), task("received", note=[{"text": "called"}])) is None
    accepted = check_task_write(task("received"), task("accepted"))
    assert accepted is not None
    assert accepted.event == "accept"
    with pytest.raises(IllegalTransition, match="opinion-issued can't be reached in state received"):
        check_task_write(task("received"), task("opinion-issued"))
    with pytest.raises(IllegalTransition, match="possible now: cancel"):
        check_task_write(task("received"), task("accepted"), "referrer")


def test_a_write_of_the_status_alone_is_read_as_the_plainest_state() -> None:
    only_status = task("received") | {"status": "accepted"}
    row = check_task_write(task("received"), only_status)
    assert row is not None
    assert row.to == state_of(only_status) == "accepted"
    with pytest.raises(IllegalTransition, match="does not go with"):
        check_task_write(task("received"), task("received") | {"status": "ready"})


def test_a_status_that_contradicts_its_business_status_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="does not go with"):
        check_task_write(task("received"), task("accepted") | {"status": "completed"})


@pytest.mark.parametrize("element", ["focus", "for"])
def test_a_case_keeps_its_referral_and_its_patient(element: str) -> None:
    with pytest.raises(IllegalTransition, match=f"Task.{element} of a case can't be changed"):
        check_task_write(task("received"), task("received", **{element: {"reference": "ServiceRequest/other"}}))
