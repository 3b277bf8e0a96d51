"""Search expressions: the shipped files, the FHIRPath they may use, and the values that come out."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

import profiles
from fhir_gateway.store.search.dates import DAY, END_OF_TIME, START_OF_TIME, Range, period, range_of
from fhir_gateway.store.search.expression import ExpressionError, compile_expression
from fhir_gateway.store.search.extract import Measure, Target, Text, Token, fold, measures, ranges, strings, targets, tokens, typed
from fhir_gateway.store.search.index import KINDS, SearchIndex
from profiles import searchparameters

FOLDER = Path(profiles.__file__).parent / "searchparameter"
FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_a_valid_search_parameter_named_after_what_it_searches(file: Path) -> None:
    resource = json.loads(file.read_text("utf-8"))
    get_fhir_model_class("SearchParameter").model_validate(resource)
    assert file.stem == f"{resource['base'][0]}-{resource['code']}"
    assert resource["url"] == f"urn:second-opinion-gateway:SearchParameter:{file.stem}"
    assert resource["derivedFrom"].startswith("http://hl7.org/fhir/SearchParameter/")


@pytest.mark.parametrize("parameter", searchparameters.load(), ids=lambda parameter: parameter.name)
def test_an_expression_names_elements_that_exist(parameter: searchparameters.SearchParameter) -> None:
    for path in parameter.expression.split(" | ") if "exists(" not in parameter.expression else ():
        steps = re.findall(r"\.([a-z]\w*)(?:\.ofType\((\w+)\))?", re.sub(r"\.where\(.*?\)\)?", "", path))
        model = get_fhir_model_class(path.split(".")[0])
        for name, choice in steps:
            element = name + (choice[:1].upper() + choice[1:])
            fields = {field.alias or key: field for key, field in model.model_fields.items()}
            assert element in fields, f"{path}: {element}"
            inner = re.search(r"\b(\w+)Type\b", str(fields[element].annotation))
            try:
                model = get_fhir_model_class(inner[1]) if inner else model
            except (KeyError, LookupError):
                break


def test_search_tables_have_the_columns_that_rows_are_made_for() -> None:
    assert {tuple(kind.table.c.keys())[:3] for kind in KINDS.values()} == {("resource", "n", "param")}
    assert {kind: tuple(of.table.c.keys())[3:] for kind, of in KINDS.items()} == {
        "token": Token._fields,
        "uri": Token._fields,
        "string": Text._fields,
        "reference": ("target_type", "target", "element"),
        "date": Range._fields,
        "number": Measure._fields,
        "quantity": Measure._fields,
    }


def test_every_parameter_is_of_a_kind_that_is_stored() -> None:
    assert {parameter.kind for parameter in searchparameters.load()} <= KINDS.keys() | {"composite"}


def test_every_type_can_be_searched_by_id_and_time() -> None:
    assert {"_id", "_lastUpdated"} <= SearchIndex.load().parameters("Binary").keys()


@pytest.mark.parametrize("expression", ["patient.name", "a | b", "", "Patient.link.first().resolve()"])
def test_what_is_no_path_is_refused_when_loaded(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression)


def test_what_a_getter_can_not_do_is_fhirpath() -> None:
    assert compile_expression("Patient.name.first()")({"resourceType": "Patient", "name": [{"family": "a"}, {"family": "b"}]}) == [{"family": "a"}]
    dead = compile_expression("Patient.deceased.exists() and Patient.deceased != false")
    for told, said in (({"deceasedBoolean": True}, True), ({"deceasedBoolean": False}, False), ({"deceasedDateTime": "2026"}, True), ({}, False)):
        assert dead({"resourceType": "Patient", **told}) == [said]
    assert compile_expression("Patient.name.first().family")({"resourceType": "Patient", "name": 7}) == [], "an odd shape gives no values"


def test_paths_go_through_lists_choices_conditions_and_unions() -> None:
    observation = {
        "effectivePeriod": {"start": "2026"},
        "a": [{"b": [1, 2]}, {"b": 3}, {}],
        "kind": [{"type": "x", "value": 1}, {"type": "y", "value": 2}],
        "subject": [{"reference": "Patient/1"}, {"reference": "Group/2"}, {"reference": "http://far/fhir/Patient/3/_history/2"}, {"type": "Patient"}],
    }
    assert compile_expression("Observation.effective.ofType(dateTime) | Observation.effective.ofType(Period)")(observation) == [{"start": "2026"}]
    assert compile_expression("Observation.a.b")(observation) == [1, 2, 3]
    assert compile_expression("Observation.kind.where(type='y').value")(observation) == [2]
    assert [found.get("reference") for found in compile_expression("Observation.subject.where(resolve() is Patient)")(observation)] == [
        "Patient/1",
        "http://far/fhir/Patient/3/_history/2",
        None,
    ]


def test_tokens() -> None:
    concept = {"coding": [{"system": "s", "code": "a"}, {"code": "b"}, {"display": "only words"}], "text": "t"}
    assert list(tokens(concept)) == [Token("s", "a", "t"), Token("", "b", "t"), Token("", "", "t")]
    assert list(tokens({"coding": [{"code": "b", "display": "Bé"}]})) == [Token("", "b", "be")]
    assert list(tokens({"text": "Only Words"})) == [Token("", "", "only words")]
    assert list(tokens({"system": "s", "value": "1"})) == [Token("s", "1")]
    assert list(tokens({"value": "1"})) == [Token("", "1")]
    assert list(tokens({"system": "phone", "value": "555"})) == [Token(None, "555")]
    assert [*tokens("final"), *tokens(True)] == [Token(None, "final"), Token(None, "true")]


def test_identifiers_by_their_type() -> None:
    kind = {"coding": [{"system": "t", "code": "MR"}, {"code": "X"}, {"display": "none"}], "text": "Number"}
    assert list(typed({"value": "1", "type": kind})) == [Token("t", "MR|1"), Token("", "X|1")]
    assert list(typed({"value": 7, "type": kind})) + list(typed({"value": "1"})) + list(typed("x")) == []


def test_measures() -> None:
    assert list(measures(Decimal("0.40"))) == [Measure(0.4, 0.4)]
    assert list(measures({"value": 5, "system": "u", "code": "g", "unit": "gram"})) == [Measure(5, 5, "u", "g", "gram")]
    assert list(measures({"value": 5, "comparator": "<"})) == [Measure(-inf, 5, "", "", "")]
    assert list(measures({"value": 5, "comparator": ">="})) == [Measure(5, inf, "", "", "")]
    assert list(measures({"low": {"value": 1, "unit": "a"}, "high": {"value": 2}})) == [Measure(1, 2, "", "", "a")]
    assert list(measures({"low": {"value": 1}})) == [Measure(1, inf, "", "", "")]
    assert list(measures({"value": Decimal("9.5"), "currency": "EUR"})) == [Measure(9.5, 9.5, "urn:iso:std:iso:4217", "EUR", "")]
    assert [*measures(True), *measures("5"), *measures({"unit": "g"}), *measures({"low": 7})] == []


def test_strings_are_folded() -> None:
    assert fold("Müller-Straße ÇA") == "muller-strasse ca"
    assert list(strings({"family": "Ångström", "given": ["Ö"]})) == [Text("angstrom", "Ångström"), Text("o", "Ö")]


def test_targets() -> None:
    assert list(targets({"reference": "Patient/1/_history/3"})) == [Target("Patient", "1")]
    assert list(targets({"reference": "http://far/fhir/Patient/1"})) == [Target("", "http://far/fhir/Patient/1")]
    assert list(targets("urn:plan|2")) == [Target("", "urn:plan|2"), Target("", "urn:plan")]
    assert list(targets({"reference": "#inside"})) == []


@pytest.mark.parametrize(
    ("text", "days"), [("2024", 366), ("2026", 365), ("2026-02", 28), ("2024-02", 29), ("2026-12", 31), ("2026-12-31", 1), ("9999", 365)]
)
def test_a_partial_date_is_the_whole_of_it(text: str, days: int) -> None:
    found = range_of(text)
    assert found is not None
    assert found.high - found.low + 1 == days * DAY


def test_times_are_as_long_as_their_precision_and_in_utc() -> None:
    base = range_of("2026-03-14T10:00:00Z")
    assert base is not None
    assert range_of("2026-03-14T12:00:00+02:00") == base
    assert range_of("2026-03-14T10:00:00") == base
    assert base.high - base.low == 999_999
    assert range_of("2026-03-14T10:00:00.5Z") == Range(base.low + 500_000, base.low + 599_999)
    assert range_of("2026-03-14T10:00:00.123456789Z") == Range(base.low + 123_456, base.low + 123_456)


@pytest.mark.parametrize(
    "text", ["", "20260314", "2026-13", "2026-02-30", "2026-03-14T25:00:00Z", "2026-03-14T10:00:00+99:00", "0000", "soon", "２０２６"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert range_of(text) is None


def test_an_open_period_has_an_open_end() -> None:
    start = range_of("2026")
    assert start is not None
    assert period({"start": "2026"}) == Range(start.low, END_OF_TIME)
    assert period({"end": "2026"}) == Range(START_OF_TIME, start.high)
    assert period({}) is None
    assert period({"start": "2027", "end": "2026"}) is None


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["reference", "identifier", "coding", "code", "system", "value", "family", "start", "end", "event", "repeat", "type", "subject"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(ODD)
def test_odd_values_give_no_rows_and_no_error(value: Any) -> None:
    for of in (tokens, strings, targets, ranges):
        list(of(value))


@given(
    st.sampled_from(["Patient", "ServiceRequest", "Observation", "Task", "Coverage"]),
    st.dictionaries(
        st.sampled_from(["identifier", "subject", "name", "birthDate", "code", "for", "effectivePeriod", "status", "payor", "partOf"]), ODD
    ),
)
def test_odd_resources_are_indexed_as_far_as_they_can_be(type: str, content: dict[str, Any]) -> None:
    rows = [row for of_table in SearchIndex.load().rows({"resourceType": type, **content}, 1).values() for row in of_table]
    assert len({n for _, n, *_ in rows}) == len(rows)
