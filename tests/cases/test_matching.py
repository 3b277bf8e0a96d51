"""Same person or not: what is certain, what a person has to look at, and that order and spelling decide nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.cases.matching import BOUNDS, FAMILY, match, numbers
from tests.cases.test_properties import ELEMENTS, JUNK

TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def person(family: str = "Marlowe", given: str = "Ines", born: str | None = "1971-03-14", gender: str | None = "female", *ids: Any) -> dict[str, Any]:
    """A Patient; ids: values, or (type, value), or (type, system, value)."""
    name = ({"family": family} if family else {}) | ({"given": given.split()} if given else {})
    made: dict[str, Any] = {"resourceType": "Patient", "name": [name]}
    made |= {"birthDate": born} if born else {}
    made |= {"gender": gender} if gender else {}
    return made | {"identifier": [identifier(one, n) for n, one in enumerate(ids)]}


def identifier(one: Any, number: int) -> dict[str, Any]:
    kind, system, value = (
        ("", f"urn:sender:{number}", one) if isinstance(one, str) else (one[0], f"urn:sender:{number}", one[1]) if len(one) == 2 else one
    )
    return {"system": system, "value": value} | ({"type": {"coding": [{"system": TYPES, "code": kind}]}} if kind else {})


INES = person("Marlowe", "Ines Aurelia", "1971-03-14", "female", ("MR", "MRN-554321"), ("MB", "M-77001"), ("SS", "urn:ssn", "999-12-3456"))


@pytest.mark.parametrize(
    ("other", "grade"),
    [
        # name, birth date and a number agree
        (person("MARLOWE", "Ines", "1971-03-14", "female", "554321-MRN"), "probable"),
        (person("MARLOWE", "Ines", "1971-03-14", "female", "mrn 554321"), "certain"),
        (person("Marlowe", "", "1971-03-14", None, ("MR", "MRN-554321")), "certain"),
        (person("Marlowe", "I", "1971-03-14", "unknown", ("SS", "urn:ssn", "999123456")), "certain"),
        (person("Marlowe", "Aurelia", "1971-03-14", "female", "MRN554321"), "certain"),
        # a number the family shares speaks for the one with the given name
        (person("Marlowe", "Ines", "1971-03-14", "female", ("MB", "M-77001")), "certain"),
        (person("Marlowe", "", "1971-03-14", "female", ("MB", "M-77001")), "possible"),
        (person("Marlowe", "I", "1971-03-14", "female", ("MB", "M-77001")), "probable"),
        # no number in common
        (person("Marlowe", "Ines", "1971-03-14", "female", "L-90017"), "probable"),
        (person("Marlowe", "Ines", "1971-03-14"), "probable"),
        (person("Marlowe", "", "1971-03-14"), "possible"),
        # the twin: same family, same day, another given name, whatever number they share
        (person("Marlowe", "Lucia", "1971-03-14", "female", ("MB", "M-77001")), "possible"),
        (person("Marlowe", "Lucia Aurelia", "1971-03-14", "female", "MRN-554321"), "possible"),
        (person("Marlowe", "Ines", "1971-03-14", "male", "MRN-554321"), "possible"),
        # two social security numbers are two people, or a typing error: not for a machine to say
        (person("Marlowe", "Ines", "1971-03-14", "female", "MRN-554321", ("SS", "urn:ssn", "999-12-0000")), "possible"),
        # one of name and date is off, and a number agrees
        (person("Reyes", "Ines", "1971-03-14", "female", "MRN-554321"), "possible"),
        (person("Marlowe-Reyes", "Ines", "1971-03-14", "female", "MRN-554321"), "possible"),
        (person("Marlowe", "Ines", "1971-03", "female", "MRN-554321"), "possible"),
        (person("Marlowe", "Ines", "1971-03-15", "female", "MRN-554321"), "possible"),
        (person("Reyes", "Ines", "1980-01-01", "female", "MRN-554321"), "certainly-not"),
        (person("Marlowe", "Ines", "1980-01-01", "female"), "certainly-not"),
        (person("Okoro", "Peter", "1958-01-02", "male", "X-1"), "certainly-not"),
        ({"resourceType": "Patient"}, "certainly-not"),
    ],
)
def test_grades(other: dict[str, Any], grade: str) -> None:
    found = match(INES, other)
    assert found.grade == grade, found
    assert match(other, INES) == found
    low, high = BOUNDS[found.grade]
    assert low <= found.score <= high


def test_accents_case_and_spaces_are_no_difference() -> None:
    assert match(
        person("Müller Lüdenscheidt", "Zoë", "1971-03-14", None, "A-0001"), person("MULLER-LUDENSCHEIDT", "ZOE", "1971-03-14", None, "a0001")
    ).certain


def test_day_and_month_that_changed_places_are_near() -> None:
    signs = dict(match(person(born="1971-03-04"), person(born="1971-04-03")).signs)
    assert signs["birthDate"] == "near"


def test_account_numbers_and_bare_ones_are_nobodys() -> None:
    assert numbers(person("A", "B", None, None, ("AN", "ACC-12345"), "1", "007", "0012345")) == {"12345": set()}


def test_an_old_number_of_a_kind_one_has_once_is_no_contradiction() -> None:
    old = person("Marlowe", "Ines", "1971-03-14", "female", ("SS", "urn:ssn", "999-12-0000"), "MRN-554321")
    old["identifier"][0]["use"] = "old"
    assert match(INES, old).certain


def test_more_agreement_is_never_less_score() -> None:
    less, more = person("Marlowe", "Lucia"), person("Marlowe", "Ines")
    assert match(INES, less).score < match(INES, more).score < match(INES, person("Marlowe", "Ines", "1971-03-14", "female", "MRN-554321")).score


ODD = st.dictionaries(st.sampled_from([*ELEMENTS, "gender", "use", "system"]), JUNK, max_size=6)


@given(ODD, ODD)
def test_no_patient_however_odd_stops_a_match_and_order_decides_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert match(one, other) == match(other, one)


PEOPLE = st.builds(
    person,
    st.sampled_from(["Marlowe", "Reyes", ""]),
    st.sampled_from(["Ines", "Lucia", "I", ""]),
    st.sampled_from(["1971-03-14", "1971-03-15", "1971", None]),
    st.sampled_from(["female", "male", "unknown", None]),
    st.sampled_from([("MR", "MRN-1"), ("MB", "M-7700"), "MRN-1"]),
)


@given(PEOPLE, PEOPLE)
def test_nothing_is_certain_without_name_birth_date_and_a_number(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = match(one, other)
    if found.certain:
        assert (one["name"][0]["family"], one["birthDate"]) == (other["name"][0]["family"], other["birthDate"])
        shared = numbers(one).keys() & numbers(other).keys()
        assert shared
        given = [p["name"][0].get("given") for p in (one, other)]
        assert all(given) or any(not types & FAMILY for types in numbers(one).values())
        assert given[0] is None or given[1] is None or given[0][0][0] == given[1][0][0], "a twin is never certain"
