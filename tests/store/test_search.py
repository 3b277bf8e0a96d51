"""Search as a client asks it: by value, in pages, and never without an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.errors import CursorError, SearchError, SearchValueError, UnknownModifierError, UnknownParameterError
from fhir_gateway.store.search import parse_query
from tests.store.people import CLINIC, NORTHSIDE, NOW, later, patient, referral
from tests.store.plans import is_indexed, plan, sent, walks

Pairs = Sequence[tuple[str, str]]


def found(tx: Transaction, type: str, *pairs: tuple[str, str]) -> list[Stored]:
    """Every match, page by page."""
    entries: list[Stored] = []
    page = tx.search(type, parse_query(type, list(pairs)))
    entries.extend(page.entries)
    while page.next:
        page = tx.search(type, parse_query(type, [*pairs, ("_cursor", page.next)]))
        entries.extend(page.entries)
    return entries


def ids(tx: Transaction, type: str, *pairs: tuple[str, str]) -> list[str]:
    """The ids of every match, in order."""
    return [held.id for held in found(tx, type, *pairs)]


@pytest.fixture
def people(tx: Transaction) -> Transaction:
    """Three patients with ids a, b, c."""
    tx.resources.create(patient("Müller", "1", birthDate="1971-03-14", gender="female"), id="a")
    tx.resources.create(
        patient("Muller-Lund", "2", birthDate="1971-03", identifier=[{"system": "s", "value": "2"}, {"system": "t", "value": "2"}]), id="b"
    )
    tx.resources.create(patient("Øst", "3", birthDate="1980", identifier=[{"value": "2"}]), id="c")
    return tx


# What is asked and the ids that answer it, in order.
VALUES: Final[list[tuple[Pairs, str]]] = [
    ([("identifier", "2")], "bc"),
    ([("identifier", "s|2")], "b"),
    ([("identifier", "|2")], "c"),
    ([("identifier", "t|")], "b"),
    ([("identifier", "s|2,urn:oid:1.2.3|1")], "ab"),
    ([("identifier", "s|2"), ("identifier", "t|2")], "b"),
    ([("identifier", "s|3")], ""),
    ([("family", "MULLER")], "ab"),
    ([("family", "müller")], "ab"),
    ([("family:exact", "Müller")], "a"),
    ([("family:exact", "müller")], ""),
    ([("family:contains", "lund")], "b"),
    ([("family:contains", "%")], ""),
    ([("name", "ines"), ("family", "m")], "ab"),
    ([("family", "muller"), ("birthdate", "1971-03-14")], "a"),
    ([("birthdate", "1971-03")], "ab"),
    ([("birthdate", "1971-03-14")], "a"),
    ([("birthdate", "ne1971-03-14")], "bc"),
    ([("birthdate", "gt1971-03-14")], "bc"),
    ([("birthdate", "ge1971-03-14"), ("birthdate", "lt1980")], "ab"),
    ([("birthdate", "lt1971-03-14")], "b"),
    ([("birthdate", "le1971-03-14")], "ab"),
    ([("birthdate", "sa1971-03")], "c"),
    ([("birthdate", "eb1971-03-15")], "a"),
    ([("birthdate", "ap1971-03-14")], "ab"),
    ([("gender", "female")], "a"),
    ([("gender", "http://hl7.org/fhir/administrative-gender|female")], "a"),
    ([("gender", "|female")], ""),
    ([("_id", "c,a,z")], "ac"),
    ([("_id", "a"), ("family", "muller")], "a"),
    ([("_id", "c"), ("family", "muller")], ""),
    ([("_lastUpdated", "2026-09-01")], "abc"),
    ([("_lastUpdated", "lt2026-09-01")], ""),
    ([("_lastUpdated", "ge2026-09-01T10:00:00Z"), ("family", "m")], "ab"),
    ([("_lastUpdated", "eq2026-09-01T10:00:00.123Z")], "abc"),
    ([("_lastUpdated", "sa2026-08-31"), ("_lastUpdated", "ne2026-08")], "abc"),
    ([("family", "")], "abc"),
    ([("family", "müller\\,x,øst")], "c"),
    ([], "abc"),
]


def test_values(people: Transaction) -> None:
    for pairs, expected in VALUES:
        assert ids(people, "Patient", *pairs) == list(expected), pairs
        counted = people.search("Patient", parse_query("Patient", [*pairs, ("_summary", "count")]))
        assert (counted.total, counted.entries) == (len(expected), ()), pairs


REFERENCES: Final[list[tuple[Pairs, list[str]]]] = [
    ([("patient", "a")], ["r1", "r2"]),
    ([("patient", "Patient/a")], ["r1", "r2"]),
    ([("subject", "Patient/a")], ["r1", "r2"]),
    ([("subject:Patient", "a")], ["r1", "r2"]),
    ([("subject", "Group/a")], ["r4"]),
    ([("subject", "a")], ["r1", "r2", "r4"]),
    ([("patient", "a"), ("status", "active")], ["r1"]),
    ([("patient:identifier", "urn:x|7")], ["r3"]),
    ([("subject", "http://far/fhir/Patient/a")], ["r5"]),
    ([("code", "http://loinc.org|57133-1")], ["r1"]),
    ([("authored", "ge2026-05"), ("authored", "le2026-06")], ["r2"]),
]


def test_references_and_codes(tx: Transaction) -> None:
    tx.resources.create(referral("a", code={"coding": [{"system": "http://loinc.org", "code": "57133-1"}]}), id="r1")
    tx.resources.create(referral("a", status="completed", authoredOn="2026-05-30T10:00:00+02:00"), id="r2")
    tx.resources.create({**referral("x"), "subject": {"type": "Patient", "identifier": {"system": "urn:x", "value": "7"}}}, id="r3")
    tx.resources.create({**referral("x"), "subject": {"reference": "Group/a"}}, id="r4")
    tx.resources.create({**referral("x"), "subject": {"reference": "http://far/fhir/Patient/a"}}, id="r5")
    for pairs, expected in REFERENCES:
        assert ids(tx, "ServiceRequest", *pairs) == expected, pairs


def test_rows_follow_the_resource(tx: Transaction) -> None:
    tx.resources.create(patient("Before", "1"), id="a")
    assert ids(tx, "Patient", ("family", "before")) == ["a"]
    tx.resources.update({**patient("Between", "1"), "id": "a"})
    tx.resources.update({**patient("After", "1"), "id": "a"})
    assert ids(tx, "Patient", ("family", "be")) == []
    assert ids(tx, "Patient", ("family", "after")) == ["a"]
    tx.resources.delete("Patient", "a")
    assert ids(tx, "Patient", ("family", "after")) == []
    assert ids(tx, "Patient") == []
    tx.resources.update({**patient("Back", "1"), "id": "a"})
    assert ids(tx, "Patient", ("family", "back")) == ["a"]


def test_pages_are_complete_and_without_repetition(store: Store) -> None:
    for n in range(0, 23, 5):
        with store.transaction(CLINIC, later(seconds=n)) as tx:
            for m in range(5):
                tx.resources.create(
                    {**patient("Marlowe"), "identifier": [{"system": s, "value": "x"} for s in ("a", "b")]}, id=f"p{(n + m) * 7 % 23:02d}-{n}"
                )
    for narrowing in ([], [("family", "m")], [("identifier", "x")]):
        for sort in ("", "_id", "-_id", "_lastUpdated", "-_lastUpdated"):
            pairs = [*narrowing, ("_count", "4"), *([("_sort", sort)] if sort else [])]
            with store.snapshot(CLINIC) as tx:
                entries = found(tx, "Patient", *pairs)
                assert tx.search("Patient", parse_query("Patient", [*pairs, ("_total", "accurate")])).total == 25, pairs
            assert len({held.id for held in entries}) == len(entries) == 25, pairs
            if sort:
                keys = [held.id if "_id" in sort else held.last_updated for held in entries]
                assert keys == sorted(keys, reverse=sort.startswith("-")), pairs


def test_a_page_is_not_disturbed_by_what_arrives_meanwhile(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        for _ in range(6):
            tx.resources.create(patient("Marlowe"))
        first = tx.search("Patient", parse_query("Patient", [("family", "marlowe"), ("_count", "3")]))
        tx.resources.delete("Patient", first.entries[0].id)
        tx.resources.create(patient("Marlowe"))
        assert first.next is not None
        rest = found(tx, "Patient", ("family", "marlowe"), ("_count", "3"), ("_cursor", first.next))
    assert not {held.id for held in first.entries} & {held.id for held in rest}
    assert len(rest) == 4


def test_a_count_of_zero_asks_for_the_number_only(people: Transaction) -> None:
    page = people.search("Patient", parse_query("Patient", [("_count", "0")]))
    assert (page.total, page.entries, page.next) == (3, (), None)


@pytest.mark.parametrize(
    ("pairs", "error", "words"),
    [
        ([("famly", "x")], UnknownParameterError, "family"),
        ([("patient", "x")], UnknownParameterError, "patient"),
        ([("_lastupdated", "2026")], UnknownParameterError, "_lastUpdated"),
        ([("family:fuzzy", "x")], UnknownModifierError, "exact"),
        ([("birthdate", "14/03/1971")], SearchValueError, "birthdate"),
        ([("_count", "-1")], SearchValueError, "_count"),
        ([("_total", "maybe")], SearchValueError, "_total"),
        ([("_sort", "famly")], UnknownParameterError, "family"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_right_names(pairs: Pairs, error: type[SearchError], words: str) -> None:
    with pytest.raises(error) as refusal:
        parse_query("Patient", pairs)
    assert words in str(refusal.value)
    assert "1971" not in str(refusal.value)


def test_lenient_handling_names_what_it_ignores() -> None:
    query = parse_query("Patient", [("famly", "x"), ("family:fuzzy", "y"), ("family", "z"), ("_format", "json")], lenient=True)
    assert query.ignored == ("famly", "family:fuzzy")
    assert query.used == (("family", "z"), ("_format", "json"))
    with pytest.raises(SearchValueError):
        parse_query("Patient", [("birthdate", "soon")], lenient=True)


def test_a_cursor_of_another_search_is_refused(people: Transaction) -> None:
    for cursor in ("", "x", "!!!!", "WyIiLGZhbHNlLCIiLDFd", "bnVsbA"):
        with pytest.raises(CursorError):
            people.search("Patient", parse_query("Patient", [("_sort", "_lastUpdated"), ("_cursor", cursor)]))


ASKED: Final[list[tuple[str, Pairs]]] = [
    ("Patient", [("identifier", "s|1")]),
    ("Patient", [("identifier", "1")]),
    ("Patient", [("identifier", "s|")]),
    ("Patient", [("identifier", "|1"), ("_sort", "-_lastUpdated")]),
    ("Patient", [("family", "mar"), ("birthdate", "ge1970")]),
    ("Patient", [("family:exact", "Marlowe")]),
    ("Patient", [("birthdate", "gt1970"), ("gender", "female")]),
    ("Patient", [("_id", "a,b")]),
    ("Patient", [("_lastUpdated", "ge2026")]),
    ("Patient", []),
    ("ServiceRequest", [("patient", "Patient/a"), ("status", "active")]),
    ("ServiceRequest", [("subject", "a"), ("_total", "accurate")]),
    ("Task", [("focus", "ServiceRequest/a"), ("_sort", "_id")]),
    ("Task", [("patient:identifier", "s|1")]),
    ("Observation", [("code-value-quantity", "u|1$gt5")]),
    ("Observation", [("combo-code-value-concept", "1$2"), ("status", "final")]),
    ("Observation", [("patient", "a"), ("component-code-value-quantity", "u|1$5||mm")]),
    ("DocumentReference", [("relationship", "DocumentReference/a$replaces")]),
]


def test_no_search_walks_a_table(store: Store) -> None:
    for principal in (CLINIC, NORTHSIDE):
        for type, pairs in ASKED:
            with store.snapshot(principal) as tx:
                connection = tx._work.connection
                with sent(connection) as statements:
                    tx.search(type, parse_query(type, pairs))
                steps = [step for statement, values in statements for step in plan(connection, statement, values)]
            assert any(is_indexed(step) for step in steps), pairs
            assert [step for step in steps if walks(step)] == [], pairs


def test_a_walk_would_be_noticed(store: Store) -> None:
    with store.snapshot(CLINIC) as tx:
        assert any(walks(step) for step in plan(tx._work.connection, "SELECT pk FROM resource AS resource_1 WHERE owner = 'x'", ()))
