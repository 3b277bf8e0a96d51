"""`map --strict`: each deviation from the standard is found where it is, and no message breaks the check."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.result import Refused
from mappers.v2.conformance import codes, conformance
from mappers.v2.structure import structure
from tests import messages

ORU = "MSH|^~\\&|LAB|N|G|C|20260910||ORU^R01^ORU_R01|1|P|{version}\rPID|1||1^^^N^MR||Ash^Ada\rOBR|1||7^LAB|718-7^Hb^LN\r{rest}"


def found(rest: str, version: str = "2.5.1") -> list[tuple[str, str]]:
    """(place, code) of every finding of a small ORU^R01."""
    return [(str(f.where), f.code) for f in conformance(v2.read(ORU.format(rest=rest, version=version).encode()))]


def test_a_message_that_keeps_to_the_standard_has_no_finding() -> None:
    assert found("OBX|1|NM|718-7^Hemoglobin^LN||12.4|g/dL^^UCUM|12-16|N|||F") == []


@pytest.mark.parametrize(
    ("rest", "finding"),
    [
        ("OBX|1|NM|718-7^Hb^LN||twelve||||||F", ("OBX[1]-5", "102")),
        ("OBX|1|NM|718-7^Hb^LN||1||||||F\rOBX|2|NM|718-7^Hb^LN||<15||||||F", ("OBX[2]-5", "102")),
        ("OBX|1|DT|718-7^Hb^LN||20241399||||||F", ("OBX[1]-5", "102")),
        ("OBX|1|NM|718-7^Hb^LN||1||||||Q", ("OBX[1]-11", "103")),
        ("OBX|1|NM|718-7^Hb^LN^^^^^^^^x||1||||||F", ("OBX[1]-3.11", "102")),
        ("OBX|1|NM|||1||||||F", ("OBX[1]-3", "101")),
        ("OBX|1|NM|718-7^Hb^LN~718-7^Hb^LN||1||||||F", ("OBX[1]-3", "102")),
        ("OBX|1|ST|718-7^Hb^LN||" + "x" * 200 + "||||||F", ("OBX[1]-5", "104")),
        ("OBX|1|CWE|718-7^Hb^LN||A^B^C~D^E^F^G^H^HL70078^^^^X||||||F", ("OBX[1]-5(2).10", "102")),
        ("OBX|1|NM|718-7^Hb^LN||1||||||F\rIN1|1|P|C", ("IN1[1]", "100")),
        ("NTE|1||x\rPV1|1|O\rOBX|1|NM|718-7^Hb^LN||1||||||F", ("PV1[1]", "100")),
    ],
)
def test_each_deviation_is_found_where_it_is(rest: str, finding: tuple[str, str]) -> None:
    assert finding in found(rest)


def test_a_missing_segment_is_named_and_what_stands_before_it_is_out_of_place() -> None:
    raw = messages.referral().replace(b"RF1|", b"NTE|1||early\rRF1|")
    assert ("NTE[1]", "segment out of place in REF_I12") in [(str(f.where), f.text) for f in conformance(v2.read(raw))]
    raw = messages.referral().replace(b"PID|", b"ZID|")
    assert ("PID[1]", "required segment missing") in [(str(f.where), f.text) for f in conformance(v2.read(raw))]


def test_no_length_is_held_against_a_version_that_only_recommends_them() -> None:
    long = "OBX|1|ST|718-7^Hb^LN||" + "x" * 200 + "||||||F"
    assert ("OBX[1]-5", "104") in found(long, "2.6")
    assert not any(code == "104" for _, code in found(long, "2.7"))


@pytest.mark.parametrize("version", ["2.9", "2.5.2", "2.5+", ""])
def test_a_version_without_tables_is_judged_by_the_nearest_and_told_so(version: str) -> None:
    assert ("MSH[1]-12", "203") in found("OBX|1|NM|718-7^Hb^LN||1||||||F", version)


def test_a_structure_nobody_has_is_told_instead_of_judged() -> None:
    raw = ORU.format(rest="", version="2.5.1").replace("ORU^R01^ORU_R01", "OSU^O51^OSU_O51").encode()
    assert ("MSH[1]-9", "200") in [(str(f.where), f.code) for f in conformance(v2.read(raw))]


def test_events_share_structures_and_older_versions_borrow_newer_ones() -> None:
    shared = structure("2.5.1", "ADT", "A08", "")
    assert shared is not None and (shared.name, shared.version) == ("ADT_A01", "2.5.1")
    borrowed = structure("2.2", "REF", "I12", "REF_I12")
    assert borrowed is not None and borrowed.version != "2.2"


def test_code_systems_named_by_pattern_are_in_table_0396() -> None:
    assert not any(code == "103" for _, code in found("OBX|1|CWE|718-7^Hb^LN||P^Pos^HL70078||||||F\rOBX|2|CWE|X^Y^99LAB||P^Pos^L||||||F"))
    assert "LN" in codes("2.5.1", "0396")


FIELD = st.text(alphabet="AB12^~&.- \\", max_size=12)
SEGMENT = st.builds(
    lambda name, fields: "|".join([name, *fields]), st.sampled_from(["PID", "OBX", "OBR", "NTE", "ZZZ", "IN1", "RF1"]), st.lists(FIELD, max_size=8)
)


@given(
    st.lists(SEGMENT, max_size=12),
    st.sampled_from(["2.1", "2.3", "2.5.1", "2.8.2", "2.9", "x"]),
    st.sampled_from(["ORU^R01", "REF^I12", "ORM^O01", "X"]),
)
def test_whatever_comes_the_check_answers_and_every_finding_has_a_place(segments: list[str], version: str, kind: str) -> None:
    raw = "\r".join([f"MSH|^~\\&|A|B|C|D|20260101||{kind}|1|P|{version}", *segments]).encode()
    message = v2.read(raw)
    sent = {(s.name, s.sequence) for s in message.segments}
    for finding in conformance(message):
        assert finding.where is not None and finding.code
        assert (finding.where.segment, finding.where.sequence) in sent or finding.text == "required segment missing"


def test_what_a_finding_says_never_quotes_the_value() -> None:
    raw = ORU.format(rest="OBX|1|NM|718-7^Hb^LN||Marlowe||||||Marlowe", version="2.5.1").encode()
    assert not any("Marlowe" in f.text for f in conformance(v2.read(raw)))


@pytest.mark.conformance
@pytest.mark.skipif(not os.environ.get("GATEWAY_CORPUS"), reason="set GATEWAY_CORPUS to the folder of public HL7 v2 messages")
def test_public_messages_are_judged_without_a_fault_of_ours() -> None:
    judged = 0
    for path in sorted(Path(os.environ["GATEWAY_CORPUS"]).rglob("*.hl7")):
        for raw in v2.split(path.read_bytes()):
            try:
                message = v2.read(raw)
            except Refused:
                continue
            judged += 1
            assert all(finding.where is not None for finding in conformance(message))
    assert judged
