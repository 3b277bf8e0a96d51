"""Composite parameters: two values of one element, and of no two."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

import profiles
from fhir_gateway.store import Store, Transaction, tables
from fhir_gateway.store.errors import SearchError, SearchValueError, UnknownModifierError
from fhir_gateway.store.search import SearchIndex, parse_query
from fhir_gateway.store.search.expression import ExpressionError
from fhir_gateway.store.search.values import plain, tuples
from profiles.searchparameters import SearchParameter
from tests.store.people import CLINIC, NOW

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"


def concept(code: str, **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code}], **more}


def quantity(value: float, code: str = "mm[Hg]") -> dict[str, Any]:
    return {"value": Decimal(str(value)), "system": UCUM, "code": code}


def observation(code: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": concept(code), **more}


def pressure(systolic: float, diastolic: float) -> dict[str, Any]:
    parts = [("8480-6", systolic), ("8462-4", diastolic)]
    return observation("85354-9", component=[{"code": concept(code), "valueQuantity": quantity(value)} for code, value in parts])


def document(*related: tuple[str, str]) -> dict[str, Any]:
    relates = [{"code": code, "target": {"reference": f"DocumentReference/{target}"}} for code, target in related]
    return {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "x"}}], "relatesTo": relates}


def plan(*contexts: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "PlanDefinition", "status": "draft", "useContext": [{"code": {"code": code}, **value} for code, value in contexts]}


HELD: Final[dict[str, dict[str, Any]]] = {
    "hb": observation("718-7", valueQuantity=quantity(9.5, "g/dL")),
    "hb2": observation("718-7", valueQuantity=quantity(14, "g/dL")),
    "high": pressure(150, 80),
    "swapped": pressure(80, 150),
    "her2": observation("48676-1", valueCodeableConcept=concept("LA6576-8", text="Positive")),
    "text": observation("22637-3", valueString="Costs 5$, it says"),
    "date": observation("63931-0", valueDateTime="2026-03"),
    "panel": observation("x", component=[{"code": concept("48676-1"), "valueCodeableConcept": concept("LA6577-6")}, {"code": concept("718-7")}]),
    "doc": document(("replaces", "old"), ("appends", "main")),
    "kidney": plan(("focus", {"valueCodeableConcept": concept("C64")}), ("age", {"valueRange": {"low": quantity(18, "a")}})),
}
ASKED: Final[list[tuple[str, str, str, str]]] = [
    ("Observation", "code-value-quantity", f"{LOINC}|718-7$lt10", "hb"),
    ("Observation", "code-value-quantity", f"718-7$9.5|{UCUM}|g/dL", "hb"),
    ("Observation", "code-value-quantity", f"718-7$9.5|{UCUM}|mg/dL", ""),
    ("Observation", "code-value-quantity", "718-7$lt10,718-7$gt12||g/dL", "hb hb2"),
    ("Observation", "code-value-quantity", "718-7$ge9,48676-1$ge9", "hb hb2"),
    ("Observation", "code-value-quantity", "85354-9$gt100", ""),
    ("Observation", "code-value-concept", f"48676-1${LOINC}|LA6576-8", "her2"),
    ("Observation", "code-value-concept", "48676-1$LA6577-6", ""),
    ("Observation", "code-value-string", "22637-3$costs 5\\$\\,", "text"),
    ("Observation", "code-value-string", "22637-3$it says", ""),
    ("Observation", "code-value-date", "63931-0$ge2026-03-01", "date"),
    ("Observation", "component-code-value-quantity", "8480-6$gt140", "high"),
    ("Observation", "component-code-value-quantity", "8480-6$gt140,8462-4$gt140", "high swapped"),
    ("Observation", "component-code-value-quantity", "718-7$lt10", ""),
    ("Observation", "component-code-value-concept", "718-7$LA6577-6", ""),
    ("Observation", "combo-code-value-concept", "48676-1$LA6576-8,48676-1$LA6577-6", "her2 panel"),
    ("Observation", "combo-code-value-quantity", "718-7$lt10,8480-6$gt140", "hb high"),
    ("Observation", "component-code-value-quantity:missing", "false", "high swapped"),
    ("Observation", "combo-code-value-quantity:missing", "true", "her2 text date panel"),
    ("DocumentReference", "relationship", "DocumentReference/old$replaces", "doc"),
    ("DocumentReference", "relationship", "main$replaces", ""),
    ("DocumentReference", "relationship", f"old${'http://hl7.org/fhir/document-relationship-type'}|replaces", "doc"),
    ("PlanDefinition", "context-type-value", "focus$C64", "kidney"),
    ("PlanDefinition", "context-type-value", "age$C64", ""),
    ("PlanDefinition", "context-type-quantity", "age$ge18", "kidney"),
    ("PlanDefinition", "context-type-quantity", "focus$ge18", ""),
]


def test_pairs_are_found_in_one_element_only(tx: Transaction) -> None:
    for id, resource in HELD.items():
        tx.resources.create(resource, id=id)
    for type, name, value, expected in ASKED:
        for beside in ([], [("_id", ",".join(HELD))], [("_sort", "-_lastUpdated")], [("_lastUpdated", "ge2020"), ("_count", "1")]):
            pairs = [(name, value), *beside]
            page = tx.search(type, parse_query(type, [*pairs, ("_total", "accurate")]))
            found = [one.id for one in page.entries]
            while page.next:
                page = tx.search(type, parse_query(type, [*pairs, ("_cursor", page.next)]))
                found += [one.id for one in page.entries]
            assert sorted(found) == sorted(expected.split()), pairs
    tx.resources.update({**pressure(100, 80), "id": "high"})
    assert tx.search("Observation", parse_query("Observation", [("component-code-value-quantity", "8480-6$gt140")])).entries == ()


def test_a_pair_is_asked_through_references(tx: Transaction) -> None:
    tx.resources.create({"resourceType": "Patient"}, id="p")
    tx.resources.create({**pressure(150, 80), "subject": {"reference": "Patient/p"}}, id="o")
    tx.resources.create(
        {"resourceType": "DiagnosticReport", "status": "final", "code": concept("x"), "result": [{"reference": "Observation/o"}]}, id="r"
    )
    for value, number in (("8480-6$gt140", 1), ("8462-4$gt140", 0)):
        has = parse_query("Patient", [("_has:Observation:patient:combo-code-value-quantity", value)])
        chain = parse_query("DiagnosticReport", [("result.combo-code-value-quantity", value)])
        assert (len(tx.search("Patient", has).entries), len(tx.search("DiagnosticReport", chain).entries)) == (number, number)


def test_reindex_numbers_the_elements_of_what_was_stored_before(store: Store) -> None:
    query = parse_query("Observation", [("component-code-value-quantity", "8480-6$gt140")])
    with store.transaction(CLINIC, NOW) as tx:
        tx.resources.create(pressure(150, 80))
    with store._database.write() as connection:
        for table in (tables.token, tables.quantity):
            connection.execute(update(table).values(element=None))

    def number() -> int:
        with store.snapshot(CLINIC) as tx:
            return len(tx.search("Observation", query).entries)

    assert [number(), store.reindex(NOW), number()] == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("code-value-quantity", "718-7", SearchValueError, "code$value-quantity"),
        ("code-value-quantity", "718-7$5$6", SearchValueError, "2 values"),
        ("code-value-quantity", "$5", SearchValueError, "2 values"),
        ("code-value-quantity", "718-7$5,718-7$", SearchValueError, "2 values"),
        ("code-value-quantity", "718-7$much", SearchValueError, "number"),
        ("code-value-date", "718-7$soon", SearchValueError, "date"),
        ("code-value-quantity:not", "718-7$5", UnknownModifierError, "'not' (it takes: :missing)"),
        ("code-value-quantity", ",".join(f"x${n}" for n in range(101)), SearchValueError, "at most"),
        ("code-value-quantity:missing", "perhaps", SearchValueError, "true or false"),
        ("code-value-quantity.code", "718-7", UnknownModifierError, "code"),
        ("_sort", "code-value-quantity", SearchValueError, "no order"),
    ],
)
def test_what_is_no_pair_is_refused(name: str, value: str, error: type[SearchError], words: str) -> None:
    with pytest.raises(error) as refusal:
        parse_query("Observation", [(name, value)])
    assert words in str(refusal.value) and "718-7" not in str(refusal.value)
    assert refusal.value.parameter in ("Observation", name.partition(":")[0].partition(".")[0])


def test_nothing_is_asked_by_an_empty_value() -> None:
    assert parse_query("Observation", [("code-value-quantity", ""), ("code-value-quantity:missing", "")]).conditions == ()


PART: Final = st.text("ab$,\\|", min_size=1, max_size=6)


@settings(max_examples=50)
@given(st.lists(st.lists(PART, min_size=2, max_size=3), min_size=1, max_size=3))
def test_what_is_escaped_comes_back(values: list[list[str]]) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\{letter}" if letter in "$,|\\" else letter for letter in text)

    asked = tuples(",".join("$".join(map(escaped, parts)) for parts in values))
    assert [[plain(part) for part in parts] for parts in asked] == values


def test_only_parts_that_meet_in_a_repeating_element_are_numbered() -> None:
    index = SearchIndex.load()
    twice = [{"code": concept("1")}, {"code": concept("2")}, {"code": concept("1"), "valueQuantity": quantity(1)}]
    rows = index.rows(observation("x", component=twice, valueQuantity=quantity(2)), 1)
    names = list(tables.token.c.keys())
    coded = [(row[names.index("code")], row[names.index("element")]) for row in rows[tables.token] if row[2].endswith("code")]
    assert coded == [("x", None), ("1", 0), ("2", 1), ("1", 2)]
    assert [(row[2], row[-1]) for row in rows[tables.quantity]] == [("Observation.component-value-quantity", 2), ("Observation.value-quantity", None)]
    assert index.references(document(("replaces", "old")), "relatesto") == ["DocumentReference/old"]


def test_a_component_is_said_as_its_parameter_is_read() -> None:
    read = (json.loads(file.read_text("utf-8")) for file in (Path(profiles.__file__).parent / "searchparameter").glob("*.json"))
    files = {file["url"]: file for file in read}
    composites = [file for file in files.values() if file["type"] == "composite"]
    for file in composites:
        for component in file["component"]:
            paths = {f"{element}.{path}" for element in file["expression"].split(" | ") for path in component["expression"].split(" | ")}
            assert paths == set(files[component["definition"]]["expression"].split(" | ")), file["url"]
    assert composites


def test_a_composite_whose_parts_do_not_meet_is_not_loaded() -> None:
    parts = [SearchParameter(f"urn:{code}", "Observation", code, kind, f"Observation.{path}") for code, kind, path in
             (("a", "token", "code"), ("b", "token", "component.code"), ("c", "date", "component.value.ofType(dateTime)"))]  # fmt: skip
    for expression, components in (
        ("Observation", ("urn:a",)),
        ("Observation | Observation.component", ("urn:a", "urn:b")),
        ("Observation.component", ("urn:b", "urn:c")),
    ):
        with pytest.raises(ExpressionError):
            SearchIndex([*parts, SearchParameter("urn:x", "Observation", "x", "composite", expression, components=components)])
