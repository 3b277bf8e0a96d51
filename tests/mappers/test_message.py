"""Reading: bytes as senders really write them become segments, or are refused with a located finding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import v2
from mappers.result import Refused
from mappers.v2.message import SUB
from tests.mappers.build import PID, message

LINES = ["MSH|^~\\&|A|B|C|D|20260901||ORU^R01|1|P|2.5", "PID|1||X^^^H^MR", "OBX|1|ST|c||v"]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\x0b", b"\r\n"])
def test_line_ends_marks_and_a_missing_last_cr_make_no_difference(end, tail, start):
    raw = start + end.join(line.encode() for line in LINES) + (end if tail else b"")
    assert [s.name for s in v2.read(raw).segments] == ["MSH", "PID", "OBX"]


def test_the_senders_own_delimiters_are_used():
    read = v2.read(b"MSH#*!%?#APP#FAC\rPID#1##1?2*x!3*y\r")
    assert read.segments[1].repetitions(3) == [[f"1{SUB}2", "x"], ["3", "y"]]
    assert read.header.sender == "FAC"


def test_the_truncation_character_of_2_7_is_a_delimiter_too():
    read = v2.read(b"MSH|^~\\&#|APP|FAC\rNTE|1||half#\r")
    assert read.delimiters.truncation == "#"


def test_a_line_without_segment_id_continues_the_field_before_it():
    read = v2.read(b"MSH|^~\\&|A|B\rNTE|1||first line\nand the second|\rPID|1\r")
    assert [s.name for s in read.segments] == ["MSH", "NTE", "PID"]
    assert read.segments[1].raw(3) == "first line\nand the second"
    assert [(f.code, str(f.where)) for f in read.findings] == [("100", "NTE[1]-4")]


def test_control_characters_never_come_in():
    read = v2.read(b"MSH|^~\\&|A|B\rNTE|1||a\x00b\x07c\td\r")
    assert read.segments[1].raw(3) == "abc\td"
    assert [f.code for f in read.findings] == ["102"]


@pytest.mark.parametrize("raw", [b"", b"hello", b"MSH", b"MSH|", b"MSHA^~\\&", b"\x00\x01\x02", b"PID|1", b"MSH|||||||", b"MSH|||^~"])
def test_what_is_no_message_is_refused_at_msh(raw):
    with pytest.raises(Refused) as refused:
        v2.read(raw)
    assert refused.value.ack_code == "AR"
    assert refused.value.findings[0].where.segment == "MSH"


def test_a_batch_is_taken_apart_and_its_envelope_left_behind():
    one, two = message(PID, control_id="1"), message(PID, control_id="2")
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + one + two + b"BTS|2\rFTS|1\r"
    assert [v2.read(raw).header.control_id for raw in v2.split(batch)] == ["1", "2"]
    assert all(b"BTS" not in raw for raw in v2.split(batch))


def test_several_messages_without_envelope_are_split_and_junk_before_them_is_not_skipped():
    pieces = v2.split(b"junk\r" + message(PID, control_id="1") + b"\r\n" + message(PID, control_id="2"))
    assert len(pieces) == 3
    with pytest.raises(Refused):
        v2.read(pieces[0])
    assert [v2.read(p).header.control_id for p in pieces[1:]] == ["1", "2"]


def test_a_large_field_is_not_copied_over_and_over():
    data = "QUJD" * 2_500_000
    read = v2.read(message(PID, f"OBX|1|ED|x||^AP^PDF^Base64^{data}"))
    assert len(read.segments[2].repetitions(5)[0][4]) == len(data)


@given(st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(raw):
    try:
        v2.read(raw)
    except Refused as refused:
        assert refused.findings[0].where is not None


@given(st.binary(max_size=200))
def test_random_bytes_behind_an_msh_are_read(tail):
    read = v2.read(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\r" + tail)
    assert read.header.control_id.startswith("1")


def test_the_acknowledgement_mode_is_original_when_both_fields_are_blank():
    assert v2.ack_mode(v2.read(message(PID))) == (False, "", "")
    assert v2.ack_mode(v2.read(b"MSH|^~\\&|A|B|||||ORU^R01|1|P|2.5|||AL|NE\r")) == (True, "AL", "NE")
