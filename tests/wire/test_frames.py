"""The MLLP frame decoder, fed in every way a network can cut a stream."""

from __future__ import annotations

import hashlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.hl7v2.frames import KEPT_BYTES, Broken, Frame, FrameDecoder, Oversize, frame

# Message bytes that hold neither an end mark nor the start of another message.
contents = st.binary(max_size=300).filter(lambda b: b"\x1c" not in b and b"\x0b" not in b)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(stream), *(p % (len(stream) + 1) for p in places)})
    return [stream[a:b] for a, b in itertools.pairwise(marks)]


@given(st.lists(contents, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_messages_come_out_whole_however_the_stream_is_cut(messages: list[bytes], places: list[int]) -> None:
    decoder = FrameDecoder(1000)
    events = [e for part in cut(b"".join(map(frame, messages)), places) for e in decoder.feed(part)]
    assert [e.message for e in events if isinstance(e, Frame)] == messages
    assert all(isinstance(e, Frame) for e in events)
    assert decoder.finish() == []


@given(st.binary(max_size=2000), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_bytes_at_all_are_accounted_for(stream: bytes, places: list[int]) -> None:
    def run(parts: list[bytes]) -> list[object]:
        decoder = FrameDecoder(200)
        found: list[object] = [e for part in parts for e in decoder.feed(part)]
        return found + list(decoder.finish())

    events = run(cut(stream, places))
    whole = b"".join(e.message if isinstance(e, Frame) else e.content if isinstance(e, Broken) else e.head for e in events)  # type: ignore[union-attr]
    stripped = bytes(b for b in stream if b not in b"\x0b\x1c\r\n\x00 ")
    assert bytes(b for b in whole if b not in b"\x0b\x1c\r\n\x00 ") == stripped


@given(st.integers(201, 200_000), st.lists(st.integers(0, 400_000), max_size=8))
def test_a_message_over_the_limit_is_measured_not_held(size: int, places: list[int]) -> None:
    message = b"MSH|" + b"x" * (size - 4)
    decoder = FrameDecoder(200)
    events = [e for part in cut(frame(message) + frame(b"MSH|next"), places) for e in decoder.feed(part)]
    over, following = events
    assert over == Oversize(message[:KEPT_BYTES], size, hashlib.sha256(message).hexdigest())
    assert following == Frame(b"MSH|next")


def test_a_frame_cut_off_by_the_next_one_is_kept_as_broken_and_the_next_one_counts() -> None:
    decoder = FrameDecoder(1000)
    events = decoder.feed(b"\x0bMSH|half of a mes" + frame(b"MSH|whole"))
    assert events == [Broken(b"MSH|half of a mes", 17, "a new frame started inside this one"), Frame(b"MSH|whole")]


def test_noise_between_frames_is_reported_and_line_ends_are_not_noise() -> None:
    decoder = FrameDecoder(1000)
    events = decoder.feed(b"\r\n" + frame(b"MSH|1") + b"GET / HTTP/1.1\r\n" + frame(b"MSH|2"))
    assert events == [Frame(b"MSH|1"), Broken(b"GET / HTTP/1.1\r\n", 16, "bytes outside any frame"), Frame(b"MSH|2")]


def test_an_end_mark_without_carriage_return_is_content() -> None:
    decoder = FrameDecoder(1000)
    assert decoder.feed(b"\x0bMSH|a\x1cb\x1c\r") == [Frame(b"MSH|a\x1cb")]
