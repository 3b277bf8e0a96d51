"""Who pays alone: one rule, in Python for what payers see and in FHIRPath for the checklists, held equal."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.facts import pays_alone
from profiles.selfpay import SELF_PAY, self_pay
from tests.cases.story import REFERRAL, checklist

CODES = [(*code, True) for code in sorted(SELF_PAY)] + [("urn:any", "SELFPAY", True), ("urn:any", "81", False), ("urn:any", "PPO", False)]


@pytest.mark.parametrize(("system", "code", "alone"), CODES)
def test_the_checklists_ask_the_same(system: str, code: str, alone: bool) -> None:
    coverage: dict[str, Any] = {"resourceType": "Coverage", "type": {"coding": [{"system": system, "code": code}]}}
    assert self_pay(coverage) is alone
    asked = next(
        item.condition for item in checklist("breast").items if item.condition and "%`self-pay`.anyTrue()).not()" in item.condition.expression.source
    )
    for answered in ([], True, False):
        facts = {"coverages": [coverage], "self-pay": answered}
        assert pays_alone(facts) is (alone or answered is True) is not asked.expression.truth(REFERRAL, facts)
