"""A record that somebody relied on is another now: the reviewer is told what changed, and whoever read it that it was taken back."""

from __future__ import annotations

from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told

CORRECTED = messages.pathology(status="C", reported="20260912100000-0500", made="20260912100100-0500").replace(
    b"Invasive ductal", b"Invasive lobular"
)
TAKEN_BACK = messages.pathology(status="X", reported="20260913100000-0500", made="20260913100100-0500")
DOCTOR = Principal("clinic", name="dr-lindqvist")


def reviewed(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.gateway.actions.move(STAFF, "REF-1", "start-review")


def test_a_correction_after_the_review_began_is_told_once_with_what_changed(told: Told) -> None:
    reviewed(told)
    told.receives(CORRECTED)
    told.receives(CORRECTED)
    found = told.found("Communication", category="record-changed")
    assert all(validate(one) == [] for one in found)
    (report,) = [one for one in found if one["about"][1]["reference"].startswith("DiagnosticReport/")]
    assert "status: final → corrected" in report["payload"][0]["contentString"]
    assert report["recipient"][0]["display"] == "Second Opinion Clinic"


def test_a_correction_before_anybody_reviews_is_no_news(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(CORRECTED)
    assert told.found("Communication") == []


def test_whoever_read_a_record_is_named_when_it_is_taken_back(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    name = told.item("pathology-report")["suppliedBy"][0]
    told.gateway.read(DOCTOR, *name.split("/"))
    told.gateway.store.flush_audit()
    told.receives(TAKEN_BACK)
    assert told.item("pathology-report")["state"] == "missing"
    (one,) = [c for c in told.found("Communication", category="record-retracted") if c["about"][1]["reference"] == name]
    assert validate(one) == []
    assert "dr-lindqvist" in [recipient.get("display") for recipient in one["recipient"]]
