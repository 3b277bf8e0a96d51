"""ORU^R01: every OBX arrives, as an observation of its own or as part of a document, and finds its report, order and specimen."""

from __future__ import annotations

import base64
import hashlib
import json
import tracemalloc

import pytest

from fhir_gateway.validation import validate
from mappers import v2
from tests.mappers.build import PID, TABLES, drafts, kept_values, mapped, message, observation, only, resources, warnings
from tests.mappers.test_referral import pointed

OBR = "OBR|1|P1^HOSP|F1^LAB|11526-1^Pathology study^LN|||202609011000-0400|||||||||||||||202609021200-0400||SP|F"


@pytest.mark.parametrize(
    ("value_type", "sent", "element", "value"),
    [
        ("NM", "6.40", "valueQuantity", {"value": "6.40"}),
        ("ST", "Positive", "valueString", "Positive"),
        ("TX", "A ^ B & C", "valueString", "A ^ B & C"),
        ("FT", "a\\.br\\b", "valueString", "a\nb"),
        (
            "CWE",
            "260385009^Negative^SCT",
            "valueCodeableConcept",
            {"coding": [{"system": "http://snomed.info/sct", "code": "260385009", "display": "Negative"}]},
        ),
        ("DT", "20260901", "valueDateTime", "2026-09-01"),
        ("TS", "202609011000-0400", "valueDateTime", "2026-09-01T10:00:00-04:00"),
        ("TM", "1030", "valueTime", "10:30:00"),
        ("DR", "20260901^20260902", "valuePeriod", {"start": "2026-09-01", "end": "2026-09-02"}),
        ("SN", ">^5", "valueQuantity", {"value": "5", "comparator": ">"}),
        ("NR", "1^5", "valueRange", {"low": {"value": "1"}, "high": {"value": "5"}}),
        ("XYZ", "something", "valueString", "something"),
        ("", "no type", "valueString", "no type"),
    ],
)
def test_a_value_of_each_type(value_type, sent, element, value):
    found = only(observation(value_type, sent), "Observation")[element]
    assert json.loads(json.dumps(found, default=str)) == value


