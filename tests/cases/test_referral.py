"""What opens a case, and the Task that stands for it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.machine import CASE_STATES, check_task_write, state_of
from fhir_gateway.cases.referral import is_referral, moved, second_opinion, task_for
from fhir_gateway.validation import validate
from profiles.valuesets import load
from tests.cases.story import REFERRAL, V2, moment

Json = dict[str, Any]
CODES = load()


def order(element: str = "code", system: str = "http://loinc.org", code: str = "24606-6") -> Json:
    concept: Any = {"coding": [{"system": system, "code": code}]}
    return {"resourceType": "ServiceRequest", "id": "x", element: concept if element == "code" else [concept]}


@pytest.mark.parametrize(
    ("request_", "focused", "has_results", "referral"),
    [
        (order(), False, False, False),
        (order(), True, False, True),
        (order(code="57133-1"), False, False, True),
        (order("category", "http://snomed.info/sct", "3457005"), False, False, True),
        (order("category", V2 + "0282", "SO"), False, False, True),
        (order("category", "http://snomed.info/sct", "3457005"), False, True, False),
        (order("category", "http://snomed.info/sct", "3457005"), True, True, True),
        ({"resourceType": "ServiceRequest", "category": "odd", "code": [None]}, False, False, False),
    ],
)
def test_a_referral_is_focused_on_or_says_so(request_: Json, focused: bool, has_results: bool, referral: bool) -> None:
    assert is_referral(request_, focused, CODES["referral"], has_results=has_results) is referral


@pytest.mark.parametrize(
    ("request_", "confirmed"),
    [
        (order("reasonCode", V2 + "0336", "S"), True),
        (order("category", V2 + "0282", "SO"), True),
        (order("category", V2 + "0282", "WR"), False),
        (order("reasonCode", "http://terminology.hl7.org/CodeSystem/v2-0123", "S"), False),
    ],
)
def test_so_or_s_confirms_a_second_opinion(request_: Json, confirmed: bool) -> None:
    assert second_opinion(request_, CODES["second-opinion"]) is confirmed


def test_the_coordination_task_is_valid_and_points_to_its_referral() -> None:
    task = task_for(REFERRAL | {"performer": [{"reference": "Organization/clinic"}]}, now=moment().now, confirmed=False, flagged=True)
    assert validate(task) == []
    assert task["focus"] == {"reference": "ServiceRequest/ref"}
    assert task["groupIdentifier"]["value"] == "REF-2026-0417"
    assert task["owner"] == {"reference": "Organization/clinic"}
    assert [tag["code"] for tag in task["meta"]["tag"]] == ["unconfirmed", "no-tumour-group"]
    assert state_of(task) == "received"


def test_a_confirmed_case_carries_no_mark() -> None:
    assert "meta" not in task_for(REFERRAL, now=moment().now, confirmed=True)


@pytest.mark.parametrize("state", [state.name for state in CASE_STATES])
def test_a_moved_task_is_valid_in_every_state(state: str) -> None:
    task = moved(task_for(REFERRAL, now=moment().now, confirmed=True), state, moment("2026-09-12").now)
    assert validate(task) == []
    assert state_of(task) == state
    assert check_task_write(task, task) is None
