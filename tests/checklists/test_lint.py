"""What is doubtful about a list although it compiles; the shipped lists are free of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fhir_gateway.cases.lint import lint, loinc_check_digit
from profiles import plandefinitions
from profiles.canonical import canonical

Json = dict[str, Any]
BASE = plandefinitions.load()["base"]


def remarks(*plans: Json, only: str | None = None) -> list[tuple[str, str, str]]:
    named = {"base": BASE} | {plan["id"]: plan for plan in plans}
    return [(one.item, one.kind, one.text) for one in lint(named, lambda plan: BASE if plan is not BASE else None, only)]


def er(**changes: Any) -> Json:
    """The breast list with another oestrogen receptor item."""
    plan = copy.deepcopy(plandefinitions.load()["breast"])
    next(action for action in plan["action"] if action["id"] == "er").update(changes)
    return plan


def test_nothing_is_doubtful_about_the_shipped_lists() -> None:
    assert remarks(*plandefinitions.load().values()) == []


@pytest.mark.parametrize(
    ("plan", "kind", "words"),
    [
        (er(input=[{"type": "Binary"}]), "nothing-matches", "no record of type Binary"),
        (er(input=[{"type": "Observation", "codeFilter": [{"path": "method", "code": [{"code": "x"}]}]}]), "nothing-matches", "not read by method"),
        (er(documentation=[]), "citation", "nobody's word"),
        (er(documentation=[{"type": "citation", "citation": "A paper"}]), "citation", "cited or the item proposed"),
        (er(code=[{"coding": [{"system": "http://loinc.org", "code": "85337-5"}]}]), "code", "the check digit of 85337 is 4"),
        (er(code=[{"coding": [{"system": "http://loinc.org", "code": "ER"}]}]), "code", "no LOINC code"),
        (er(requiredBehavior="should"), "compile", "is one of"),
    ],
)
def test_a_doubtful_item_is_named(plan: Json, kind: str, words: str) -> None:
    found = remarks(plan)
    assert [(item, of) for item, of, text in found if words in text] == [("er", kind)], found


def asked(expression: str) -> Json:
    return er(
        condition=[
            {"kind": "applicability", "expression": {"name": "surgery-planned", "description": "Is surgery planned?", "expression": expression}}
        ]
    )


@pytest.mark.parametrize(
    ("expression", "doubtful"),
    [
        ("%age < 40", True),
        ("%age < 40 or %`surgery-planned`.anyTrue()", False),
        ("%coverages.exists()", False),  # yes or no, whatever is held
    ],
)
def test_a_condition_that_no_answer_settles_is_named(expression: str, doubtful: bool) -> None:
    assert [kind for _, kind, _ in remarks(asked(expression))] == (["undecidable"] if doubtful else [])


def test_two_lists_for_one_diagnosis_are_named() -> None:
    own = er() | {"id": "own", "useContext": copy.deepcopy(er()["useContext"])[:1]}
    own["useContext"][0]["valueCodeableConcept"]["coding"][0]["code"] = "C50.4"
    ((_, kind, text),) = remarks(er(), own)
    assert (kind, "C50" in text and "own" in text) == ("focus", True)


def test_a_range_is_no_focus() -> None:
    ranged = er() | {"useContext": copy.deepcopy(er()["useContext"])[:1]}
    ranged["useContext"][0]["valueCodeableConcept"]["coding"][0]["code"] = "C51-C57"
    assert [kind for _, kind, _ in remarks(ranged)] == ["diagnosis"]


def urgent(**extension: Any) -> Json:
    return er() | {"extension": [{"url": canonical("StructureDefinition", "urgent-review-days"), **extension}]}


def test_an_urgent_lead_time_needs_its_condition() -> None:
    assert [kind for _, kind, _ in remarks(urgent(valueInteger=1))] == ["urgent"]


@pytest.mark.parametrize(("code", "digit"), [("11529", 5), ("2857", 1), ("85337", 4), ("718", 7)])
def test_the_check_digit_of_a_loinc_code(code: str, digit: int) -> None:
    assert loinc_check_digit(code) == digit


def test_each_kind_of_remark_is_independent_of_the_others() -> None:
    change: Callable[..., Json] = er
    both = change(documentation=[], code=[{"coding": [{"system": "http://loinc.org", "code": "85337-5"}]}])
    assert sorted(kind for _, kind, _ in remarks(both)) == ["citation", "code"]
