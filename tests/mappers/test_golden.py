"""Every golden message maps to its expected Bundle, and every resource of it is legal FHIR R4."""

from __future__ import annotations

import json

import pytest

from fhir_gateway.validation import validate
from mappers import v2
from tests.mappers.build import TABLES, warnings
from tests.mappers.golden import actual, cases

CASES = list(cases())
# Faults put into the fixtures on purpose, and where they must be reported
FAULTS = {"cbc": ["OBX[3]-5.1"]}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.parent.name}/{c.name}")
def test_golden(case):
    assert json.loads(actual(case)) == json.loads((case / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.parent.name}/{c.name}")
def test_golden_is_valid_and_finds_what_is_wrong(case):
    mapped = v2.map_message(v2.read((case / "input.hl7").read_bytes()), TABLES, v2.Site())
    assert [issue for draft in mapped.drafts for issue in validate(draft.resource)] == []
    assert [str(f.where) for f in warnings(mapped)] == FAULTS.get(case.name, [])
    assert (case / "README.md").read_text(encoding="utf-8").startswith("# ")


def test_there_is_a_pack():
    assert len(CASES) >= 6
