"""MDM through the gateway: a document, its edits, addenda, replacements and its end, in any order and as often as a sender likes."""

from __future__ import annotations

import base64
from itertools import permutations
from typing import Any

import pytest

from tests import messages
from tests.mappers.build import TABLES
from tests.pipeline.conftest import STAFF, Told

ORIGINAL = messages.document("T02", "Seen today.", made="20260901110000-0500", status="IP")
SIGNED = messages.document("T03", made="20260901130000-0500")
EDITED = messages.document("T08", "Seen yesterday.", made="20260901120000-0500", status="IP")
ADDENDUM = messages.document("T06", "Allergic to latex.", made="20260902110000-0500", number="D-2", parent="D-1")
REPLACEMENT = messages.document("T10", "Seen today, plan changed.", made="20260903110000-0500", number="D-3", parent="D-1")
CANCELLED = messages.document("T11", made="20260904110000-0500", number="D-2", parent="D-1", status="IN", available="CA")
STORY = {"original": ORIGINAL, "edit": EDITED, "signed": SIGNED, "addendum": ADDENDUM, "replacement": REPLACEMENT, "cancel": CANCELLED}


def held(told: Told, number: str) -> dict[str, Any]:
    """The document with this number, its text in place of its address."""
    (only,) = [d for d in told.found("DocumentReference") if d.get("masterIdentifier", {}).get("value") == number]
    return only


def text(told: Told, document: dict[str, Any]) -> str:
    """What a document says; "" when it was only told of."""
    url = document["content"][0]["attachment"].get("url", "")
    if not url:
        return ""
    with told.gateway.store.snapshot(STAFF) as tx:
        stored = tx.resources.read("Binary", url.partition("/")[2])
    assert stored is not None
    return base64.b64decode(stored.resource["data"]).decode()


def summary(told: Told) -> dict[str, Any]:
    """How every document stands, by number."""
    numbers = {d["id"]: d["masterIdentifier"]["value"] for d in told.found("DocumentReference")}

    def relations(document: dict[str, Any]) -> list[tuple[str, str]]:
        return [(r["code"], numbers[r["target"]["reference"].partition("/")[2]]) for r in document.get("relatesTo", ())]

    return {numbers[d["id"]]: (d["status"], d.get("docStatus"), text(told, d), relations(d)) for d in told.found("DocumentReference")}


ENDS = {
    "D-1": ("superseded", "final", "Seen yesterday.", []),
    "D-2": ("entered-in-error", "preliminary", "Allergic to latex.", [("appends", "D-1")]),
    "D-3": ("current", "final", "Seen today, plan changed.", [("replaces", "D-1")]),
}
# Every third of the 720 orders: each message stands in each place in some of them
ORDERS = list(permutations(STORY))[::3]


def test_whatever_the_order_of_arrival_the_documents_end_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    for number, order in enumerate(ORDERS[::16]):
        told = Told(f"sqlite:///{tmp_path_factory.mktemp('order')}/{number}.db")
        try:
            for name in (*order, *order[:2]):  # and two of them sent again
                assert told.receives(STORY[name])[0] == "AA"
            assert summary(told) == ENDS, order
        finally:
            told.gateway.stop()
            told.executor.shutdown()