@pytest.mark.parametrize("code", "ABCDFINOPRSUVWX")
def test_every_result_status_has_a_fhir_status_and_keeps_its_letter(code):
    found = only(observation("ST", "" if code == "N" else "x", f11=code), "Observation")
    assert found["status"] in {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error"}
    if code in "BINORSUV":  # what the guide leaves blank
        assert found["_status"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == code
    assert ("dataAbsentReason" in found) is (code == "N")


def test_repetitions_of_numbers_are_components_of_lines_text():
    numbers = only(observation("NM", "60~120"), "Observation")
    assert [str(c["valueQuantity"]["value"]) for c in numbers["component"]] == ["60", "120"]
    assert only(observation("TX", "one~two"), "Observation")["valueString"] == "one\ntwo"


def test_same_code_with_other_sub_ids_stays_apart():
    result = mapped(PID, OBR, *(f"OBX|{n}|SN|21889-1^Size Tumor^LN|{n}|^{n}.5|cm^^UCUM|||||F" for n in (1, 2, 3)))
    found = drafts(result, "Observation")
    assert [str(d.resource["valueQuantity"]["value"]) for d in found] == ["1.5", "2.5", "3.5"]
    assert len({d.keys for d in found}) == 3
    assert len(only(result, "DiagnosticReport")["result"]) == 3


def test_same_code_without_sub_id_stays_apart_too():
    result = mapped(PID, OBR, "OBX|1|NM|1^a||1||||||F", "OBX|2|NM|1^a||2||||||F")
    assert len({d.keys for d in drafts(result, "Observation")}) == 2


def test_lines_of_one_text_are_one_document():
    result = mapped(
        PID, OBR, "OBX|1|TX|22634-0^Report^LN||first||||||F", "OBX|2|TX|22634-0^Report^LN||||||||F", "OBX|3|TX|22634-0^Report^LN||third||||||F"
    )
    document, binary = only(result, "DocumentReference"), only(result, "Binary")
    assert base64.b64decode(binary["data"]).decode() == "first\n\nthird"
    attachment = document["content"][0]["attachment"]
    assert attachment["contentType"] == binary["contentType"] == "text/plain; charset=utf-8"
    assert resources(result, "Observation") == []
    assert only(result, "DiagnosticReport")["presentedForm"][0] == attachment


def test_a_pdf_stands_once_and_is_pointed_to_twice():
    data = b"%PDF-1.4 synthetic"
    result = mapped(PID, "ORC|RE|P1^HOSP||G1^HOSP", OBR, f"OBX|1|ED|11526-1^Report^LN||LIS^AP^OCTET^Base64^{base64.b64encode(data).decode()}||||||F")
    attachment = only(result, "DocumentReference")["content"][0]["attachment"]
    assert (attachment["contentType"], attachment["size"]) == ("application/pdf", len(data))
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(data).digest()
    binary = drafts(result, "Binary")[0]
    assert attachment["url"] == binary.full_url == only(result, "DiagnosticReport")["presentedForm"][0]["url"]
    assert base64.b64decode(binary.resource["data"]) == data
    related = only(result, "DocumentReference")["context"]["related"]
    assert {r["identifier"]["value"] for r in related if "identifier" in r} == {"P1", "G1"}


@pytest.mark.parametrize(
    ("encoding", "sent", "data"),
    [("Base64", "SGVsbG8=", b"Hello"), ("Hex", "48656c6c6f", b"Hello"), ("A", "Hello", b"Hello"), ("", "SGVs bG8=", b"Hello")],
)
def test_the_encodings_of_embedded_data(encoding, sent, data):
    result = mapped(PID, OBR, f"OBX|1|ED|1^Doc||X^TX^PLAIN^{encoding}^{sent}||||||F")
    assert base64.b64decode(only(result, "Binary")["data"]) == data


@pytest.mark.parametrize(
    ("sent", "mime"),
    [
        ("JVBERi0xLjQ=", "application/pdf"),  # nothing but the data
        ("Base64^JVBERi0xLjQ=", "application/pdf"),
        ("AP^PDF^Base64^JVBERi0xLjQ=", "application/pdf"),
        ("AP^PDF^Base64^JVBERi0xLjQ=^", "application/pdf"),
        ("PDF^JVBERi0xLjQ=", "application/pdf"),
        ("EHR^AP^JVBERi0xLjQ=", "application/pdf"),
    ],
)
def test_components_left_out_are_reported_and_the_data_found(sent, mime):
    result = mapped(PID, OBR, f"OBX|1|ED|1^Doc||{sent}||||||F")
    assert base64.b64decode(only(result, "Binary")["data"]) == b"%PDF-1.4"
    assert only(result, "DocumentReference")["content"][0]["attachment"]["contentType"] == mime
    assert [(f.code, str(f.where)) for f in warnings(result)] == [("101", "OBX[1]-5.5")]


@pytest.mark.parametrize("sent", ["App5^NS^Octet-stream^Base64", "just words", "EHR^AP^PDF"])
def test_an_ed_without_data_keeps_its_words_and_makes_no_file_of_them(sent):
    result = mapped(PID, OBR, f"OBX|1|ED|1^Doc||{sent}||||||F")
    assert resources(result, "Binary") == []
    assert set(kept_values(only(result, "DocumentReference")).values()) == set(sent.split("^"))
    assert [(f.code, str(f.where)) for f in warnings(result)] == [("101", "OBX[1]-5.5")]


@pytest.mark.parametrize(
    "sent",
    ["JVBERi0xLjQ", "JVBERi0x\\X0D0A\\LjQ=", "JVBERi0x\\.br\\LjQ=", "data:application/pdf;base64,JVBERi0xLjQ=", " JVBERi0x LjQ= "],
    ids=["no padding", "line ends", "br", "data url", "spaces"],
)
def test_base64_as_people_send_it(sent):
    result = mapped(PID, OBR, f"OBX|1|ED|1^Doc||EHR^AP^PDF^Base64^{sent}||||||F")
    assert base64.b64decode(only(result, "Binary")["data"]) == b"%PDF-1.4"
    assert warnings(result) == []


def test_base64_declared_as_text_is_read_as_base64_and_said():
    result = mapped(PID, OBR, "OBX|1|ED|1^Doc||EHR^AP^PDF^A^JVBERi0xLjQ=||||||F")
    assert base64.b64decode(only(result, "Binary")["data"]) == b"%PDF-1.4"
    assert [(f.code, str(f.where)) for f in warnings(result)] == [("102", "OBX[1]-5.4")]


def test_separators_in_an_embedded_text_belong_to_it():
    result = mapped(PID, OBR, "OBX|1|ED|1^Doc||EHR^TX^PLAIN^A^a^b&c||||||F")
    assert base64.b64decode(only(result, "Binary")["data"]) == b"a^b&c"


@pytest.mark.parametrize(("kind", "sent"), [("NM", "+0"), ("NM", "007"), ("NM", "5."), ("NM", "-0.50"), ("SN", ">^010"), ("CQ", "007^mg")])
def test_a_number_keeps_the_digits_it_was_sent_with(kind, sent):
    found = only(observation(kind, sent), "Observation")
    assert validate(found) == []
    digits = sent.split("^")[1] if kind == "SN" else sent.split("^")[0]
    value = found["valueQuantity"]
    assert str(value["value"]) == digits or kept_values(value) == {"OBX-5": digits}


def test_bad_base64_costs_the_data_and_nothing_else():
    result = mapped(PID, OBR, "OBX|1|ED|1^Doc||X^AP^PDF^Base64^!!not base64!!||||||F", "OBX|2|ST|2^b||fine||||||F")
    assert [(f.severity, f.code, str(f.where)) for f in warnings(result)] == [("warning", "102", "OBX[1]-5.5")]
    document = only(result, "DocumentReference")
    assert validate(document) == []
    assert kept_values(document)["OBX-5.5"] == "!!not base64!!"
    assert document["content"][0]["attachment"]["contentType"] == "application/pdf"
    assert only(result, "Observation")["valueString"] == "fine"


def test_a_pointer_is_a_document_at_its_address():
    found = only(mapped(PID, OBR, "OBX|1|RP|1^Image||https://pacs.example.org/x^^IM^JPEG||||||F"), "DocumentReference")
    assert found["content"][0]["attachment"]["url"] == "https://pacs.example.org/x"
    assert found["content"][0]["attachment"]["contentType"] == "image/jpeg"


def test_results_behind_the_specimen_belong_to_the_report():
    result = mapped(PID, OBR, "SPM|1|S1&HOSP||119376003^Tissue^SCT", "OBX|1|ST|1^a||seen||||||F")
    report, found = only(result, "DiagnosticReport"), only(result, "Observation")
    assert pointed(result, report["result"][0]) is found
    assert pointed(result, found["specimen"]) is only(result, "Specimen")


def test_results_without_order_segment_keep_the_referral_number_of_obr():
    report = only(mapped(PID, OBR, "OBX|1|ST|1^a||x||||||F"), "DiagnosticReport")
    assert [b["identifier"]["value"] for b in report["basedOn"] if "identifier" in b] == ["P1"]


def test_notes_stand_with_what_they_are_about():
    result = mapped(PID, "NTE|1||about her", OBR, "NTE|1||about the report", "OBX|1|ST|1^a||x||||||F", "NTE|1||line one~line two")
    assert only(result, "Observation")["note"] == [{"text": "line one\nline two"}]
    for resource_type, text in (("Patient", "about her"), ("DiagnosticReport", "about the report")):
        notes = [e["valueAnnotation"]["text"] for e in only(result, resource_type)["extension"] if e["url"].endswith(":note")]
        assert notes == [text]


def test_a_study_carries_its_uid_and_the_accession_number():
    result = mapped(PID, OBR, "ZDS|1.2.840.1.5^PACS^Application^DICOM", "OBX|1|ST|1^a||x||||||F")
    found = {i["system"]: i["value"] for i in only(result, "ImagingStudy")["identifier"]}
    assert found["urn:dicom:uid"] == "urn:oid:1.2.840.1.5"
    assert "F1" in found.values()
    assert pointed(result, only(result, "DiagnosticReport")["imagingStudy"][0])["resourceType"] == "ImagingStudy"


@pytest.mark.parametrize("zds", [(), ("ZDS|1.2.840.1.5^PACS^Application^DICOM",)], ids=["OBX alone", "ZDS too"])
def test_a_study_named_in_an_obx_is_one_study_and_still_an_observation(zds):
    result = mapped(PID, OBR, *zds, "OBX|1|HD|113014^DICOM Study^DCM||1.2.840.1.5||||||O")
    study = only(result, "ImagingStudy")
    assert (study["identifier"][0]["system"], study["identifier"][0]["value"]) == ("urn:dicom:uid", "urn:oid:1.2.840.1.5")
    assert [pointed(result, r) for r in only(result, "DiagnosticReport")["imagingStudy"]] == [study]
    assert only(result, "Observation")["valueString"] == "1.2.840.1.5"


def test_the_ordering_doctor_makes_an_order_the_report_is_based_on():
    result = mapped(
        PID,
        "ORC|RE|P1^HOSP",
        OBR.replace("|||||||||||||||202609021200", "|||||||||1234567893^Stone^Kim^^^Dr^^^NPPES&2.16.840.1.113883.4.6&ISO||||||202609021200"),
    )
    order = only(result, "ServiceRequest")
    assert pointed(result, order["requester"])["identifier"][0]["system"] == "http://hl7.org/fhir/sid/us-npi"
    assert pointed(result, only(result, "DiagnosticReport")["basedOn"][0]) is order


def test_an_order_that_names_the_referrals_number_never_claims_the_referrals_key():
    result = mapped(PID, "ORC|RE|REF-1^HOSP|||||||||^Stone^Kim", OBR)
    assert [k.kind for k in drafts(result, "ServiceRequest")[0].keys if k.kind.startswith("ServiceRequest")] == ["ServiceRequest:order"] * len(
        drafts(result, "ServiceRequest")[0].keys
    )


def test_newer_results_have_later_clocks_and_finals_rank_above_preliminaries():
    def clock(status, made):
        return drafts(mapped(PID, OBR.replace("202609021200-0400", made)[:-1] + status), "DiagnosticReport")[0].clock

    assert clock("F", "202609021000-0400") < clock("C", "202609021100-0400")
    assert clock("P", "202609021000-0400") < clock("F", "202609021000-0400")
    assert clock("F", "202609021000-0400").clinical == clock("F", "202609021400+0000").clinical == "20260902140000000000"


def test_a_resend_under_another_control_id_has_the_same_keys():
    lines = (PID, OBR, "OBX|1|ST|1^a||x||||||F", "OBX|2|ED|2^b||X^AP^PDF^Base64^JVBERg==||||||F", "SPM|1|||119376003^Tissue^SCT")
    one, two = (mapped(*lines, control_id=c, at=at) for c, at in (("1", "20260901-0400"), ("2", "20260902-0400")))
    keyed = [
        [(d.resource["resourceType"], d.keys) for d in r.drafts if d.resource["resourceType"] not in ("MessageHeader", "Provenance")]
        for r in (one, two)
    ]
    assert keyed[0] == keyed[1]
    assert all(keys for _, keys in keyed[0])


def test_ten_thousand_results_cost_ten_times_a_thousand():
    """Counted, not timed: the number of resources and ledger entries grows with the number of OBX and nothing else does."""
    lines = [f"OBX|{n}|NM|718-7^Hb^LN|{n}|{n}||||||F" for n in range(1, 1001)]
    small, large = (mapped(PID, OBR, *(lines * times)) for times in (1, 10))
    assert len(resources(large, "Observation")) == 10 * len(resources(small, "Observation")) == 10_000
    assert len(large.drafts) - len(small.drafts) == 9_000


def test_a_document_four_times_as_large_takes_four_times_the_memory():
    """Measured in bytes, not in time: nothing is copied once per part of it (`benchmarks/documents.py` has the times)."""

    def peak(size):
        data = base64.b64encode(b"%PDF-1.4" + bytes(size)).decode()
        raw = message(PID, OBR, f"OBX|1|ED|1^Doc||E^AP^PDF^Base64^{data}||||||F")
        tracemalloc.start()
        try:
            v2.map_message(v2.read(raw), TABLES, v2.Site())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000)
    assert peak(4_000_000) < 4.5 * peak(1_000_000)


@pytest.mark.parametrize("missing", ["", "OBR|1"])
def test_an_order_without_code_or_status_is_still_a_report(missing):
    result = mapped(PID, "ORC|RE|P1", *([missing] if missing else []), "OBX|1|ST|1^a||x||||||F")
    report = only(result, "DiagnosticReport")
    assert report["status"] == "unknown"
    assert report["code"]["extension"][0]["valueCode"] == "unknown"
    assert len(report["result"]) == 1


def test_an_order_group_number_of_another_sender_is_still_found_by_value():
    result = mapped(PID, "ORC|RE|||REF-9^NORTHSIDE", OBR, sender="LAB")
    found = [b["identifier"] for b in only(result, "DiagnosticReport")["basedOn"] if "identifier" in b]
    assert {(i["value"], i["assigner"]["display"]) for i in found} >= {("REF-9", "NORTHSIDE")}


def test_mapping_version_is_said():
    assert v2.MAPPING_VERSION
