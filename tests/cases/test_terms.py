"""The code systems say every word the rules can say, and no other."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings

from fhir_gateway.cases import acceptance, decisions, machine, model, referral
from tests.cases.arrivals import RECORDS, TASKS, VISITS
from tests.cases.story import Case, checklist, plans

PROFILES = Path(__file__).parents[2] / "profiles"


@cache
def codes(name: str) -> set[str]:
    system = json.loads((PROFILES / "codesystem" / f"{name}.json").read_text(encoding="utf-8"))
    return {concept["code"] for concept in system["concept"]}


@pytest.mark.parametrize("path", sorted([*PROFILES.glob("codesystem/*.json"), *PROFILES.glob("valueset/*.json")]), ids=lambda path: path.stem)
def test_the_files_are_valid_and_named_after_what_they_hold(path: Path) -> None:
    resource = json.loads(path.read_text(encoding="utf-8"))
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert resource["id"] == path.stem
    assert resource["url"] == f"urn:second-opinion-gateway:{resource['resourceType']}:{path.stem}"


def test_case_states_and_item_states() -> None:
    assert codes("case-state") == {state.business for state in machine.CASE_STATES}
    assert codes("item-state") == set(model.ItemState.__args__)
    assert codes("case-tag") == {referral.UNCONFIRMED, referral.NO_TUMOUR_GROUP}


def test_every_standing_has_words() -> None:
    assert {reason for _, reason in acceptance.STANDING.values()} | {decisions.CONFIRMED} <= codes("item-reason")


@settings(max_examples=60)
@given(RECORDS, TASKS, VISITS)
def test_every_reason_and_state_an_evaluation_gives_has_words(records: list[Any], tasks: list[Any], visit: Any) -> None:
    items = Case(tasks=tasks, appointment=visit).receives(*records).evaluation().items
    assert {item.state for item in items} <= codes("item-state")
    assert {item.reason for item in items if item.reason} <= codes("item-reason")


def test_every_question_of_every_list_has_its_code() -> None:
    asked = {question for name in plans() for question in checklist(name).questions}
    assert codes("question") == asked | {"treatment-start"}
