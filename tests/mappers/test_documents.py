"""MDM: TXA and its OBX are one document, related to what it answers and to its parent; what we write ourselves reads back."""

from __future__ import annotations

import base64

import pytest

from mappers import v2
from mappers.v2.write.mdm import mdm
from tests.mappers.build import PID, TABLES, drafts, kept_values, mapped, only, resources, warnings
from tests.mappers.test_referral import pointed
from tests.mappers.test_write import ACCEPTED, ENVELOPE, NOTE, SUBJECT

MADE = "20260901120000-0400"


def txa(**fields: str) -> str:
    """A TXA of these fields (`f2`, `f12` …) over a usual one."""
    usual = {2: "CN", 6: "20260901100000-0400", 12: "D-1^HOSP", 17: "AU", 19: "AV"} | {int(k[1:]): v for k, v in fields.items()}
    return "TXA|1" + "".join("|" + usual.get(n, "") for n in range(2, max(usual) + 1))


def obx(*lines: str, code: str = "11488-4^Consult note^LN", kind: str = "TX", f11: str = "F") -> list[str]:
    return [f"OBX|{n}|{kind}|{code}||{line}||||||{f11}" for n, line in enumerate(lines, 1)]


def document(event: str, *segments: str) -> v2.mapping.Mapped:
    return mapped(PID, *segments, event=f"MDM^{event}", at=MADE)


def main(result):
    """The document the message is about, not its parent."""
    header = only(result, "MessageHeader")
    return next(d for d in drafts(result, "DocumentReference") if d.full_url == header["focus"][0]["reference"])


def text(result) -> str:
    (binary,) = resources(result, "Binary")
    return base64.b64decode(binary["data"]).decode()


def test_lines_of_text_are_one_attachment_of_one_document():
    result = document("T02", txa(), *obx("First.", "", "Third \\T\\ last."))
    assert text(result) == "First.\n\nThird & last."
    assert len(only(result, "DocumentReference")["content"]) == 1
    assert resources(result, "Observation") == []


def test_sections_of_several_codes_stand_under_their_names():
    result = document("T02", txa(), *obx("Cough."), *obx("Mass.", "Nodes.", code="19005-8^Impression^LN"))
    assert text(result) == "Consult note\nCough.\n\nImpression\nMass.\nNodes."
    assert [c["code"] for c in only(result, "DocumentReference")["type"]["coding"]] == ["CN"]


def test_a_text_in_st_alone_is_the_document_and_beside_one_a_result():
    assert text(document("T02", txa(), *obx("All there is.", kind="ST"))) == "All there is."
    result = document("T02", txa(), *obx("The text."), *obx("2", kind="ST", code="44648-4^Grade^LN"))
    assert only(result, "Observation")["valueString"] == "2"
    assert only(result, "DocumentReference")["context"]["related"][-1] == {"reference": drafts(result, "Observation")[0].full_url}


def test_files_and_pointers_are_attachments_beside_the_text():
    data = base64.b64encode(b"%PDF-1.4").decode()
    result = document(
        "T02", txa(f25="Consultation"), *obx("See file."), *obx(f"EHR^AP^PDF^Base64^{data}", kind="ED"), *obx("https://x.example/1", kind="RP")
    )
    content = [c["attachment"] for c in only(result, "DocumentReference")["content"]]
    assert [c["contentType"] for c in content] == ["text/plain; charset=utf-8", "application/pdf", "application/octet-stream"]
    assert {c["title"] for c in content} == {"Consultation"}


def test_codes_of_txa_and_obx_both_say_what_it_is():
    codes = [c["code"] for c in only(document("T02", txa(), *obx("x")), "DocumentReference")["type"]["coding"]]
    assert codes == ["CN", "11488-4"]


@pytest.mark.parametrize(("event", "code"), [("T05", "appends"), ("T06", "appends"), ("T09", "replaces"), ("T10", "replaces")])
def test_the_event_says_what_the_parent_is(event, code):
    result = document(event, txa(f12="D-2^HOSP", f13="D-1^HOSP"), *obx("x"))
    (relation,) = main(result).resource["relatesTo"]
    parent = pointed(result, relation["target"])
    assert (relation["code"], parent["masterIdentifier"]["value"]) == (code, "D-1")
    assert ("extension" in parent) is (code == "replaces")
    assert [e.fate for e in result.ledger if (e.where.segment, e.where.field) == ("TXA", 13)] == ["mapped"]


@pytest.mark.parametrize("event", ["T01", "T02", "T03", "T04", "T07", "T08", "T11"])
def test_other_events_only_say_that_they_belong_together(event):
    result = document(event, txa(f12="D-2^HOSP", f13="D-1^HOSP"), *obx("x"))
    resource = main(result).resource
    assert "relatesTo" not in resource
    assert [pointed(result, r)["masterIdentifier"]["value"] for r in resource["context"]["related"]] == ["D-1"]


def test_an_addendum_under_its_parents_own_number_does_not_take_its_place():
    original, addendum = (main(document(e, txa(**more), *obx("x"))) for e, more in (("T02", {}), ("T06", {"f8": "20260902"})))
    assert not set(original.keys) & set(addendum.keys)
    assert addendum.resource["relatesTo"][0]["code"] == "appends"
    assert addendum.resource["identifier"][0]["value"] == "D-1"


def test_a_cancelled_document_is_entered_in_error_and_says_how_it_stood():
    found = main(document("T11", txa())).resource
    assert found["status"] == "entered-in-error"
    assert kept_values(found["_status"]) == {"TXA-19": "AV"}


@pytest.mark.parametrize("letter", "DW")
def test_a_document_all_of_whose_content_is_withdrawn_is_withdrawn(letter):
    assert main(document("T02", txa(), *obx("x", "y", f11=letter))).resource["status"] == "entered-in-error"


