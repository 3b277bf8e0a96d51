"""What the store serves: the shipped lists seeded once, told apart from a clinic's own, found by diagnosis, and watched at the price of one number."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_gateway.cases.choice import categories
from fhir_gateway.cases.inforce import is_seed, newer
from fhir_gateway.pipeline.checklists import Checklists
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.validation import encode
from profiles import plandefinitions
from tests.messages import referral
from tests.pipeline.conftest import STAFF, Told

Json = dict[str, Any]
URL = "urn:second-opinion-gateway:PlanDefinition:breast"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"


def shipped(version: str) -> dict[str, Json]:
    """What another version of this program ships: its own breast list."""
    plans = copy.deepcopy(plandefinitions.load())
    plans["breast"] |= {"version": version, "title": f"Breast, {version}"}
    return plans


def starts(told: Told, version: str) -> None:
    Checklists(shipped(version)).seed(told.gateway.store, told.now)


def stored(told: Told) -> Json:
    return told.gateway.fhir.read(STAFF, "PlanDefinition", "breast").resource


def test_the_shipped_lists_are_there_after_a_start_and_the_same_after_the_next(told: Told) -> None:
    assert told.count("PlanDefinition") == 16
    told.gateway.start()
    assert {plan["meta"]["versionId"] for plan in told.found("PlanDefinition", _count="50")} == {"1"}


def test_a_newer_program_brings_its_lists_and_an_older_one_leaves_them(told: Told) -> None:
    told.receives(referral())
    starts(told, "1.1.0")
    assert (stored(told)["version"], stored(told)["meta"]["versionId"], is_seed(stored(told))) == ("1.1.0", "2", True)
    starts(told, "1.0.9")
    assert stored(told)["version"] == "1.1.0"
    assert told.case()["case"]["checklist"] == f"{URL}|1.1.0"  # this process ships 1.0.0, the database says what is in force


def test_a_list_the_clinic_edited_is_left_alone(told: Told) -> None:
    edited = stored(told) | {"status": "active"}
    assert not is_seed(edited)
    told.gateway.fhir.update(STAFF, "PlanDefinition", "breast", encode(edited), None)
    starts(told, "1.1.0")
    assert (stored(told)["version"], stored(told)["status"]) == ("1.0.0", "active")


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ("C50", True),
        ("C50.411", True),
        ("C50411", True),
        (f"{ICD10CM}|C50.411", True),
        ("http://hl7.org/fhir/sid/icd-10|C50.4", True),
        ("C61,C50.9", True),
        ("254837009", True),
        ("C5", False),
        ("urn:example:local|C50.411", False),
        ("C64.1", False),
    ],
)
def test_the_list_for_a_diagnosis_is_found_by_its_code_or_a_more_specific_one(told: Told, context: str, found: bool) -> None:
    assert ("breast" in {plan["id"] for plan in told.found("PlanDefinition", context=context)}) is found


def test_lists_are_found_by_what_they_are_called(told: Told) -> None:
    for query in ({"url": URL}, {"name": "breastsecond"}, {"title:contains": "breast cancer"}, {"url": URL, "version": "1.0.0", "status": "draft"}):
        assert [plan["id"] for plan in told.found("PlanDefinition", **query)] == ["breast"], query


def test_the_categories_above_a_code() -> None:
    assert categories("c50.41") == ["C50.41", "C5041", "C50.4", "C504", "C50"]
    assert categories("C50") == ["C50"]


@pytest.mark.parametrize(("one", "other"), [("1.10", "1.9"), ("2", "1.9.9"), ("1.0.1", "1.0"), ("2026.1", "2026.beta")])
def test_a_later_version_is_newer(one: str, other: str) -> None:
    assert newer(one, other)
    assert not newer(other, one)
    assert not newer(one, one)


def test_the_plans_are_read_again_only_when_one_was_written(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = told.gateway.casework.checklists
    reads: list[str] = []
    original = Checklists.lists
    monkeypatch.setattr(Checklists, "lists", lambda self, *given: reads.append("plans") or original(self, *given))
    told.receives(referral())
    first = len(reads)
    for number in range(3):
        told.receives(referral(f"REF-{number + 2}", mrn=f"77{number}", family=f"Vale{number}"))
    assert len(reads) == first <= 1
    with told.gateway.store.transaction(GATEWAY, told.now) as tx:
        before = lists.current(tx)
        tx.resources.update(tx.resources.read("PlanDefinition", "breast").resource)  # type: ignore[union-attr]
        assert tx.resources.generation("PlanDefinition") is None
        assert lists.current(tx) is not before
    with told.gateway.store.snapshot(GATEWAY) as tx:
        assert lists.current(tx) is lists.current(tx)
