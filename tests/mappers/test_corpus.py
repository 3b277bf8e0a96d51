"""Public messages nobody here wrote (folder in GATEWAY_CORPUS): each is mapped or refused with a located reason, and what comes out is legal and
keeps what came in.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Refused
from mappers.v2.message import SUB
from tests.mappers.build import CLINIC, TABLES, resources

CORPUS = os.environ.get("GATEWAY_CORPUS", "")
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CORPUS, reason="set GATEWAY_CORPUS to the folder of public HL7 v2 messages")]
FILES = sorted(Path(CORPUS).rglob("*.hl7")) if CORPUS else []
# Structural by nature: delimiters, versions, set ids, value types
UNSAID = {("MSH", n) for n in (1, 2, 12, 15, 16, 18)} | {("OBX", 2)}
SYSTEM_NAMES = re.compile(r"HL7\d+|L|LN|SCT|I10C?|I9C?|ISO\+?|UCUM|CDCREC|ISO3166_1|C4|PH|CP|PRN|WPN|NET|Internet", re.IGNORECASE)


def outcomes():
    for path in FILES:
        for raw in v2.split(path.read_bytes()):
            for site in (v2.Site(), v2.Site(CLINIC)):
                yield path, raw, site


def test_every_message_is_mapped_or_refused_with_a_located_reason():
    seen = Counter()
    for _, raw, site in outcomes():
        try:
            v2.map_message(v2.read(raw), TABLES, site)
            seen["mapped"] += 1
        except Refused as refused:
            assert all(f.where is not None and f.code in ("100", "200", "201") for f in refused.findings)
            seen["refused"] += 1
    assert seen["mapped"] > 0


def test_no_illegal_resource_and_no_segment_left_out():
    for path, raw, site in outcomes():
        try:
            read = v2.read(raw)
            mapped = v2.map_message(read, TABLES, site)
        except Refused:
            continue
        for draft in mapped.drafts:
            assert validate(draft.resource) == [], f"{path.name}: {draft.resource['resourceType']}"
        told = {(e.where.segment, e.where.sequence) for e in mapped.ledger}
        assert {(s.name, s.sequence) for s in read.segments if any(s.fields[1:])} <= told, path.name


def test_the_two_public_referrals_yield_what_a_case_needs():
    for name in ("REF-I12-01.hl7", "REF-I12-02.hl7"):
        for path in (p for p in FILES if p.name == name):
            mapped = v2.map_message(v2.read(path.read_bytes()), TABLES, v2.Site())
            request = next(r for r in resources(mapped, "ServiceRequest") if "category" in r)
            assert {"requester", "performer", "insurance", "reasonReference", "supportingInfo", "identifier"} <= set(request)
            assert resources(mapped, "Coverage")
            assert resources(mapped, "Condition")
            assert resources(mapped, "DiagnosticReport")


def test_at_least_nine_values_of_ten_are_found_in_the_fhir_output():
    held = said = 0
    for _, raw, _ in outcomes():
        try:
            read = v2.read(raw)
            mapped = v2.map_message(read, TABLES, v2.Site())
        except Refused:
            continue
        text = _text(mapped)
        digits = re.sub(r"[^\d\n]", "", text)
        for segment, leaf in {(s.name, leaf) for s in read.segments for leaf in _leaves(s)}:
            said += 1
            date = re.fullmatch(r"\d{8,}[\d.]*([+-]\d{4})?", leaf)
            held += leaf in text or bool(date and leaf[:8] in digits)
            assert segment
    assert held / said >= 0.95, f"{held} of {said}"


def _leaves(segment):
    for number in range(1, len(segment.fields)):
        if (segment.name, number) in UNSAID or (number == 1 and segment.raw(1).isdecimal()):
            continue
        for repetition in segment.repetitions(number):
            for component, text in enumerate(repetition, 1):
                for leaf in map(str.strip, text.split(SUB)):
                    if len(leaf) > 1 and leaf != '""' and not (component in (2, 3, 6) and SYSTEM_NAMES.fullmatch(leaf)):
                        yield leaf


def _text(mapped) -> str:
    found: list[str] = []

    def walk(value):
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            found.append(value if isinstance(value, str) else json.dumps(value, default=str))

    for draft in mapped.drafts:
        walk(draft.resource)
        if draft.resource["resourceType"] == "Binary":
            found.append(base64.b64decode(draft.resource["data"]).decode("utf-8", "replace"))
    return "\n".join(found)
