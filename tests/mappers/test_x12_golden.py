"""The golden pack of 271 answers: what each means, legal FHIR to every judge here, and nothing in it that could not be read."""

from __future__ import annotations

import json

import pytest

from tests import validators
from tests.mappers.x12_golden import actual, cases, found

CASES = list(cases())
JUDGES = [(name, judge) for name, judge in validators.judges() if callable(judge) and name != "@medplum/core"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_golden(case) -> None:
    assert json.loads(actual(case)) == json.loads((case / "expected.json").read_text(encoding="utf-8"))
    assert [str(finding) for answer in found(case) for finding in answer.findings] == []
    assert (case / "README.md").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(("name", "judge"), JUDGES, ids=[name for name, _ in JUDGES])
def test_every_answer_is_legal_to(name, judge) -> None:
    answers = [(case.name, answer.response) for case in CASES for answer in found(case)]
    judged = judge([response for _, response in answers])
    assert [(case, faults) for (case, _), faults in zip(answers, judged, strict=True) if faults] == []
    assert len(answers) > len(CASES)
