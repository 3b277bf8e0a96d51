"""REF^I12: the referral, who asks whom, who pays, what is known, and what the patient allowed."""

from __future__ import annotations

import pytest

from mappers import v2
from tests.mappers.build import PID, TABLES, drafts, kept_values, mapped, only, resources
from tests.mappers.test_tables import FIXTURES


@pytest.fixture(scope="module")
def referral():
    return v2.map_message(v2.read((FIXTURES / "ref_i12/breast-second-opinion/input.hl7").read_bytes()), TABLES, v2.Site())


def request(result):
    return next(r for r in resources(result, "ServiceRequest") if "category" in r)


def pointed(result, reference):
    return next(d.resource for d in result.drafts if d.full_url == reference["reference"])


def codes(concepts):
    return {(c.get("system", "").rsplit("/", 1)[-1], c["code"]) for concept in concepts for c in concept.get("coding", ())}


def test_it_says_that_a_second_opinion_is_asked_for(referral):
    found = request(referral)
    assert ("v2-0282", "SO") in codes(found["category"])
    assert ("v2-0336", "S") in codes(found["reasonCode"])
    assert {("sct", "3457005"), ("loinc.org", "57133-1")} <= codes(found["category"])
    assert (found["status"], found["intent"], found["priority"]) == ("active", "order", "routine")


def test_what_the_sender_expects_back_is_not_mistaken_for_a_second_opinion(referral):
    assert ("v2-0282", "WR") not in codes(request(referral)["category"])
    assert any(e.get("valueCodeableConcept", {}).get("coding", [{}])[0].get("code") == "WR" for e in request(referral)["extension"])


def test_its_numbers_carry_type_and_system(referral):
    found = request(referral)["identifier"]
    assert [(i["type"]["coding"][0]["code"], i["value"], i["assigner"]["display"]) for i in found] == [("PLAC", "REF-2026-0417", "NORTHSIDE")]


def test_who_refers_to_whom_and_who_is_the_general_practitioner(referral):
    found = request(referral)
    asked_by = pointed(referral, pointed(referral, found["requester"])["practitioner"])
    asked = pointed(referral, pointed(referral, found["performer"][0])["practitioner"])
    doctor = pointed(referral, only(referral, "Patient")["generalPractitioner"][0])
    assert asked_by["name"][0]["family"] == "Okafor"
    assert asked["name"][0]["family"] == "Lindqvist"
    assert pointed(referral, doctor["practitioner"])["name"][0]["family"] == "Hale"
    assert asked_by["identifier"][0]["system"] == "http://hl7.org/fhir/sid/us-npi"
    clinic = pointed(referral, pointed(referral, found["requester"])["organization"])
    assert clinic["contact"][0]["name"]["family"] == "Bell"


def test_each_insurance_is_a_coverage_of_its_own(referral):
    first, second = resources(referral, "Coverage")
    assert (first["order"], second["order"]) == (1, 2)
    assert first["relationship"]["coding"][0]["code"] == "spouse"
    assert pointed(referral, first["subscriber"])["name"][0]["given"] == ["Theo"]
    assert second["relationship"]["coding"][0]["code"] == "self"
    assert pointed(referral, second["subscriber"])["resourceType"] == "Patient"
    assert (first["subscriberId"], second["subscriberId"]) == ("RBH-778812", "CM-331-04-01")
    assert {c["type"]["coding"][0]["code"]: c["value"] for c in first["class"]} == {"plan": "RBPPO", "group": "GRP-5511"}
    assert pointed(referral, first["payor"][0])["name"] == "Riverbend Health Plan"


def test_what_the_second_in2_and_in3_say_stays_with_the_second_insurance():
    result = mapped(
        PID,
        "RF1|P",
        "IN1|1|A^Plan A|A1|Alpha||||||||||||Doe^Bob|SPO",
        "IN2||111-11-1111||||||MED-A",
        "IN1|2|B^Plan B|B1|Beta||||||||||||Doe^Eve|MTH",
        "IN2||222-22-2222||||||MED-B",
        event="REF^I12",
    )
    alpha, beta = resources(result, "Coverage")
    assert [i["value"] for i in alpha["identifier"]] == ["MED-A"]
    assert [i["value"] for i in beta["identifier"]] == ["MED-B"]
    bob, eve = (pointed(result, c["subscriber"]) for c in (alpha, beta))
    assert (bob["identifier"][0]["value"], eve["identifier"][0]["value"]) == ("111-11-1111", "222-22-2222")
    assert beta["relationship"]["coding"][0]["code"] == "child"  # the insured is her mother: she is the subscriber's child


def test_the_authorisation_hangs_on_the_referral_with_its_number_and_period(referral):
    found = [pointed(referral, r) for r in request(referral)["insurance"]]
    given = next(c for c in found if c.get("preAuthRef") == "AUTH-2026-0088")
    assert given["use"] == "preauthorization"
    assert given["preAuthPeriod"] == {"start": "2026-09-01", "end": "2026-11-30"}
    assert pointed(referral, given["insurer"])["name"] == "Riverbend Health Plan"
    assert [c["resourceType"] for c in found] == ["Coverage", "Coverage", "ClaimResponse", "ClaimResponse"]


def test_the_payers_own_second_opinion_record_is_read(referral):
    found = next(e for e in request(referral)["extension"] if e["url"].endswith("payer-second-opinion"))
    parts = {e["url"]: e for e in found["extension"]}
    assert parts["date"]["valueDate"] == "2026-09-04"
    assert parts["status"]["valueCodeableConcept"]["coding"][0]["code"] == "P"
    assert parts["documentation-received"]["valueCodeableConcept"]["coding"][0]["code"] == "N"
    assert pointed(referral, parts["physician"]["valueReference"])["name"][0]["family"] == "Lindqvist"


