"""A record that somebody relied on is another now: the reviewer is told what changed, and whoever read it that it was taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode, validate
from tests import messages
from tests.pipeline.conftest import BASE, STAFF, Told

CORRECTED = messages.pathology(status="C", reported="20260912100000-0500", made="20260912100100-0500").replace(
    b"Invasive ductal", b"Invasive lobular"
)
TAKEN_BACK = messages.pathology(status="X", reported="20260913100000-0500", made="20260913100100-0500")
WRONG = messages.pathology(status="C", reported="20260913100000-0500", made="20260913100100-0500").replace(b"||||||C\r", b"||||||W\r")
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
    assert told.count("Communication") == 1, "the report and its results are one piece of news"


def test_what_a_report_says_in_its_results_is_told_with_it(told: Told) -> None:
    reviewed(told)
    told.receives(CORRECTED)
    (one,) = told.found("Communication")
    words = one["payload"][0]["contentString"]
    assert "final diagnosis Narrative: valueString: Invasive ductal carcinoma → Invasive lobular carcinoma" in words
    assert {reference["reference"].partition("/")[0] for reference in one["about"]} == {"ServiceRequest", "DiagnosticReport", "Observation"}


def observation(told: Told, code: str) -> dict[str, Any]:
    """A result of the report, as stored."""
    (found,) = told.found("Observation", code=f"http://loinc.org|{code}")
    return found


def put(told: Told, resource: dict[str, Any]) -> None:
    told.gateway.fhir.update(STAFF, resource["resourceType"], resource["id"], encode(resource), None)


def test_a_result_corrected_over_fhir_is_told_though_its_report_stays_as_it_was(told: Told) -> None:
    reviewed(told)
    put(told, {**observation(told, "22637-3"), "valueString": "No carcinoma", "status": "amended"})
    (one,) = told.found("Communication")
    assert one["about"][1]["reference"].startswith("DiagnosticReport/")
    assert "Invasive ductal carcinoma → No carcinoma" in one["payload"][0]["contentString"]
    put(told, {**observation(told, "22637-3"), "valueString": "Carcinoma in situ"})
    assert told.count("Communication") == 2


def test_after_the_opinion_went_out_a_correction_is_still_told(told: Told) -> None:
    reviewed(told)
    told.opines()
    told.receives(CORRECTED)
    assert told.count("Communication", category="record-changed") == 1


def test_a_correction_before_anybody_reviews_is_no_news(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(CORRECTED)
    assert told.found("Communication") == []


def test_whoever_read_a_record_is_named_when_it_is_taken_back(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    name = told.item("pathology-report")["suppliedBy"][0]
    told.gateway.fhir.read(DOCTOR, *name.split("/"))
    told.receives(TAKEN_BACK)
    assert told.item("pathology-report")["state"] == "missing"
    (one,) = [c for c in told.found("Communication", category="record-retracted") if c["about"][1]["reference"] == name]
    assert validate(one) == []
    assert "dr-lindqvist" in [recipient.get("display") for recipient in one["recipient"]]


def read_by(told: Told, name: str, principal: Principal = DOCTOR) -> None:
    told.gateway.fhir.read(principal, *name.split("/"))
    told.now += timedelta(minutes=5)


def supplier(told: Told, item: str = "pathology-report") -> str:
    """The record that supplies an item, as Type/id."""
    return str(told.item(item)["suppliedBy"][0])


def retraction(told: Told) -> dict[str, Any]:
    """The only notice that something was taken back."""
    (one,) = told.found("Communication", category="record-retracted")
    assert validate(one) == []
    return one


def test_readers_are_named_with_when_they_read_it_and_whatever_part_they_read(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    report, result = supplier(told), f"Observation/{observation(told, '22637-3')['id']}"
    read_by(told, report)
    read_by(told, report)
    read_by(told, result, Principal("clinic", name="nurse-ito"))
    told.gateway.raw_message(Principal("clinic", name="clerk"), told.inbox()[0].id)
    told.receives(WRONG)
    one = retraction(told)
    assert {"dr-lindqvist", "nurse-ito", "clerk"} <= {to["display"] for to in one["recipient"]}
    assert "dr-lindqvist on 2026-09-10 09:00 UTC (2 times, last on 2026-09-10 09:05 UTC)" in one["payload"][0]["contentString"]
    assert told.item("pathology-report")["state"] == "missing"


def test_whoever_a_search_or_a_bundle_showed_it_is_named_too(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.gateway.fhir.search(DOCTOR, "DiagnosticReport", [("status", "final")], BASE)
    told.gateway.fhir.search(Principal("clinic", name="counter"), "DiagnosticReport", [("_summary", "count")], BASE)
    for who, url in (("batch-reader", supplier(told)), ("batch-searcher", "DiagnosticReport?status=final")):
        batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": url}}]}
        assert told.gateway.receive_bundle(encode(batch), Principal("clinic", name=who), BASE)[0] == 200
    told.receives(WRONG)
    named = {to["display"] for to in retraction(told)["recipient"]}
    assert {"dr-lindqvist", "batch-reader", "batch-searcher"} <= named
    assert "counter" not in named, "it saw a number"


def test_a_retraction_during_the_review_is_told_also_where_nobody_read_it_here(told: Told) -> None:
    reviewed(told)
    told.receives(WRONG)
    words = retraction(told)["payload"][0]["contentString"]
    assert "taken back by its sender" in words
    assert "Nobody has read it here." in words


def test_a_record_moved_to_another_patient_over_fhir_names_its_readers(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(number=None))
    told.receives(messages.blood_count(mrn="9017766", family="Okoro", given="Peter", born="19580102"))
    name = supplier(told)
    read_by(told, name)
    other = next(p["id"] for p in told.found("Patient") if p["name"][0]["family"] == "Okoro")
    put(told, {**told.gateway.fhir.read(STAFF, *name.split("/")).resource, "subject": {"reference": f"Patient/{other}"}})
    assert "moved to another patient" in retraction(told)["payload"][0]["contentString"]
    assert told.item("pathology-report")["state"] == "missing"


def test_a_record_moved_to_the_survivor_of_a_merge_is_no_retraction(told: Told) -> None:
    reviewed(told)
    name = supplier(told)
    read_by(told, name)
    told.receives(messages.merge("7700001", "554321"))
    survivor = next(f"Patient/{p['id']}" for p in told.found("Patient") if p["identifier"][0]["value"] == "7700001")
    put(told, {**told.gateway.fhir.read(STAFF, *name.split("/")).resource, "subject": {"reference": survivor}})
    assert told.found("Communication", category="record-retracted") == []
    assert told.count("Communication", category="record-changed") == 1


def test_a_record_the_clinic_finds_to_be_somebody_elses_names_its_readers(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    name = supplier(told)
    read_by(told, name)
    told.gateway.actions.judge(STAFF, "REF-1", name, "wrong-patient")
    one = retraction(told)
    assert "found to be about another patient" in one["payload"][0]["contentString"]
    assert "dr-lindqvist" in {to["display"] for to in one["recipient"]}


def test_a_document_withdrawn_over_fhir_names_who_read_its_bytes(told: Told) -> None:
    told.receives(messages.referral())
    patient = next(p["id"] for p in told.found("Patient"))
    put(told, {"resourceType": "Binary", "id": "scan", "contentType": "application/pdf", "data": "JVBERi0xLjQK"})
    note = {
        "resourceType": "DocumentReference",
        "id": "note",
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "date": "2026-09-01T10:00:00Z",
        "content": [{"attachment": {"contentType": "application/pdf", "url": "Binary/scan"}}],
    }
    put(told, note)
    assert supplier(told, "consult-note") == "DocumentReference/note"
    read_by(told, "Binary/scan")
    put(told, {**note, "docStatus": "entered-in-error"})
    assert "dr-lindqvist" in {to["display"] for to in retraction(told)["recipient"]}


def test_a_deleted_record_is_taken_back(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count())
    name = supplier(told, "lab-cbc")
    read_by(told, name)
    told.gateway.fhir.delete(STAFF, *name.split("/"), None)
    words = retraction(told)["payload"][0]["contentString"]
    assert words.startswith("CBC panel (DiagnosticReport/")
    assert "was deleted by its sender. Read by dr-lindqvist on" in words


def test_one_value_sent_for_the_wrong_patient_names_who_read_the_report_it_stood_in(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    read_by(told, supplier(told))
    receptor = supplier(told, "er")
    one_wrong = messages.pathology(status="C", reported="20260913100000-0500", made="20260913100100-0500")
    told.receives(b"||||||W".join(one_wrong.rsplit(b"||||||C", 1)))
    one = retraction(told)
    assert one["about"][1]["reference"] == receptor
    assert "dr-lindqvist" in {to["display"] for to in one["recipient"]}
    assert (told.item("er")["state"], told.item("er")["reason"]) == ("missing", "retracted")
    assert told.item("pathology-report")["state"] == "accepted"