def test_the_story_in_its_own_order(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(ORIGINAL)
    assert (told.item("consult-note")["state"], told.item("consult-note")["reason"]) == ("not-acceptable", "unsigned")
    told.receives(EDITED)
    assert text(told, held(told, "D-1")) == "Seen yesterday."
    told.receives(SIGNED)
    assert told.item("consult-note")["state"] == "accepted"
    assert text(told, held(told, "D-1")) == "Seen yesterday.", "a notification without content leaves the content"
    told.receives(ADDENDUM)
    assert held(told, "D-1")["status"] == "current"
    told.receives(REPLACEMENT)
    assert held(told, "D-1")["status"] == "superseded"
    assert told.item("consult-note")["state"] == "accepted"
    told.receives(CANCELLED)
    assert summary(told) == ENDS


def test_a_cancelled_document_reopens_its_item(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.document("T02", "Seen today.", made="20260901110000-0500"))
    assert told.item("consult-note")["state"] == "accepted"
    told.receives(messages.document("T11", made="20260902110000-0500"))
    assert (told.item("consult-note")["state"], told.item("consult-note")["reason"]) == ("missing", "retracted")


def test_an_addendum_is_no_record_without_what_it_adds_to(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.document("T06", "More.", made="20260902110000-0500", number="D-2", parent="D-1"))
    assert told.item("consult-note")["state"] == "missing"
    told.receives(messages.document("T02", "Seen today.", made="20260901110000-0500"))
    assert told.item("consult-note")["state"] == "accepted"
    told.receives(messages.document("T11", made="20260903110000-0500"))
    assert (told.item("consult-note")["state"], told.item("consult-note")["reason"]) == ("missing", "retracted")


def test_what_only_a_withdrawn_document_replaced_is_shown_to_a_person(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.document("T02", "Seen today.", made="20260901110000-0500"))
    told.receives(messages.document("T10", "Seen.", made="20260902110000-0500", number="D-2", parent="D-1"))
    told.receives(messages.document("T11", made="20260903110000-0500", number="D-2", parent="D-1"))
    assert (told.item("consult-note")["state"], told.item("consult-note")["reason"]) == ("received", "status-unknown")


@pytest.mark.parametrize("event", ["T01", "T03"])
def test_a_document_only_told_of_is_not_held(told: Told, event: str) -> None:
    told.receives(messages.referral())
    told.receives(messages.document(event, made="20260901110000-0500"))
    assert (told.item("consult-note")["state"], told.item("consult-note")["reason"]) == ("not-acceptable", "incomplete")
    told.receives(messages.document("T02", "Seen today.", made="20260901100000-0500"))
    assert told.item("consult-note")["state"] == "accepted"


def test_a_pathology_document_is_a_report_and_falls_with_its_document(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.document("T01", made="20260901100000-0500", kind="11526-1^Pathology study^LN"))
    assert (told.item("pathology-report")["state"], told.item("pathology-report")["reason"]) == ("not-acceptable", "incomplete")
    told.receives(messages.document("T02", "Carcinoma.", made="20260901110000-0500", kind="11526-1^Pathology study^LN"))
    (report,) = told.found("DiagnosticReport")
    assert report["status"] == "final"
    assert told.item("pathology-report")["state"] == "accepted"
    told.receives(messages.document("T11", made="20260902110000-0500", kind="11526-1^Pathology study^LN"))
    assert told.found("DiagnosticReport")[0]["status"] == "entered-in-error"
    assert (told.item("pathology-report")["state"], told.item("pathology-report")["reason"]) == ("missing", "retracted")


def test_a_report_of_a_replaced_document_is_replaced_with_it(told: Told) -> None:
    kind = "11526-1^Pathology study^LN"
    told.receives(messages.referral())
    told.receives(messages.document("T02", "Carcinoma.", made="20260901110000-0500", kind=kind))
    told.receives(messages.document("T10", "Benign.", made="20260902110000-0500", kind=kind, number="D-2", parent="D-1", status="IP"))
    assert told.item("pathology-report")["state"] == "not-acceptable", "what replaced it is not signed yet"
    told.receives(messages.document("T04", "Benign.", made="20260902120000-0500", kind=kind, number="D-2", parent="D-1"))
    assert told.item("pathology-report")["state"] == "accepted"


def test_two_documents_without_numbers_stay_two(told: Told) -> None:
    for line in ("One.", "Two.", "Two."):
        assert told.receives(messages.document("T02", line, made="20260901110000-0500", number=""))[0] == "AA"
    assert told.count("DocumentReference") == 2


@pytest.mark.parametrize(
    ("available", "status", "doc_status"),
    [
        ("AV", "current", "final"),
        ("CA", "entered-in-error", "final"),
        ("OB", "superseded", "final"),
        ("UN", "current", "preliminary"),
        ("", "current", "final"),
    ],
)
def test_every_availability_status(told: Told, available: str, status: str, doc_status: str) -> None:
    told.receives(messages.document("T02", "Seen.", made="20260901110000-0500", available=available))
    document = held(told, "D-1")
    assert (document["status"], document["docStatus"]) == (status, doc_status)
    if available not in ("AV", ""):
        assert available in str(document["_status"])


@pytest.mark.parametrize("completion", ["AU", "DI", "DO", "IN", "IP", "LA", "PA"])
def test_every_completion_status_counts_as_signed_or_not(told: Told, completion: str) -> None:
    assert TABLES.translate("0271-document-status", completion)
    told.receives(messages.referral())
    told.receives(messages.document("T02", "Seen.", made="20260901110000-0500", status=completion))
    document = held(told, "D-1")
    assert document["docStatus"] == ("final" if completion in ("AU", "LA") else "preliminary")
    assert document["_docStatus"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == completion
    assert told.item("consult-note")["state"] == ("accepted" if completion in ("AU", "LA") else "not-acceptable")


FAULTS = {
    "OBX|1|ED|11526-1^Report^LN||LIS^AP^PDF^Base64^!not base64!||||||F": ("OBX^1^5^1^5", "102"),
    "OBX|1|ED|11526-1^Report^LN||JVBERi0xLjQ=||||||F": ("OBX^1^5^1^5", "101"),
    "OBX|1|NM|718-7^Hemoglobin^LN||<15|g/dL^^UCUM|||||F": ("OBX^1^5^1^1", "102"),
    "OBX|1|DT|11368-8^Onset^LN||20241399||||||F": ("OBX^1^5^1^1", "102"),
    "OBX|1|ST|718-7^Hemoglobin^LN||x||||||?": ("OBX^1^11^1^1", "103"),
    "OBX|1|ST|718-7^Hemoglobin^LN||x||||||F|||2024-13-99": ("OBX^1^14^1^1", "102"),
}


@pytest.mark.parametrize("segment", FAULTS, ids=lambda s: s.split("|")[2] + "-" + s.split("|")[5][:12])
def test_one_bad_field_costs_that_field_and_err_says_where(told: Told, segment: str) -> None:
    good = "OBX|2|ST|2823-3^Potassium^LN||fine||||||F"
    report = "OBR|1||S-1^LAB|24323-8^Metabolic panel^LN|||20260905|||||||||||||||20260905100000-0500||CH|F"
    (answer,) = told.answers(messages.result(report, segment, good, made="20260905110000-0500"))
    lines = [line.split("|") for line in answer.decode().strip("\r").split("\r")]
    assert next(line for line in lines if line[0] == "MSA")[1] == "AA"
    faults = [line for line in lines if line[0] == "ERR" and line[4] != "I"]
    assert [(line[2], line[3].split("^")[0], line[4]) for line in faults] == [(*FAULTS[segment], "W")]
    assert [o["valueString"] for o in told.found("Observation", code="2823-3")] == ["fine"]
    if "JVBERi0" not in segment:  # a file that could be read is one
        assert segment.split("|")[5].split("^")[-1] in str([told.found("Observation"), told.found("DocumentReference")])
