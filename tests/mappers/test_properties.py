"""Whatever a sender does to a message: it is mapped or refused, nothing it says is lost, nothing illegal comes out."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import encode, validate
from mappers import v2
from mappers.result import Refused
from mappers.v2.message import SUB
from tests.mappers.build import PID, TABLES, mapped, message, resources
from tests.mappers.golden import cases

INPUTS = [(c / "input.hl7").read_bytes().replace(b"\n", b"\r") for c in cases()]
# A message that names no two patients, or no two numbers of one, says nothing: it alone may be refused for what one of its fields says.
MERGES = tuple(raw for raw in INPUTS if re.search(rb"\|ADT\^A(24|37|40|47)", raw))
SITE = v2.Site()
words = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="|^~\\&\r\n\x1f", categories=("L", "N", "P", "S", "Zs")), min_size=2, max_size=12
)


def mapped_or_refused(raw: bytes, original: bytes):
    """The mapped message; None for a merge that is refused with a place."""
    try:
        return v2.map_message(v2.read(raw), TABLES, SITE)
    except Refused as refused:
        assert original in MERGES
        assert refused.findings[0].where is not None
        return None


def everything(result) -> str:
    """All text of all resources, decoded documents included."""
    text = json.dumps([d.resource for d in result.drafts], default=str, ensure_ascii=False)
    documents = [base64.b64decode(r["data"]).decode("utf-8", "replace") for r in resources(result, "Binary")]
    return text + "\n".join(documents)


def damaged(raw: bytes, draw) -> bytes:
    """The message with one field replaced by something else."""
    lines = raw.decode().split("\r")
    number = draw(st.integers(1, len(lines) - 2))
    fields = lines[number].split("|")
    place = draw(st.integers(1, max(1, len(fields) - 1)))
    value = draw(st.one_of(words, st.text(alphabet='^~&\\0123456789.<-+"AB', max_size=20), st.just('""'), st.just("20241399"), st.just("<15")))
    fields[place : place + 1] = [value.replace("\r", "").replace("\n", "")]
    lines[number] = "|".join(fields)
    return "\r".join(lines).encode()


@settings(max_examples=150)
@given(st.data(), st.sampled_from(INPUTS))
def test_one_bad_field_never_loses_the_message_nor_makes_illegal_fhir(data, raw):
    result = mapped_or_refused(damaged(raw, data.draw), raw)
    for draft in result.drafts if result else ():
        assert validate(draft.resource) == [], draft.resource["resourceType"]
        encode(draft.resource)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(INPUTS))
def test_segments_in_are_segments_accounted_for(data, raw):
    lines = raw.decode().strip("\r").split("\r")
    order = data.draw(st.permutations(lines[1:]))
    read = v2.read("\r".join([lines[0], *order]).encode())
    result = mapped_or_refused("\r".join([lines[0], *order]).encode(), raw)
    if result is None:
        return
    told = {(e.where.segment, e.where.sequence) for e in result.ledger}
    assert {(s.name, s.sequence) for s in read.segments if any(s.fields[1:])} <= told


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.sampled_from(["NM", "ST", "TX", "FT", "CWE", "ED", "DT", "SN", "ZZ"]), words, st.sampled_from(["1^a", "2^b"])),
        min_size=1,
        max_size=12,
    )
)
def test_every_obx_arrives_and_says_what_it_said(rows):
    lines = [f"OBX|{n}|{kind}|{code}||{'^AP^TXT^A^' if kind == 'ED' else ''}{value}||||||F" for n, (kind, value, code) in enumerate(rows, 1)]
    result = mapped(PID, "OBR|1||F^L|1^a", *lines)
    text = everything(result)
    made = len(resources(result, "Observation")) + len(resources(result, "DocumentReference"))
    joined = sum(1 for one, other in pairwise(rows) if one[0] == other[0] in ("TX", "FT") and one[2] == other[2])
    assert made == len(rows) - joined
    for kind, value, _ in rows:
        if value.strip():
            shown = json.dumps(" ".join(value.split()) if kind == "CWE" else value.strip(), ensure_ascii=False)[1:-1]
            assert shown in text or value.strip() in text


@settings(max_examples=80)
@given(st.lists(st.lists(words, min_size=1, max_size=6), min_size=1, max_size=30))
def test_no_value_of_an_unknown_segment_is_lost(fields):
    raw = message(PID, "ZZZ|" + "|".join("^".join(f) for f in fields))
    text = everything(v2.map_message(v2.read(raw), TABLES, SITE))
    for field in fields:
        for word in field:
            if word.strip():
                assert json.dumps(word.strip(), ensure_ascii=False)[1:-1] in text


@settings(max_examples=100)
@given(st.lists(st.text(alphabet='|^~&\\ABCxyz019."', max_size=40), max_size=8))
def test_random_segments_are_mapped_or_refused(contents):
    names = ("PID", "OBR", "OBX", "ORC", "NTE", "SPM", "PV1", "ZZZ")
    raw = message(*(f"{n}|{c}" for n, c in zip(names, contents, strict=False)))
    try:
        result = v2.map_message(v2.read(raw), TABLES, SITE)
    except Refused as refused:
        assert refused.findings[0].where is not None
    else:
        assert all(validate(d.resource) == [] for d in result.drafts)
        assert SUB not in everything(result)
