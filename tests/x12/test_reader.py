"""Interchanges: any separators, any line ends, byte for byte; what is broken is said with its place."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers import x12
from mappers.x12 import Separators, X12Error
from mappers.x12 import reader as limits
from tests.x12.build import BEGIN, PAYER, PROVIDER, SUBSCRIBER, answer, interchange, only, transaction_set

marks = st.permutations("*^:~|!>\\+'\x1c\x1d\x1e\x1f@&%").map(lambda all: all[:4])
with_lines = marks.map(lambda chosen: [*chosen[:3], "\n"])
element = st.text(alphabet=string.ascii_letters + string.digits + " .-,()/éß", max_size=12)
segment = st.tuples(st.sampled_from(["REF", "MSG", "ZZ9", "EB", "DTP", "N3"]), st.lists(element, min_size=1, max_size=8))


@settings(max_examples=60)
@given(
    marks | with_lines,
    st.lists(segment, max_size=8),
    st.sampled_from(["", "\n", "\r\n", "\n\n"]),
    st.sampled_from(["utf-8", "latin-1"]),
    st.integers(1, 3),
)
def test_what_is_read_is_written_byte_for_byte(chosen, body, end, codec, count) -> None:
    lines = ["*".join([name, *elements]) for name, elements in body]
    raw = interchange(*[transaction_set(lines, f"{n:04d}") for n in range(count)], separators=Separators(*chosen), end=end).decode().encode(codec)
    found = x12.read(raw * 2)
    assert x12.write(found) == raw * 2
    assert [len(one.transactions) for one in found] == [count, count]
    assert found[0].findings == []
    inner = [[s.id, *s.elements[1:]] for s in found[1].transactions[-1].segments[1:-1]]
    assert inner == [[name, *elements] for name, elements in body]


@settings(max_examples=60)
@given(st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 60))
def test_damage_is_read_or_refused_with_a_place_never_anything_else(junk, at, lost) -> None:
    raw = answer("EB*1**30", "EB*B**98***27*30")
    damaged = raw[:at] + junk + raw[at + lost :]
    try:
        found = x12.read(damaged)
        for one in found:
            for transaction in one.transactions:
                x12.loops(transaction)
    except X12Error as refused:
        assert str(refused).startswith("segment ")
    else:
        assert x12.write(found) == damaged


def test_values_components_and_repetitions_follow_the_separators_of_isa() -> None:
    eb = only(answer("EB*1**30^98*********Y*HC:99245:25", separators=Separators("|", "!", ">", "\n"))).segments[-2]
    assert eb.repeats(3) == ["30", "98"]
    assert [eb.value(13, n) for n in (1, 2, 3, 4)] == ["HC", "99245", "25", ""]
    assert eb.value(20) == ""
    assert str(eb.where(13, 2)) == "segment 15 (EB), element 13, component 2"


def test_wrong_counts_and_control_numbers_are_said_and_the_content_is_still_read() -> None:
    raw = answer("EB*1**30").replace(b"SE*14*0001", b"SE*9*0002").replace(b"GE*1*117", b"GE*2*118").replace(b"IEA*1*000000117", b"IEA*3*1")
    (found,) = x12.read(raw)
    assert [finding.where.short for finding in found.findings] == ["SE[16]01", "SE[16]02", "GE[17]01", "GE[17]02", "IEA[18]01", "IEA[18]02"]
    assert [transaction.control for transaction in found.transactions] == ["0001"]


def test_an_isa_without_its_padding_is_read_and_remarked() -> None:
    raw = re.sub(rb" +\*", b"*", answer("EB*1**30"))
    (found,) = x12.read(raw)
    assert found.transactions[0].kind == "271"
    assert {finding.severity for finding in found.findings} == {"information"}


GOOD = answer("EB*1**30", "EB*B**98***27*30")


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"", "segment 1", "empty"),
        (b"MSH|^~\\&|", "segment 1", "begins with ISA"),
        (GOOD[:60], "segment 1 (ISA)", "16 elements"),
        (GOOD[: GOOD.index(b"***27*30")], "segment 16 (EB)", "breaks off inside"),
        (GOOD.split(b"SE*")[0], "segment 16 (EB)", "SE is missing"),
        (GOOD.split(b"GE*")[0], "segment 17 (SE)", "GE is missing"),
        (GOOD.split(b"IEA*")[0], "segment 18 (GE)", "IEA is missing"),
        (GOOD.replace(b"EB*1", b"eb*1"), "segment 15", "segment id"),
        (GOOD.replace(b"EB*1**30", b"EB*1**3\x000"), "segment 15 (EB), element 3", "control characters"),
        (GOOD.replace(b"MARLOWE", b"MAR\nLOWE"), "segment 12 (NM1), element 3", "line break"),
        (GOOD.replace(b"ST*271", b"ZZ*271"), "segment 3 (ZZ)", "can't stand here"),
        (GOOD.replace(b"SE*15", b"ST*15"), "segment 17 (ST)", "no end (SE)"),
        (GOOD.replace(b"*T*:~", b"*T**~"), "segment 1 (ISA), element 16", "four different marks"),
        (GOOD + b"garbage", "segment 20", "only another ISA"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words_with_its_place(raw, place, words) -> None:
    with pytest.raises(X12Error) as refused:
        x12.read(raw)
    assert str(refused.value.where) == place
    assert words in refused.value.text


def test_limits(monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 10)
    with pytest.raises(X12Error, match="more than 10 segments"):
        x12.read(GOOD)
    monkeypatch.setattr(limits, "MAX_BYTES", 100)
    with pytest.raises(X12Error, match="larger than"):
        x12.read(GOOD)


def test_loops_follow_the_hierarchy_and_lose_nothing() -> None:
    named = ["EB*N**20", "MSG*CHOOSE ONE", "ZZX*KEPT", "III*ZZ*11", "LS*2120", "NM1*1P*1*OSEI*KOFI", "PER*IC**TE*8005550100", "LE*2120", "EB*1**30"]
    dependent = ["HL*4*3*23*0", "NM1*03*1*MARLOWE*TEO", "EB*1**30", "SV1*?"]
    transaction = only(interchange(transaction_set([*BEGIN, *PAYER, *PROVIDER, *SUBSCRIBER, *named, *dependent])))
    root = x12.loops(transaction)
    found = list(root.walk())
    assert [loop.name for loop in found] == (
        ["ST", "2000A", "2100A", "2000B", "2100B", "2000C", "2100C", "2110C", "2115C", "2120C", "2110C", "2000D", "2100D", "2110D"]
    )
    assert sorted(s.number for loop in found for s in loop.segments) == [s.number for s in transaction.segments]
    benefit = found[7]
    assert [s.id for s in benefit.segments] == ["EB", "MSG", "ZZX", "LS", "LE"]
    assert [s.id for s in found[9].segments] == ["NM1", "PER"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b"HL*3*2*22*0", b"HL*3*2*99*0", "HL[10]03"),
        (b"HL*3*2*22*0", b"HL*3*7*22*0", "HL[10]02"),
        (b"HL*3*2*22*0", b"REF*ZZ*1", "EB[15]"),
    ],
)
def test_a_segment_that_has_no_place_in_the_hierarchy_is_refused_there(old, new, place) -> None:
    with pytest.raises(X12Error) as refused:
        x12.loops(only(GOOD.replace(old, new)))
    assert refused.value.where.short == place