def test_who_shall_sign_is_not_who_signed():
    assert "authenticator" not in main(document("T02", txa(f10="7^Stone^Kim", f17=""), *obx("x"))).resource
    found = document("T02", txa(f10="7^Stone^Kim", f17="AU", f22="8^Reed^Ann" + "^" * 12 + "20260901110000-0400"), *obx("x"))
    resource = main(found).resource
    assert pointed(found, resource["authenticator"])["name"][0]["family"] == "Reed"
    attester = next(e for e in resource["extension"] if e["url"].endswith("DocumentReference.attester"))
    assert {e["url"]: e for e in attester["extension"]}["time"]["valueDateTime"] == "2026-09-01T11:00:00-04:00"


def test_a_day_of_origin_dates_the_document_where_nothing_better_does():
    assert main(document("T02", txa(f6="20260901"), *obx("x"))).resource["context"]["period"]["start"] == "2026-09-01"
    dated = main(document("T02", txa(f6="20260901", f4="20260831"), *obx("x"))).resource
    assert (dated["context"]["period"]["start"], kept_values(dated)) == ("2026-08-31", {"TXA-6": "20260901"})


def test_orders_are_what_the_document_answers():
    order = ("ORC|RE|P1^HOSP|F1^LAB|REF-1^HOSP||||||||7^Stone^Kim", "OBR|1|P1^HOSP|F1^LAB|24590-2^MR Brain^LN")
    result = document("T02", *order, txa(f14="P9^HOSP"), *obx("x"))
    related = main(result).resource["context"]["related"]
    assert {r["identifier"]["value"] for r in related if "identifier" in r} == {"P1", "F1", "REF-1", "P9"}
    assert [pointed(result, r)["resourceType"] for r in related if "reference" in r] == ["ServiceRequest"]
    assert resources(result, "DiagnosticReport") == []


@pytest.mark.parametrize("kind", ["DI", "SP", "AR", "11526-1^Pathology study^LN", "X^Path^L^11529-5^Surgical pathology study^LN"])
def test_a_report_of_a_diagnostic_service_is_a_diagnostic_report_too(kind):
    order = ("ORC|RE|P1^HOSP|F1^LAB", "OBR|1|P1^HOSP|F1^LAB|LOC^Local^L|||20260831||||||||||||||||||||F")
    result = document("T02", *order, txa(f2=kind, f17="LA"), *obx("Carcinoma.", code="22637-3^Final diagnosis^LN"))
    report, found = only(result, "DiagnosticReport"), main(result).resource
    assert report["presentedForm"] == [c["attachment"] for c in found["content"]]
    assert (report["status"], report["effectiveDateTime"]) == ("final", "2026-08-31")
    assert {"LOC", "22637-3"} <= {c["code"] for c in report["code"]["coding"]}
    assert report["category"][0]["coding"][0]["system"].endswith("v2-0074")
    assert {"reference": drafts(result, "DiagnosticReport")[0].full_url} in found["context"]["related"]
    assert {b["identifier"]["value"] for b in report["basedOn"] if "identifier" in b} == {"P1", "F1"}


@pytest.mark.parametrize(
    ("completion", "sent", "status"), [("IP", "F", "preliminary"), ("AU", "C", "corrected"), ("AU", "P", "preliminary"), ("AU", "", "final")]
)
def test_a_report_is_never_further_along_than_its_document(completion, sent, status):
    order = f"OBR|1||F1^LAB|LOC^Local^L|||20260831||||||||||||||||||{sent}"
    assert only(document("T02", order, txa(f2="SP", f17=completion), *obx("x")), "DiagnosticReport")["status"] == status


@pytest.mark.parametrize("kind", ["DI", "CN"])
def test_a_study_the_document_names_is_related_to_it(kind):
    result = document("T02", txa(f2=kind), *obx("See images."), "OBX|2|HD|113014^DICOM Study^DCM||1.2.840.1.5||||||O")
    study = drafts(result, "ImagingStudy")[0].full_url
    assert {"reference": study} in main(result).resource["context"]["related"]
    assert [r["imagingStudy"] for r in resources(result, "DiagnosticReport")] == [[{"reference": study}]] * (kind == "DI")


def test_a_document_without_number_is_reported_and_still_taken():
    result = document("T02", txa(f12=""), *obx("x"))
    assert [str(f.where) for f in warnings(result)] == ["TXA[1]-12"]
    assert main(result).keys[0].kind == "DocumentReference:unnumbered"


@pytest.mark.parametrize("replaces", [None, {"masterIdentifier": {"system": "urn:oid:1.2.3", "value": "note-1"}}])
def test_what_we_write_reads_back(replaces):
    written = mdm(SUBJECT, ACCEPTED, ENVELOPE, note=NOTE, author=SUBJECT.requester, replaces=replaces)
    result = v2.map_message(v2.read(written), TABLES, v2.Site())
    assert warnings(result) == []
    found = main(result).resource
    assert found["docStatus"] == NOTE["docStatus"]
    assert found["type"]["coding"][-1]["code"] == NOTE["type"]["coding"][0]["code"]
    sent = [base64.b64decode(c["attachment"]["data"]) for c in NOTE["content"] if "data" in c["attachment"]]
    assert [base64.b64decode(b["data"]) for b in resources(result, "Binary")] == sent
    assert SUBJECT.number["value"] in {r["identifier"]["value"] for r in found["context"]["related"] if "identifier" in r}
    if replaces:
        (relation,) = found["relatesTo"]
        assert pointed(result, relation["target"])["masterIdentifier"]["value"] == "note-1"
