"""The CORE envelope: what is built is read again, what others send is read, what is none is refused in words."""

from __future__ import annotations

from datetime import datetime
from email import message_from_bytes
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.x12 import core
from tests.x12.build import answer

MESSAGE = core.Message(answer("EB*1**30"), core.REQUEST_270, "f81d4fae-7dec-11d0", "2026-09-14T14:30:00Z", "SOGCLINIC", "PAYERTEST")


def test_an_envelope_is_multipart_to_readers_nobody_here_wrote() -> None:
    kind, body = core.build(MESSAGE)
    parsed = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parsed.get_payload()}
    assert list(parts) == ["PayloadType", "ProcessingMode", "PayloadID", "TimeStamp", "SenderID", "ReceiverID", "CORERuleVersion", "Payload"]
    assert (parts["PayloadType"], parts["ProcessingMode"], parts["CORERuleVersion"]) == (b"X12_270_Request_005010X279A1", b"RealTime", b"2.2.0")
    assert parts["Payload"] == MESSAGE.payload


@settings(max_examples=60)
@given(st.binary(max_size=80), st.text(st.characters(codec="utf-8", categories=("L", "N")), max_size=10))
def test_what_is_built_is_read_again(payload, id) -> None:
    message = core.Message(payload, core.RESPONSE_271, id, "", "A", "B", error_code="Success")
    assert core.read(*core.build(message)) == message
    assert not message.failed


def test_an_answer_in_other_spellings_is_read() -> None:
    body = (
        b"preamble\n--x\nContent-Disposition: form-data; name=PayloadType\n\nCoreEnvelopeError\n"
        b'--x\nContent-Type: text/plain\ncontent-disposition: form-data; name="ErrorCode"\n\nReceiverIDRequired\n--x--\n'
    )
    found = core.read('Multipart/Form-Data; charset=utf-8; BOUNDARY="x"', body)
    assert (found.payload_type, found.error_code, found.payload, found.failed) == ("CoreEnvelopeError", "ReceiverIDRequired", b"", True)


KIND, BODY = core.build(MESSAGE)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("text/html", b"<html>", "no multipart"),
        ("multipart/form-data", BODY, "no multipart"),
        (KIND, BODY[:-10], "breaks off"),
        (KIND, b"", "breaks off"),
        (KIND, BODY.replace(b"PayloadType", b"Other"), "no PayloadType"),
        (KIND, BODY.replace(b'; name="TimeStamp"', b""), "has no name"),
        ("multipart/form-data; boundary=x", b"--x" * 200, "more than 100 parts"),
    ],
)
def test_what_is_no_envelope_is_refused_in_words(kind, body, words) -> None:
    with pytest.raises(core.CoreError, match=words):
        core.read(kind, body)


def test_a_value_of_two_lines_cannot_smuggle_a_part() -> None:
    with pytest.raises(core.CoreError, match="SenderID"):
        core.build(core.Message(b"", core.REQUEST_270, "1", "", "A\r\n--x", "B"))


def test_moments_are_utc() -> None:
    assert core.stamp(datetime(2026, 9, 14, 9, 30, tzinfo=ZoneInfo("America/Chicago"))) == "2026-09-14T14:30:00Z"
