"""The right value in the right element: assertions over public messages (folder in GATEWAY_CORPUS), each read by hand against its message."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fhirpathpy import compile as compiled
from fhirpathpy.models import models

from mappers import v2
from tests.mappers.build import TABLES

CORPUS = os.environ.get("GATEWAY_CORPUS", "")
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CORPUS, reason="set GATEWAY_CORPUS to the folder of public HL7 v2 messages")]


class Placement(NamedTuple):
    """One line of placements.tsv."""

    message: str
    field: str
    type: str
    path: str
    value: str


LINES = (Path(__file__).parent / "placements.tsv").read_text(encoding="utf-8").splitlines()
PLACEMENTS = [Placement(*line.split("\t")) for line in LINES if not line.startswith("#")]


@cache
def mapped(message: str) -> list[dict[str, Any]]:
    (raw,) = v2.split((Path(CORPUS) / "v2" / message).read_bytes())
    return [draft.resource for draft in v2.map_message(v2.read(raw), TABLES, v2.Site()).drafts]


def said(value: Any) -> str:
    """A FHIRPath result as it is written."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_there_are_enough_of_them_and_none_twice() -> None:
    assert len(PLACEMENTS) >= 150
    assert len(set(PLACEMENTS)) == len(PLACEMENTS)


@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda p: f"{Path(p.message).stem}-{p.field}-{p.type}")
def test_a_value_stands_where_it_belongs(placement: Placement) -> None:
    find = compiled(placement.path, models["r4"])
    found = [said(value) for resource in mapped(placement.message) if resource["resourceType"] == placement.type for value in find(resource)]
    assert placement.value in found
