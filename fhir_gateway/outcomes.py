"""Findings of a mapper, said in OperationOutcome's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fhir_gateway.validation import Issue
from mappers.result import Finding

# HL7 table 0357 (message error condition codes) → FHIR issue-type; MAPPING.md 5.2.
ISSUE_TYPES: Final = {
    "0": "informational",
    "100": "structure",
    "101": "required",
    "102": "value",
    "103": "code-invalid",
    "104": "too-long",
    "200": "not-supported",
    "201": "not-supported",
    "202": "not-supported",
    "203": "not-supported",
    "204": "not-found",
    "205": "duplicate",
    "206": "lock-error",
    "207": "exception",
}


def issues_of(findings: Sequence[Finding]) -> list[Issue]:
    """Each finding as an issue; its place in the message (`PID[1]-7.1`) stands as the expression."""
    return [Issue(f.severity, ISSUE_TYPES.get(f.code, "processing"), f.text, str(f.where) if f.where else "") for f in findings]
