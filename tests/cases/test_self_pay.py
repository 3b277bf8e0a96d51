"""Who pays alone: one rule, in Python for what payers see and in FHIRPath for the checklists, held equal."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.facts import pays_alone
from profiles.selfpay import SELF_PAY, self_pay
from tests.cases.story import REFERRAL, Case, checklist

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


def test_who_paid_herself_for_a_time_does_so_until_it_is_over() -> None:
    """FHIR R4 Coverage.period: a Coverage whose time is over pays for nothing, one that says self-pay among them."""
    code = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-selfpay", "code": "pay"}]}
    coverage = {"resourceType": "Coverage", "id": "own", "status": "active", "type": code, "period": {"end": "2026-09-10"}}
    case = Case().receives(coverage)
    today = case.evaluation("2026-09-10")
    assert today.self_pay and today.next_change is not None and today.next_change.date().isoformat() == "2026-09-11"
    assert not case.evaluation("2026-09-11").self_pay
