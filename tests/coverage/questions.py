"""The characters of the coverage stories: one synthetic member, her plan, a question about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhir_gateway.cases.eligibility import Insured, insured
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.payer import UNKNOWN, Payer
from fhir_gateway.coverage.rules import Question, answered

Json = dict[str, Any]
AT = Moment(datetime(2026, 9, 10, 15, tzinfo=UTC))
COVERAGE: Json = {
    "resourceType": "Coverage",
    "id": "plan",
    "status": "active",
    "subscriberId": "M-77",
    "beneficiary": {"reference": "Patient/ines"},
    "period": {"start": "2026-01-01"},
    "payor": [{"display": "Example Mutual"}],
}
REQUEST: Json = {
    "resourceType": "CoverageEligibilityRequest",
    "id": "ask",
    "status": "active",
    "purpose": ["benefits"],
    "patient": {"reference": "Patient/ines"},
    "servicedDate": "2026-09-20",
    "created": "2026-09-10",
    "insurer": {"display": "Example Mutual"},
    "insurance": [{"coverage": {"reference": "Coverage/plan"}}],
}


def ask(payer: Payer = UNKNOWN, coverage: Json = COVERAGE, at: Moment = AT, **request: Any) -> Json:
    """The answer of the rules."""
    return answered(Question({**REQUEST, **request}, (("Coverage/plan", coverage),), payer, at))


def said(response: Json) -> Insured:
    """Its only insurance."""
    (one,) = insured(response)
    return one
