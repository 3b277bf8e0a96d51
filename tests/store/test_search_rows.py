"""What is not stored twice is found all the same: parameters that are the union of others, and elements a resource does not have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_gateway.store import tables
from fhir_gateway.store.search.expression import beginnings, compile_expression
from fhir_gateway.store.search.index import SearchIndex
from profiles import searchparameters

EXPECTED = sorted((Path(__file__).parents[2] / "fixtures/v2").rglob("expected.json"))


def test_a_union_has_no_rows_of_its_own_and_is_answered_by_its_parts() -> None:
    index = SearchIndex.load()
    known = index.parameters("Observation")
    assert [part.code for part in index.held_as(known["combo-code"])] == ["code", "component-code"]
    assert index.held_as(known["patient"]) == (known["patient"],)
    pressure = {
        "resourceType": "Observation",
        "id": "1",
        "code": {"coding": [{"code": "bp"}]},
        "component": [{"code": {"coding": [{"code": "sys"}]}}],
    }
    assert [(row[2], row[4]) for row in index.rows(pressure, 1)[tables.token]] == [("Observation.code", "bp"), ("Observation.component-code", "sys")]


@pytest.mark.parametrize(
    ("expression", "begins"),
    [
        ("Observation.code | Observation.component.code", {"code", "component"}),
        ("Observation.value.ofType(Quantity)", {"valueQuantity"}),
        ("Observation.subject.where(resolve() is Patient)", {"subject"}),
        ("Patient.deceased.exists() and Patient.deceased != false", set()),  # has a value where nothing is said
        ("Observation", set()),
    ],
)
def test_what_a_value_begins_with_is_known(expression: str, begins: set[str]) -> None:
    assert beginnings(expression) == begins


def test_what_is_passed_over_had_no_value() -> None:
    getters = [(p.type, compile_expression(p.expression), beginnings(p.expression)) for p in searchparameters.load()]
    passed = 0
    for path in EXPECTED:
        for entry in json.loads(path.read_bytes())["entry"]:
            resource = entry["resource"]
            for type, get, begins in getters:
                if type in ("Resource", resource["resourceType"]) and begins and begins.isdisjoint(resource):
                    assert get(resource) == []
                    passed += 1
    assert passed > 1000
