"""The groups of ORU, in the standard's order and in others: every OBX arrives exactly once, and what stands around it finds its place."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Refused
from tests.mappers.build import PID, TABLES, kept_values, mapped, message, only, resources
from tests.mappers.golden import cases
from tests.mappers.test_referral import pointed

CORPUS = Path(os.environ.get("GATEWAY_CORPUS", "/nonexistent"))
OTHER = "PID|2||M2^^^HOSP^MR||Roe^Bea||19800101|F"


def check_every_obx(read: v2.Message, result: v2.mapping.Mapped) -> None:
    """OBX in = Observations + documents + preserved: by the ledger each OBX is exactly one of them, and there are as many Observations as say so."""
    homes: dict[int, set[str]] = defaultdict(set)
    for entry in result.ledger:
        if entry.where.segment == "OBX" and entry.fate in ("mapped", "kept", "empty"):
            homes[entry.where.sequence].add(entry.target.partition(".")[0])
    sent = {s.sequence for s in read.segments if s.name == "OBX" and any(s.fields[1:])}
    blank = {s.sequence for s in read.segments if s.name == "OBX" and not any(s.fields[3:])}
    observed = {n for n, kinds in homes.items() if "Observation" in kinds}
    documents = {n for n, kinds in homes.items() if "DocumentReference" in kinds}
    preserved = {n for n, kinds in homes.items() if kinds == {"Provenance"}}
    assert sent - blank <= observed | documents | preserved
    assert not observed & documents
    assert not preserved & (observed | documents)
    elsewhere = {(e.where.segment, e.where.sequence) for e in result.ledger if e.target.startswith("Observation.") and e.where.segment != "OBX"}
    assert len(observed) <= len(resources(result, "Observation")) <= len(observed | blank) + len(elsewhere)
    assert bool(documents) <= bool(resources(result, "DocumentReference"))


def test_every_obx_of_the_golden_pack_and_of_the_public_messages_arrives_once():
    files = [*(case / "input.hl7" for case in cases()), *sorted(CORPUS.rglob("*.hl7"))]
    seen = 0
    for path in files:
        for raw in v2.split(path.read_bytes()):
            try:
                read = v2.read(raw)
                result = v2.map_message(read, TABLES, v2.Site())
            except Refused:
                continue
            seen += len(read.named("OBX"))
            check_every_obx(read, result)
    assert seen > 40


values = st.sampled_from(["NM|{}||5", "NM|{}||<15", "ST|{}||x", "TX|{}||line", "FT|{}||a\\.br\\b", "CWE|{}||1^a^L", "ED|{}||E^AP^PDF^Base64^JVBERg==",
                          "RP|{}||https://x.example", "DT|{}||20241399", "SN|{}||>^^5", "|{}||x", "ZZ|{}||x^y", "NM|{}||\"\""])  # fmt: skip
codes = st.sampled_from(["1^a^L", "2^b^L|1", "2^b^L|1.1", "2^b^L|1.2.3", "2^b^L|A^1^2^x"])
results = st.builds(
    lambda value, code: "OBX|1|" + value.format(code, "").replace(f"{code}||", code + ("|" if "|" in code else "||")) + "||||||F", values, codes
)
around = st.sampled_from(["ORC|RE|P1|F1", "OBR|1|P1|F1|11526-1^Path^LN", "SPM|1|S1||119376003^Tissue^SCT", "NTE|1||a note", "ZZZ|1|local", "TQ1|1", "PRT|1|UC||RO",
                          "CTD|RP^^HL70131|Stone^Kim", "ZDS|1.2.3", "OBR|2|P2|F2|24323-8^Chem^LN|||||||||||||||||||||F"])  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.one_of(results, results, around), min_size=1, max_size=25))
def test_every_obx_of_any_mixture_arrives_once(lines):
    read = v2.read(message(PID, *lines))
    result = v2.map_message(read, TABLES, v2.Site())
    check_every_obx(read, result)
    for draft in result.drafts:
        assert validate(draft.resource) == []
    keys = [key for draft in result.drafts if draft.resource["resourceType"] in ("Observation", "DocumentReference", "Binary") for key in draft.keys]
    assert len(keys) == len(set(keys))


def test_two_patients_in_one_message_keep_their_own_results():
    result = mapped(PID, "OBR|1||F1^L|1^a", "OBX|1|NM|1^a||1||||||F", OTHER, "OBR|1||F2^L|1^a", "OBX|1|NM|1^a||2||||||F")
    for observation, name in zip(resources(result, "Observation"), ("Doe", "Roe"), strict=True):
        assert pointed(result, observation["subject"])["name"][0]["family"] == name
    assert [pointed(result, r["subject"])["name"][0]["family"] for r in resources(result, "DiagnosticReport")] == ["Doe", "Roe"]


def test_notes_at_every_level_stay_where_they_stood():
    result = mapped(
        PID, "NTE|1||patient", "ORC|RE|P1|F1", "NTE|1||order", "OBR|1|P1|F1|1^a", "NTE|1||report", "OBX|1|NM|1^a||1||||||F", "NTE|1||result",
        "SPM|1|S1", "NTE|1||specimen",
    )  # fmt: skip

    def notes(kind):
        held = only(result, kind)
        return [n["text"] for n in held.get("note", ())] + [e["valueAnnotation"]["text"] for e in held.get("extension", ()) if "valueAnnotation" in e]

    assert {k: notes(k) for k in ("Patient", "DiagnosticReport", "Observation", "Specimen")} == {
        "Patient": ["patient"], "DiagnosticReport": ["report", "order"], "Observation": ["result"], "Specimen": ["specimen"],
    }  # fmt: skip


def test_timing_contact_and_participation_inside_an_order():
    result = mapped(
        PID, "ORC|RE|P1|F1", "OBR|1|P1|F1|1^a", "PRT|1|UC||SB^Send by^HL70912|7^Stone^Kim", "TQ1|1||||||20260901|20260902|S", "CTD|RP|Reed^Ann", "OBX|1|NM|1^a||1||||||F"
    )  # fmt: skip
    order = only(result, "ServiceRequest")
    assert (order["occurrencePeriod"]["start"], order["priority"]) == ("2026-09-01", "stat")
    roles = [e for e in only(result, "DiagnosticReport")["extension"] if e["url"].endswith(":participation")]
    assert len(roles) == 1
    assert "Reed" in str(only(result, "DiagnosticReport"))


def test_a_second_obr_behind_one_orc_is_a_report_of_its_own():
    result = mapped(PID, "ORC|RE|P1|F1", "OBR|1|P1|F1|1^a", "OBX|1|NM|1^a||1||||||F", "OBR|2|P1|F2|2^b", "OBX|1|NM|2^b||2||||||F")
    assert [len(r["result"]) for r in resources(result, "DiagnosticReport")] == [1, 1]


@pytest.mark.parametrize("event", ["R30", "R31", "R32"])
def test_results_from_the_point_of_care_are_results(event):
    result = mapped(PID, "ORC|NW|P1", "OBR|1|P1||38875-1^INR^LN", "OBX|1|NM|34714-6^INR^LN||2.4||||||F", event=f"ORU^{event}")
    assert str(only(result, "Observation")["valueQuantity"]["value"]) == "2.4"


def obr(**fields: str) -> str:
    """An OBR of these fields (`f10`, `f28` …) over a usual one."""
    usual = {1: "1", 2: "P1", 3: "F1", 4: "1^a", 25: "F"} | {int(k[1:]): v for k, v in fields.items()}
    return "OBR" + "".join("|" + usual.get(n, "") for n in range(1, max(usual) + 1))


def test_who_had_a_part_in_a_report_is_named_with_it():
    result = mapped(PID, obr(f28="7^Stone^Kim", f34="8&Reed&Ann", f35="9&Lund&Sanne"))
    report = only(result, "DiagnosticReport")
    done = [(p["extension"][0]["valueCodeableConcept"]["coding"][0]["code"], pointed(result, p)["name"][0]["family"]) for p in report["performer"]]
    assert done == [("SPRF", "Reed"), ("TRANS", "Lund")]
    (copy,) = [e["valueReference"] for e in report["extension"] if e["url"].endswith(":participation")]
    role = pointed(result, copy)
    assert (role["code"][0]["coding"][0]["code"], pointed(result, role["practitioner"])["name"][0]["family"]) == ("IRCP", "Stone")


@pytest.mark.parametrize("behind", [(), ("SPM|1|S1||119376003^Tissue^SCT",)], ids=["no SPM", "one SPM"])
def test_the_collector_belongs_to_the_specimen(behind):
    result = mapped(PID, obr(f10="7^Stone^Kim", f39="difficult draw"), *behind, "OBX|1|NM|1^a||1||||||F")
    sample = only(result, "Specimen")
    assert pointed(result, sample["collection"]["collector"])["name"][0]["family"] == "Stone"
    assert sample["note"] == [{"text": "difficult draw"}]


def test_a_specimen_source_of_old_versions_is_taken_apart():
    sample = only(mapped(PID, obr(f15="SER&Serum&HL70070^EDTA^Venous puncture^LA&Left arm&HL70163")), "Specimen")
    assert sample["type"]["coding"][0]["code"] == "SER"
    assert sample["collection"]["method"] == {"text": "Venous puncture"}
    assert sample["collection"]["bodySite"]["coding"][0]["code"] == "LA"
    assert kept_values(sample["type"]) | kept_values(sample) == {"OBR-15.2": "EDTA"}


def test_a_reflex_order_says_so_and_what_it_came_of():
    order = only(mapped(PID, obr(f11="G", f29="P0&HOSP^F0&LAB")), "ServiceRequest")
    assert order["intent"] == "reflex-order"
    assert [b["identifier"]["value"] for b in order["basedOn"]] == ["P0", "F0"]
    assert only(mapped(PID, obr(f11="L")), "ServiceRequest")["intent"] == "order"