def test_diagnosis_allergy_and_biopsy(referral):
    diagnosis = pointed(referral, request(referral)["reasonReference"][0])
    assert diagnosis["code"]["coding"][0] == {
        "system": "http://hl7.org/fhir/sid/icd-10-cm",
        "code": "C50.411",
        "display": "Malignant neoplasm of upper-outer quadrant of right female breast",
    }
    assert diagnosis["recordedDate"] == "2026-08-28"
    allergy = only(referral, "AllergyIntolerance")
    assert allergy["category"] == ["medication"]
    assert allergy["reaction"][0] == {"manifestation": [{"text": "Rash"}], "severity": "moderate"}
    assert only(referral, "Procedure")["status"] == "completed"


def test_the_consent_covers_its_period_and_says_its_limits(referral):
    found = only(referral, "Consent")
    assert (found["status"], found["provision"]["type"]) == ("active", "permit")
    assert found["provision"]["period"] == {"start": "2026-09-02", "end": "2027-09-02"}
    assert any(e["extension"][1].get("valueString") == "Not to my employer" for e in found["extension"] if e["url"].endswith("consent-text"))
    assert found in [pointed(referral, r) for r in request(referral)["supportingInfo"]]


def test_the_message_header_points_at_the_referral_and_the_provenance_at_everything(referral):
    urls = {d.full_url for d in referral.drafts}
    header, provenance = only(referral, "MessageHeader"), only(referral, "Provenance")
    assert pointed(referral, header["focus"][0]) is request(referral)
    assert header["eventCoding"]["code"] == "I12"
    assert len(provenance["target"]) == len(urls) - 2
    assert provenance["entity"][0]["what"] == {"reference": "urn:second-opinion-gateway:raw-message"}


@pytest.mark.parametrize("order", [("RF1|P||||| R1^N".replace(" ", ""), PID), (PID, "RF1|P|||||R1^N")])
def test_the_order_of_referral_and_patient_does_not_matter(order):
    result = mapped(*order, "DG1|1||C61^Prostate^I10C", event="REF^I12")
    found = request(result)
    assert pointed(result, found["subject"])["name"][0]["family"] == "Doe"
    assert found["identifier"][0]["value"] == "R1"


def test_a_referral_without_rf1_is_still_one():
    result = mapped(PID, "PRD|RP|Stone^Kim", "DG1|1||C61^Prostate^I10C", event="REF^I12")
    assert pointed(result, pointed(result, request(result)["requester"])["practitioner"])["name"][0]["family"] == "Stone"
    assert request(result)["status"] == "active"


def test_an_insurance_without_a_payer_loses_nothing():
    result = mapped(PID, "RF1|P", "IN1|1|P1^Plan One|||12 High St^^Town", event="REF^I12")
    found = only(result, "Coverage")
    assert found["payor"] == [{"display": "Plan One"}]
    assert kept_values(found) == {"IN1-5.1": "12 High St", "IN1-5.3": "Town"}


def test_results_in_a_referral_are_history_that_supports_it():
    result = mapped(
        PID, "RF1|P", "OBR|1||L1^LAB|58410-2^CBC^LN|||20260901||||||||||||||||||F", "OBX|1|NM|718-7^Hb^LN||11.2|g/dL^^UCUM|||||F", event="REF^I12"
    )
    supporting = [pointed(result, r)["resourceType"] for r in request(result)["supportingInfo"]]
    assert supporting == ["DiagnosticReport"]


def test_the_referral_is_known_by_its_number_whatever_the_control_id():
    one, two = (drafts(mapped("RF1|P|||||R1^N", PID, event="REF^I12", control_id=c), "ServiceRequest")[0] for c in ("1", "2"))
    assert one.keys == two.keys
    assert one.keys[0] == ("ServiceRequest:PLAC", "urn:second-opinion-gateway:sid:HOSP:N|R1")


def test_the_referring_doctor_of_the_visit_is_the_requester_when_no_provider_segment_names_one():
    result = mapped(PID, "RF1|P", "PV1|1|O||||||1234567893^Stone^Kim^^^^^^^^^^NPI", event="REF^I12")
    assert pointed(result, request(result)["requester"])["name"][0]["family"] == "Stone"


@pytest.mark.parametrize(
    ("kind", "said", "status", "rule"),
    [
        ("110^Request to restrict^HL70496", "A", "active", "deny"),
        ("110^Request to restrict^HL70496", "X", "inactive", "deny"),
        ("HPAYMT^Tell the plan^L", "A", "active", "permit"),
        ("HPAYMT^Tell the plan^L", "R", "active", "deny"),
        ("HPAYMT^Tell the plan^L", "X", "active", "deny"),
        ("HPAYMT^Tell the plan^L", "P", "proposed", None),
    ],
)
def test_a_consent_about_the_plan_is_no_release_of_records(kind, said, status, rule):
    found = only(
        mapped("RF1|A|||||R1^HOSP", PID, f"CON|1|{kind}|F|C-1^HOSP|||||Not to my plan||{said}|||20260901|20270901", event="REF^I12"), "Consent"
    )
    assert (found["status"], found["provision"].get("type")) == (status, rule)
    assert [one["code"] for one in found["provision"]["purpose"]] == ["HPAYMT"] and "64292-6" not in {code for _, code in codes(found["category"])}
    assert found["provision"]["period"] == {"start": "2026-09-01", "end": "2027-09-01"}
