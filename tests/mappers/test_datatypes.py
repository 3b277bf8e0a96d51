"""Codes, identifiers, names, numbers: right where they belong, and what a datatype can't use is kept beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mappers.v2.context import Context, Site
from mappers.v2.datatypes.codes import cwe, status, translated
from mappers.v2.datatypes.ids import cx, ei, eip
from mappers.v2.datatypes.measures import cq, structured
from mappers.v2.datatypes.people import xad, xpn, xtn
from mappers.v2.message import read
from tests.mappers.build import PID, TABLES, kept_values, mapped, message, observation, only, warnings


def convert(datatype, text):
    """One repetition, written as a sender would, through one datatype."""
    read_ = read(message(PID, "ZZZ|" + text))
    ctx = Context(read_, TABLES, Site(), "HOSP", clock=None)
    ctx.segment, ctx.number = read_.segments[2], 1
    found = datatype(read_.segments[2].repetitions(1)[0], ctx)
    return found, ctx


def test_a_coded_element_keeps_all_its_triplets_and_the_original_text():
    found, _ = convert(cwe, "C50.411^Malignant neoplasm^I10C^254837009^Malignant tumor of breast^SCT^2026^20260301^right breast cancer")
    assert found == {
        "coding": [
            {"system": "http://hl7.org/fhir/sid/icd-10-cm", "version": "2026", "code": "C50.411", "display": "Malignant neoplasm"},
            {"system": "http://snomed.info/sct", "version": "20260301", "code": "254837009", "display": "Malignant tumor of breast"},
        ],
        "text": "right breast cancer",
    }


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("LN", "http://loinc.org"),
        ("HL70078", "http://terminology.hl7.org/CodeSystem/v2-0078"),
        ("2.16.840.1.113883.6.90", "urn:oid:2.16.840.1.113883.6.90"),
        ("http://example.org/codes", "http://example.org/codes"),
        ("99LOCAL", "urn:second-opinion-gateway:sid:HOSP:99LOCAL"),
    ],
)
def test_a_coding_system_is_always_a_uri(name, system):
    assert convert(cwe, f"X^y^{name}")[0]["coding"][0]["system"] == system


def test_text_without_code_is_text():
    assert convert(cwe, "^Palpable mass")[0] == {"text": "Palpable mass"}


def test_a_translated_code_has_the_fhir_code_first_and_the_senders_beside_it():
    found, _ = convert(translated("0002-marital-status", "0002"), "M^Married^HL70002")
    assert [c["system"].rsplit("/", 1)[1] for c in found["coding"]] == ["v3-MaritalStatus", "v2-0002"]


def test_a_status_that_says_less_than_its_source_keeps_the_source():
    exact, _ = convert(status("0085-observation-status", "0085", "unknown"), "F")
    assert exact == "final"
    less, _ = convert(status("0085-observation-status", "0085", "unknown"), "R")
    assert less.value == "preliminary"
    assert less.extension[0]["valueCodeableConcept"]["coding"][0]["code"] == "R"
    unknown, ctx = convert(status("0085-observation-status", "0085", "unknown"), "Q")
    assert unknown.value == "unknown"
    assert [f.code for f in ctx.findings] == ["103"]


def test_an_identifiers_system_is_the_oid_of_its_assigner_or_a_uri_of_the_sender():
    assert convert(cx, "1^^^HOSP&2.16.840.1.113883.19.5.1&ISO^MR")[0]["system"] == "urn:oid:2.16.840.1.113883.19.5.1"
    assert convert(cx, "1^^^HOSP^MR")[0]["system"] == "urn:second-opinion-gateway:sid:HOSP:HOSP"
    assert convert(cx, "1")[0]["system"] == "urn:second-opinion-gateway:sid:HOSP:"
    assert convert(cx, "1^^^&6f9619ff-8b86-d011-b42d-00c04fc964ff&GUID^MR")[0]["system"] == "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert convert(cx, "123^^^&2.16.840.1.113883.4.1&ISO^SS")[0]["system"] == "http://hl7.org/fhir/sid/us-ssn"
    assert convert(cx, "1234567893^^^^NPI")[0]["system"] == "http://hl7.org/fhir/sid/us-npi"


def test_an_assigner_of_a_kind_without_uri_keeps_its_id_and_kind():
    found, _ = convert(cx, "1^^^LAB&05D0000001&CLIA^MR")
    assert found["assigner"]["identifier"]["value"] == "05D0000001"
    assert found["assigner"]["identifier"]["type"]["coding"][0]["code"] == "CLIA"


def test_check_digit_period_and_what_r4_has_no_place_for_stay_with_the_identifier():
    found = only(mapped("PID|1||1^4^M11^H^MR^Unity Hospital^20200101^20301231||Doe^Ann"), "Patient")["identifier"][0]
    assert found["period"] == {"start": "2020-01-01", "end": "2030-12-31"}
    assert [e.get("valueString") for e in found["extension"][:2]] == ["4", "M11"]
    assert kept_values(found) == {"PID-3.6": "Unity Hospital"}


def test_entity_identifiers_of_old_and_new_shape():
    assert convert(ei("PLAC"), "REF-1^NORTH")[0]["system"].endswith(":HOSP:NORTH")
    assert convert(ei(), "^^2.16.840.1.113883.19.1^ISO")[0] == {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.16.840.1.113883.19.1"}
    assert convert(eip(1, "PGN"), "G1^NORTH")[0]["value"] == "G1"
    assert convert(eip(1, "PGN"), "G1&NORTH^F1&LAB")[0]["value"] == "G1"
    assert convert(eip(2, "FGN"), "G1&NORTH^F1&LAB")[0]["value"] == "F1"


def test_a_name_has_its_parts_where_they_belong():
    found, _ = convert(xpn, "van Dijk&van&Dijk^Maria^Anna^Jr^Dr^PhD^L^^^^G^20200101")
    assert found["family"] == "van Dijk"
    assert found["given"] == ["Maria", "Anna"]
    assert found["prefix"] == ["Dr"]
    assert found["suffix"] == ["Jr", "PhD"]
    assert found["use"] == "official"
    assert found["period"] == {"start": "2020-01-01"}
    assert {e["valueString"] for e in found["_family"]["extension"]} == {"van", "Dijk"}


def test_an_explicit_null_in_a_name_is_no_name_part():
    assert convert(xpn, 'Doe^""^B')[0] == {"family": "Doe", "given": ["B"]}


def test_an_address_keeps_street_number_county_and_tract():
    found, _ = convert(xad, "12 Oak St&Oak St&12^Flat 2^Town^OH^44100^USA^H^^Summit^5301")
    assert found["line"] == ["12 Oak St", "Flat 2"]
    assert (found["district"], found["use"]) == ("Summit", "home")
    assert found["extension"][0]["valueString"] == "5301"


@pytest.mark.parametrize(
    ("sent", "contact"),
    [
        ("(555) 123-4567^PRN^PH", {"system": "phone", "value": "(555) 123-4567", "use": "home"}),
        ("^WPN^PH^^^^^^^^^(626)555-1234", {"system": "phone", "value": "(626)555-1234", "use": "work"}),
        ("^NET^Internet^a@example.org", {"system": "email", "value": "a@example.org"}),
        ("5551234^^CP", {"system": "phone", "value": "5551234", "use": "mobile"}),
    ],
)
def test_a_telephone_or_mail_address(sent, contact):
    assert convert(xtn, sent)[0] == contact


def test_a_number_in_parts_is_put_together_and_its_parts_kept():
    found, _ = convert(xtn, "^PRN^PH^^1^270^6009800^12")
    assert found["value"] == "+1 270 6009800 X12"
    assert [e["valueString"] for e in found["extension"]] == ["1", "270", "6009800", "12"]


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("<^15", {"valueQuantity": {"value": Decimal(15), "comparator": "<"}}),
        ("^100", {"valueQuantity": {"value": Decimal(100)}}),
        ("^34.0^-^35.0", {"valueRange": {"low": {"value": Decimal("34.0")}, "high": {"value": Decimal("35.0")}}}),
        ("^1^:^128", {"valueRatio": {"numerator": {"value": Decimal(1)}, "denominator": {"value": Decimal(128)}}}),
        ("^2^+", {"valueString": "2 +"}),
        ("<>^5", {"valueString": "<> 5"}),
    ],
)
def test_a_structured_number(sent, value):
    repetition = read(message("ZZZ|" + sent)).segments[1].repetitions(1)[0]
    assert structured(repetition, [], None) == value


def test_a_quantity_keeps_its_decimals():
    found, _ = convert(cq, "0.40^mg&milligram&UCUM")
    assert str(found["value"]) == "0.40"
    assert found["code"] == "mg"
    assert found["system"] == "http://unitsofmeasure.org"


def test_less_than_in_a_numeric_field_is_kept_readable_and_reported():
    result = observation("NM", "<15", f6="mg/dL^^UCUM")
    found = only(result, "Observation")
    assert found["valueString"] == "<15"
    assert "valueQuantity" not in found
    assert kept_values(found) == {"OBX-6.1": "mg/dL", "OBX-6.3": "UCUM"}
    assert [(f.severity, f.code, str(f.where)) for f in warnings(result)] == [("warning", "102", "OBX[1]-5.1")]
