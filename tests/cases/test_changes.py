"""What changed in a record, as a reviewer is told it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.cases.changes import LONGEST, MOST, carriers, changes, notice, readers_told, taken_back, titled, told_of_part
from fhir_gateway.validation import validate
from tests.cases.test_properties import ELEMENTS, JUNK


def coded(code: str, display: str) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}]}


def quantity(value: str, unit: str = "g/dL") -> dict[str, Any]:
    """A Quantity with the digits as sent."""
    return {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"status": "final"}, {"status": "corrected"}, ["status: final → corrected"]),
        ({"valueQuantity": quantity("12.40")}, {"valueQuantity": quantity("9.8")}, ["valueQuantity: 12.40 g/dL → 9.8 g/dL"]),
        ({"valueCodeableConcept": coded("1", "Positive")}, {"valueCodeableConcept": coded("2", "Negative")}, ["valueCodeableConcept: Positive → Negative"]),
        ({"conclusionCode": [{"text": "a"}]}, {"conclusionCode": [{"text": "b"}]}, ["conclusionCode: a → b"]),
        ({"valueString": "x"}, {"valueInteger": 1}, ["valueString: x → nothing", "valueInteger: nothing → 1"]),
        ({"result": [{"reference": "Observation/1"}]}, {"result": [{"reference": "Observation/1"}, {"reference": "Observation/2"}]},
         ["result: Observation/1 → Observation/1; Observation/2"]),
        ({"effectivePeriod": {"start": "2026-01-01"}}, {"effectivePeriod": {"start": "2026-01-02", "end": "2026-01-03"}},
         ["effectivePeriod: 2026-01-01– → 2026-01-02–2026-01-03"]),
        ({"component": [{"code": {"text": "a"}, "valueString": "1"}, {"code": {"text": "b"}, "valueString": "2"}]},
         {"component": [{"code": {"text": "a"}, "valueString": "1"}, {"code": {"text": "b"}, "valueString": "3"}]},
         ["component[1].valueString: 2 → 3"]),
        ({"code": coded("1", "A")}, {"code": {"coding": [{"system": "urn:other", "code": "1", "display": "A"}]}}, ["code: A, in other detail"]),
        ({"resourceType": "ServiceRequest", "status": "active", "note": [{"text": "a"}]},
         {"resourceType": "ServiceRequest", "status": "completed", "note": [{"text": "b"}]}, ["note: a → b"]),
        ({"resourceType": "Patient"}, {"resourceType": "Patient", "active": False, "link": [{"type": "replaced-by"}]}, []),
        ({"id": "a", "meta": {"versionId": "1"}, "text": {"div": "x"}, "extension": [1]}, {"id": "a", "meta": {"versionId": "2"}}, []),
    ],
)  # fmt: skip
def test_what_is_said(before: dict[str, Any], after: dict[str, Any], said: list[str]) -> None:
    assert changes(before, after) == said


def test_too_much_is_counted_and_too_long_is_cut() -> None:
    said = changes({}, {f"e{n}": "y" * 500 for n in range(MOST + 5)})
    assert (len(said), said[-1]) == (MOST + 1, "and 5 more")
    assert len(said[0]) < LONGEST + 30


def test_a_result_is_told_under_its_own_name() -> None:
    before = {"resourceType": "Observation", "code": coded("1", "Estrogen receptor"), "valueString": "+", "status": "final"}
    assert told_of_part(before, {**before, "valueString": "-"}) == ["Estrogen receptor: valueString: + → -"]
    assert told_of_part(None, before) == ["Estrogen receptor: new"]
    assert told_of_part(before, None) == ["Estrogen receptor: deleted"]
    assert titled({"resourceType": "Media"}) == "Media"


@pytest.mark.parametrize(
    ("record", "back"),
    [
        ({"status": "entered-in-error"}, True),
        ({"status": "cancelled"}, True),
        ({"status": "current", "docStatus": "entered-in-error"}, True),
        ({"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}, True),
        ({"status": "corrected"}, False),
        ({"status": "superseded"}, False),
        ({"resourceType": "ServiceRequest", "status": "revoked"}, False),
    ],
)
def test_what_takes_a_record_back(record: dict[str, Any], back: bool) -> None:
    assert taken_back(record) is back


def test_where_the_content_of_a_record_can_be_read_too() -> None:
    document = {"content": [{"attachment": {"url": "Binary/7"}}, {"attachment": {"url": "https://elsewhere.example/8"}}]}
    assert carriers(document) == ["Binary/7"]
    assert carriers({"result": [{"reference": "Observation/1"}], "presentedForm": [{"url": "Binary/9"}]}) == ["Observation/1", "Binary/9"]


def test_readers_are_named_with_their_times() -> None:
    first = datetime(2026, 9, 11, 9, 30, tzinfo=UTC)
    assert readers_told({}) == "Nobody has read it here."
    assert readers_told({"dr-b": [first], "dr-a": [first, first + timedelta(days=1)]}) == (
        "Read by dr-a on 2026-09-11 09:30 UTC (2 times, last on 2026-09-12 09:30 UTC); dr-b on 2026-09-11 09:30 UTC."
    )


def test_the_communication_is_legal_with_and_without_what_may_be_missing() -> None:
    about: dict[str, Any] = {"case": "sr", "records": ["DiagnosticReport/r"], "words": "x", "now": datetime(2026, 9, 11, tzinfo=UTC)}
    for more in ({"patient": None, "owner": None, "readers": []}, {"patient": "Patient/p", "owner": {"display": "clinic"}, "readers": ["dr-a"]}):
        assert validate(notice("record-changed", **about, **more)) == []


ODD = st.dictionaries(st.sampled_from(ELEMENTS), JUNK, max_size=6)


@given(ODD, ODD)
def test_no_record_however_odd_stops_a_comparison(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert changes(one, one) == []
    assert all(line for line in changes(one, other))
    carriers(one)
    taken_back(one)
    assert isinstance(titled(one), str)
