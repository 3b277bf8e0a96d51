"""Answers kept by what they depend on: the same as asked anew, and never for an expression that asks the time."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from fhir_gateway.cases.expression import Expression, _kept, _sees
from tests.cases.story import checklist, plans

NOTHING: set[str] = set()
KNOWN = {"codes", "done", "stage", "coverages", "age"}


@pytest.mark.parametrize(
    ("source", "sees"),
    [
        ("%done", NOTHING),
        ("'58410-2' in %codes or %done", NOTHING),
        ("iif(%stage.exists(), 'IV' in %stage, %done)", NOTHING),
        ("%codes.where($this.matches('^5')).exists()", NOTHING),
        ("%coverages.where(type.coding.exists()).exists()", NOTHING),  # a path of each coverage, not of the case
        ("%stage.intersect('II' | 'III').exists()", NOTHING),
        ("reasonCode.exists()", {"reasonCode"}),
        ("identifier.where(value.exists()).count() > 1 and birthDate.exists()", {"identifier", "birthDate"}),
        ("name[0].given.exists()", {"name"}),
        ("name.combine(contact).exists()", {"name", "contact"}),
        ("%done and status = 'active'", {"status"}),
        ("iif(%done, status = 'active', false)", {"status"}),
        ("%codes.intersect(status).exists()", {"status"}),
        ("exists()", "the focus"),
        ("children().exists()", "the focus"),
        ("`name`.exists()", "the focus"),
        ("$this.status = 'active'", "the focus"),
        ("%codes.where($this in %context.status).exists()", "the focus"),
        ("%done and today() > @2026-01-01", "the time"),
        ("%codes.where(now() > @2026-01-01).exists()", "the time"),
    ],
)
def test_what_an_expression_looks_at_is_known(source: str, sees: str | set[str]) -> None:
    seen = _sees(source)
    assert seen == (sees if isinstance(sees, str) else sees and sees | {f"_{name}" for name in sees} | {"resourceType"})
    Expression(source, KNOWN)


def test_an_answer_goes_by_values_and_their_types() -> None:
    expression = Expression("%done = 1", KNOWN)
    assert [expression.truth({}, {"done": value}) for value in ([], 1, 2, 1, [1])] == [None, True, False, True, True]
    told = Expression("%done", KNOWN)
    assert [told.truth({}, {"done": value}) for value in (True, False, [], "variables")] == [True, False, None, True]
    assert told.truth({}, {"done": 1}) is told.truth({}, {"done": "word"}) is True


def test_a_record_that_changed_in_one_element_is_asked_anew() -> None:
    expression = Expression("payor.exists() and (subscriberId.exists() or identifier.exists())", KNOWN)
    card: dict[str, Any] = {"resourceType": "Coverage", "payor": [{"display": "Blue Plan"}]}
    assert [expression.truth({**card, **more}, {}) for more in ({}, {"subscriberId": "1"}, {}, {"identifier": [{"value": Decimal("1.0")}]})] == [
        False, True, False, True,
    ]  # fmt: skip


def test_what_stands_beside_an_element_belongs_to_it_and_the_rest_of_the_record_does_not() -> None:
    expression = Expression("birthDate.extension.exists()", KNOWN)
    told = {"_birthDate": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}}
    assert [expression.truth({"resourceType": "Patient", "id": id, **more}, {}) for id, more in (("1", {}), ("2", told), ("3", {}))] == [
        False, True, False,
    ]  # fmt: skip
    before = len(_kept)
    assert expression.truth({"resourceType": "Patient", "id": "4", "gender": "female"}, {}) is False
    assert len(_kept) == before


def test_two_cases_with_other_referrals_are_asked_apart() -> None:
    expression = Expression("%done and status = 'active'", KNOWN)
    assert [expression.truth({"status": status}, {"done": True}) for status in ("active", "revoked", "active")] == [True, False, True]


def test_every_condition_of_every_list_answers_as_when_asked_anew() -> None:
    tried = 0
    for expression in {item.condition.expression for name in plans() for item in checklist(name).items if item.condition}:
        given: dict[str, Any]
        for codes, icd10, said in product(([], ["11504-8", "24601-7"]), ([], ["C50.411"], ["C56.1"]), ([], True, False)):
            given = {"codes": codes, "icd10": icd10, "stage": ["IV"], "age": 34, "languages": ["pl"], "clinicLanguage": "en"}
            given |= dict.fromkeys(expression.variables - given.keys() - {"coverages", "eligibility", "procedures", "snomed"}, said)
            anew = expression._truth({}, {name: given.get(name, []) for name in expression.variables})
            assert expression.truth({}, given) is expression.truth({}, given) is anew, expression.source
            tried += 1
    assert tried > 500
