"""The answer: what happened, to whom, and which field is at fault, in the sender's own delimiters, version and character set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.result import Finding, Location
from tests.mappers.build import PID, message

NOW = datetime(2026, 9, 3, 12, 0, tzinfo=UTC)
FINDINGS = [
    Finding("error", "102", "not a number", Location("OBX", 2, 5, None, 1)),
    Finding("warning", "103", "odd | code & all", Location("PID", 1, 8)),
    Finding("information", "101", "required field missing", Location("AUT", 1, 13)),
]


def answer(source, code="AA", findings=()):
    return v2.acknowledge(source, code, findings, now=NOW, control_id="ACK1")


def lines(raw):
    assert raw.endswith(b"\r")
    return [line.split("|") for line in raw.decode().split("\r")[:-1]]


def test_it_goes_back_to_the_sender_in_its_own_terms():
    msh, msa = lines(answer(v2.read(message(PID, event="REF^I12", control_id="X9"))))
    assert msh[1:8] == ["^~\\&", "GATEWAY", "CLINIC", "APP", "HOSP", "20260903120000+0000", ""]
    assert msh[8:12] == ["ACK^I12^ACK", "ACK1", "P", "2.8"]
    assert msa == ["MSA", "AA", "X9"]


def test_errors_and_warnings_are_located_information_is_left_out():
    _, msa, *errors = lines(answer(v2.read(message(PID)), "AE", FINDINGS))
    assert msa[3] == "OBX[2]-5.1: not a number"
    assert errors[0] == ["ERR", "", "OBX^2^5^1^1", "102^Data type error^HL70357", "E", "", "", "", "not a number"]
    assert errors[1] == ["ERR", "", "PID^1^8^1", "103^Table value not found^HL70357", "W", "", "", "", "odd \\F\\ code \\T\\ all"]
    assert len(errors) == 2


def test_versions_before_2_5_are_answered_in_their_own_err():
    old = message(PID).replace(b"|2.8\r", b"|2.3\r")
    assert lines(answer(v2.read(old), "AE", FINDINGS[:1]))[2] == ["ERR", "OBX^2^5^102&Data type error&HL70357"]


def test_the_senders_delimiters_and_charset_are_kept():
    raw = "MSH#*!%?#ÄPP#FAC#G#C#2026##ORU*R01#7#P#2.5######8859/1\rPID#1\r".encode("iso8859-1")
    found = answer(v2.read(raw), "AE", FINDINGS[:1])
    assert found.startswith(b"MSH#*!%?#G#C#\xc4PP#FAC#")
    assert b"\rERR##OBX*2*5*1*1#102*Data type error*HL70357#E" in found
    assert v2.read(found).segments[0].value(5) == "ÄPP"


@pytest.mark.parametrize("raw", [b"", b"\x00\xff garbage", b"MSH", b"GET / HTTP/1.1"])
def test_what_could_not_be_read_is_answered_too(raw):
    msh, msa, err = lines(answer(raw, "AR", [Finding("error", "100", "not a message", Location("MSH", 1))]))
    assert msh[8:12] == ["ACK", "ACK1", "P", "2.5.1"]
    assert msa[1:3] == ["AR", ""]
    assert err[2] == "MSH^1"


def test_a_control_id_is_found_in_half_an_msh():
    assert lines(answer(b"junk MSH|^^^^|A|B|C|D|2026||ORU^R01|X77|P", "AR"))[1] == ["MSA", "AR", "X77"]


@pytest.mark.parametrize("code", ["AA", "AE", "AR", "CA", "CE", "CR"])
def test_a_received_answer_is_read_back(code):
    found = v2.read_ack(answer(v2.read(message(PID, control_id="X9")), code, FINDINGS))
    assert (found.code, found.control_id) == (code, "X9")
    assert any("odd | code & all" in text for text in found.texts)


def test_the_same_input_makes_the_same_bytes():
    source = v2.read(message(PID))
    assert answer(source, "AE", FINDINGS) == answer(source, "AE", FINDINGS)


def test_a_flood_of_findings_is_counted_not_sent():
    found = lines(answer(v2.read(message(PID)), "AE", FINDINGS[:1] * 1000))
    assert len(found) == 102
    assert found[-1][8] == "901 further findings"


@given(st.binary(max_size=200))
def test_anything_gets_an_answer_that_can_be_read(raw):
    assert v2.read_ack(answer(raw, "AR", FINDINGS)).code == "AR"
