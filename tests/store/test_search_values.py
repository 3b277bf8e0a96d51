"""What the values of a search mean, word for word as FHIR R4 search.html has it: escapes, digits, addresses, and how many may be asked at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from fhir_gateway.store import Transaction
from fhir_gateway.store.errors import SearchValueError
from fhir_gateway.store.search import at_home, parse_query
from fhir_gateway.store.search.query import MOST_VALUES
from tests.store.people import patient

BASE: Final = "http://clinic.test/fhir"


def ids(tx: Transaction, type: str, name: str, value: str, base: str = "") -> str:
    """The ids that answer one parameter, in order."""
    return " ".join(held.id for held in tx.search(type, at_home(parse_query(type, [(name, value)]), base)).entries)


def test_an_escaped_mark_belongs_to_the_value(tx: Transaction) -> None:
    r"""Section 3.1.1.4.3: `\,`, `\|`, `\$` and `\\` stand for the character itself, also where a bare bar would end the system."""
    tx.resources.create(patient("A", "1", identifier=[{"system": "urn:s|t", "value": "a|b,c$d\\e"}]), id="a")
    tx.resources.create(patient("B", "2", identifier=[{"system": "a", "value": "b"}]), id="b")
    for value, wanted in ((r"a\|b\,c\$d\\e", "a"), (r"urn:s\|t|a\|b\,c\$d\\e", "a"), (r"urn:s\|t|", "a"), (r"a\|b", ""), ("a|b", "b"), ("\\", "")):
        assert ids(tx, "Patient", "identifier", value) == wanted, value


def observation(value: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueQuantity": {"value": Decimal(value)}}


def test_a_number_stands_for_what_its_digits_allow(tx: Transaction) -> None:
    """Section 3.1.1.4.5: 100 is 99.5 up to but without 100.5, 1e2 is 95 up to 105, as printed there."""
    for value in ("95", "99.5", "100", "100.5", "105"):
        tx.resources.create(observation(value), id=f"n{value}")
    for value, wanted in (("100", "n99.5 n100"), ("ne100", "n95 n100.5 n105"), ("1e2", "n95 n99.5 n100 n100.5"), ("100.0", "n100")):
        assert ids(tx, "Observation", "value-quantity", value) == wanted, value


def test_an_address_is_found_by_what_lies_under_and_above_it(tx: Transaction) -> None:
    """Section 3.1.1.4.4 `:below`, `:above`; section 3.1.1.4.12: a canonical address asked for without a version is meant in any."""
    for name, profile in (("a", "http://x.org/sd/p|1.0"), ("b", "http://x.org/sd/p"), ("c", "http://x.org/sd/pq"), ("d", "http://x.org/sd/p/deep")):
        tx.resources.create(patient("A", name, meta={"profile": [profile]}), id=name)
    for modifier, value, wanted in (
        ("", "http://x.org/sd/p", "a b"),
        ("", "http://x.org/sd/p|1.0", "a"),
        ("", "http://x.org/sd/p|2.0", ""),
        (":below", "http://x.org/sd/p", "a b c d"),
        (":below", "http://x.org/sd/p/", "d"),
        (":above", "http://x.org/sd/p/deep/er", "b d"),
        (":above", "http://x.org/sd/pq", "c"),
    ):
        assert ids(tx, "Patient", f"_profile{modifier}", value) == wanted, (modifier, value)


def test_an_address_of_our_own_names_what_is_held_here(tx: Transaction) -> None:
    """Section 3.1.1.4.12: a resource may be named by its absolute address; `[base]/Patient/a` and `Patient/a` are the same one."""
    tx.resources.create(patient("A", "1"), id="a")
    tx.resources.create({**observation("1"), "subject": {"reference": "Patient/a"}}, id="o")
    tx.resources.create({**observation("2"), "subject": {"reference": "http://far.test/fhir/Patient/a"}}, id="far")
    assert ids(tx, "Observation", "subject", f"{BASE}/Patient/a", BASE) == "o"
    assert ids(tx, "Observation", "subject", "http://far.test/fhir/Patient/a", BASE) == "far"
    assert ids(tx, "Patient", "_has:Observation:patient:subject", f"{BASE}/Patient/a", BASE) == "a"


def test_more_values_than_a_statement_takes_are_refused(tx: Transaction) -> None:
    """Section 3.1.1.4.3 sets no limit; a server's own has to be said, and what is within it has to work."""
    most = [("identifier", ",".join(f"s|{n}" for n in range(MOST_VALUES - 1))), ("_profile:above", "x")]
    with pytest.raises(SearchValueError, match=str(MOST_VALUES)):
        parse_query("Patient", most)
    assert ids(tx, "Patient", *most[0]) == ""
    for name, links in (
        ("organization:Organization.name", 2),
        ("organization:Organization.partof:Organization.name", 3),
        ("_has:Observation:patient:code", 2),
    ):
        assert ids(tx, "Patient", name, ",".join(f"x{n}" for n in range(MOST_VALUES // links))) == "", name
        with pytest.raises(SearchValueError, match=str(MOST_VALUES)):
            parse_query("Patient", [(name, ",".join(f"x{n}" for n in range(MOST_VALUES // links + 1)))])
    assert ids(tx, "Patient", "_id", ",".join(f"i{n}" for n in range(2000))) == ""
