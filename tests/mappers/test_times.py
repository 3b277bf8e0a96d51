"""Dates and times: precision as sent, no offset invented, daylight saving of the site respected, nonsense kept and reported."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.v2.datatypes.times import moment, utc
from tests.mappers.build import CLINIC, PID, kept_values, mapped, observation, only, warnings


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("2026", "2026"),
        ("202603", "2026-03"),
        ("20260314", "2026-03-14"),
        ("2026031415-0500", "2026-03-14T15:00:00-05:00"),
        ("202603141530-0500", "2026-03-14T15:30:00-05:00"),
        ("20260314153045.1234+0215", "2026-03-14T15:30:45.1234+02:15"),
        ("20260314153045+0000", "2026-03-14T15:30:45+00:00"),
        ("20260314153045", "2026-03-14"),
    ],
)
def test_a_time_is_said_as_precisely_as_it_was_sent_and_no_more(sent, said):
    assert moment(sent, None).text == said


@pytest.mark.parametrize(
    "sent", ["20261399", "20260230", "202", "yesterday", "2026-03-14", "2026031425", "20260314153045-2500", "SEL", "20260314 1530"]
)
def test_nonsense_is_no_time(sent):
    assert moment(sent, None) is None


def test_the_sites_zone_gives_summer_and_winter_offsets():
    assert moment("202607011200", CLINIC).text == "2026-07-01T12:00:00-04:00"
    assert moment("202601011200", CLINIC).text == "2026-01-01T12:00:00-05:00"


def test_a_time_without_any_zone_becomes_a_date_with_the_original_beside_it():
    found = only(observation("ST", "x", f14="20240228143000"), "Observation")
    assert found["effectiveDateTime"] == "2024-02-28"
    assert kept_values(found["_effectiveDateTime"]) == {"OBX-14": "20240228143000"}


def test_a_bad_date_costs_that_field_only():
    result = observation("ST", "fine", f14="20241399")
    found = only(result, "Observation")
    assert "effectiveDateTime" not in found
    assert kept_values(found) == {"OBX-14": "20241399"}
    assert found["valueString"] == "fine"
    assert [(f.code, str(f.where)) for f in warnings(result)] == [("102", "OBX[1]-14.1")]


def test_an_instant_needs_time_and_zone():
    obr = "OBR|1||F1^LAB|58410-2^CBC^LN|||20260901|||||||||||||||{}|||F"
    assert "issued" not in only(mapped(PID, obr.format("20260902")), "DiagnosticReport")
    assert kept_values(only(mapped(PID, obr.format("20260902")), "DiagnosticReport")) == {"OBR-22": "20260902"}
    assert only(mapped(PID, obr.format("202609021200-0400")), "DiagnosticReport")["issued"] == "2026-09-02T12:00:00-04:00"
    there = mapped(PID, obr.format("202609021200"), site=v2.Site(CLINIC))
    assert only(there, "DiagnosticReport")["issued"] == "2026-09-02T12:00:00-04:00"


def test_a_birth_time_is_an_extension_only_when_it_can_be_said():
    with_zone = only(mapped(PID.replace("19700101", "197001011530-0500")), "Patient")
    assert with_zone["birthDate"] == "1970-01-01"
    assert with_zone["_birthDate"]["extension"][0]["valueDateTime"] == "1970-01-01T15:30:00-05:00"
    without = only(mapped(PID.replace("19700101", "197001011530")), "Patient")
    assert without["birthDate"] == "1970-01-01"
    assert kept_values(without["_birthDate"]) == {"PID-7": "197001011530"}
    assert only(mapped(PID.replace("19700101", "1970")), "Patient")["birthDate"] == "1970"


EARLIEST, LATEST = datetime.fromisoformat("1800-01-01"), datetime.fromisoformat("2199-01-01")


@given(st.datetimes(min_value=EARLIEST, max_value=LATEST), st.integers(-14 * 60, 14 * 60))
def test_a_clock_reads_every_offset_as_the_same_moment(when, offset):
    sign, minutes = ("-" if offset < 0 else "+"), abs(offset)
    local = when.replace(tzinfo=UTC)
    text = f"{local.year:04}{local:%m%d%H%M%S}{sign}{minutes // 60:02}{minutes % 60:02}"
    same = utc(text, None)
    assert len(same) == 20
    there = datetime.strptime(same, "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
    assert (there - local.replace(microsecond=0)).total_seconds() == -offset * 60


@given(st.text(alphabet="0123456789+-.", max_size=26))
def test_any_text_is_a_time_or_not_one(text):
    found = moment(text, CLINIC)
    assert found is None or found.text.startswith(text[:4])
    assert isinstance(utc(text, CLINIC), str)
