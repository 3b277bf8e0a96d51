"""Which Coverage says that nobody but the patient pays. The checklists' conditions named `self-pay` ask the same in FHIRPath; a test holds them equal."""

from __future__ import annotations

from typing import Any, Final

SELF_PAY: Final = frozenset(
    {
        ("https://nahdo.org/sopt", "81"),  # Source of Payment Typology: self-pay
        ("http://terminology.hl7.org/CodeSystem/coverage-selfpay", "pay"),
    }
)
_IN_ANY_SYSTEM: Final = "SELFPAY"


def self_pay(coverage: dict[str, Any]) -> bool:
    """Coverage.type: self-pay."""
    concept = coverage.get("type")
    codings = concept.get("coding") if isinstance(concept, dict) else None
    given = [one for one in codings if isinstance(one, dict)] if isinstance(codings, list) else []
    return any(one.get("code") == _IN_ANY_SYSTEM or (one.get("system"), one.get("code")) in SELF_PAY for one in given)
