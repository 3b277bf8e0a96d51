"""SIU: when and where, with whom, and which referral it is for."""

from __future__ import annotations

import pytest

from mappers import v2
from tests.mappers.build import CLINIC, PID, TABLES, drafts, kept_values, mapped, only, warnings
from tests.mappers.test_referral import pointed
from tests.mappers.test_tables import FIXTURES

SCH = "SCH|A1^REQ|B1^SOC||||||Normal|60|min|^^60^{}|||||||||||||||REF-1^NORTH"


def booked(start="202609241300-0400^202609241400-0400", event="SIU^S12", site=None, *more):
    return mapped(SCH.replace("{}", start), PID, *more, event=event, site=site)


@pytest.fixture(scope="module")
def consultation():
    return v2.map_message(v2.read((FIXTURES / "siu_s12/consultation-booked/input.hl7").read_bytes()), TABLES, v2.Site())


def test_it_says_when_who_and_where(consultation):
    found = only(consultation, "Appointment")
    assert (found["status"], found["start"], found["end"], found["minutesDuration"]) == (
        "booked",
        "2026-09-24T13:00:00-04:00",
        "2026-09-24T14:00:00-04:00",
        60,
    )
    actors = [pointed(consultation, p["actor"])["resourceType"] for p in found["participant"]]
    assert actors[0] == "Patient"
    assert {"Practitioner", "Location"} <= set(actors)
    assert all(p["status"] for p in found["participant"])


def test_it_names_the_referral_it_is_for(consultation):
    assert [b["identifier"]["value"] for b in only(consultation, "Appointment")["basedOn"]] == ["REF-2026-0417"]


def test_a_moved_appointment_is_the_same_one_with_a_later_clock(consultation):
    moved = v2.map_message(v2.read((FIXTURES / "siu_s13/consultation-moved/input.hl7").read_bytes()), TABLES, v2.Site())
    before, after = drafts(consultation, "Appointment")[0], drafts(moved, "Appointment")[0]
    assert before.keys == after.keys
    assert before.clock < after.clock
    assert after.clock.clinical == ""
    assert after.resource["start"].startswith("2026-10-01")


@pytest.mark.parametrize(
    ("event", "status"),
    [("S12", "booked"), ("S13", "booked"), ("S14", "booked"), ("S15", "cancelled"), ("S17", "entered-in-error"), ("S26", "noshow")],
)
def test_the_event_decides_the_status_when_the_filler_says_nothing(event, status):
    assert only(booked(event=f"SIU^{event}"), "Appointment")["status"] == status


def test_a_local_time_needs_the_sites_zone_to_be_an_appointment():
    nowhere = booked("202609241300^202609241400")
    assert only(nowhere, "Appointment")["status"] == "proposed"
    assert "start" not in only(nowhere, "Appointment")
    assert kept_values(only(nowhere, "Appointment"))["SCH-11.4"] == "202609241300"
    assert [str(f.where) for f in warnings(nowhere)] == ["SCH[1]-11"]
    here = only(booked("202609241300^202609241400", site=v2.Site(CLINIC)), "Appointment")
    assert (here["status"], here["start"]) == ("booked", "2026-09-24T13:00:00-04:00")


def test_without_an_end_the_duration_makes_one():
    assert only(booked("202609241300-0400"), "Appointment")["end"] == "2026-09-24T14:00:00-04:00"


def test_the_service_segment_gives_the_time_when_sch_has_none():
    found = only(mapped("SCH|A1|B1", PID, "RGS|1", "AIS|1||X^Visit|202609241300-0400|||30|min", event="SIU^S12"), "Appointment")
    assert (found["start"], found["end"]) == ("2026-09-24T13:00:00-04:00", "2026-09-24T13:30:00-04:00")


def test_equipment_is_named_as_a_device():
    found = only(mapped("SCH|A1|B1", PID, "RGS|1", "AIG|1||CT2^Scanner two^L|E^Equipment", event="SIU^S12"), "Appointment")
    actor = next(p["actor"] for p in found["participant"] if p["actor"].get("type") == "Device")
    assert (actor["identifier"]["value"], actor["display"]) == ("CT2", "Scanner two")
