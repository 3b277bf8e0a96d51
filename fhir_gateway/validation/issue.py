"""One fault in a resource, in OperationOutcome's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """severity and code are OperationOutcome.issue.severity and .code (issue-type); expression is a FHIRPath such as `Bundle.entry[2].resource.status`.

    `text` is for a person and never quotes a value that may be about a patient beyond codes, ids and element names.
    """

    severity: Severity
    code: str
    text: str
    expression: str = ""


class InvalidResourceError(Exception):
    """A resource, or the bytes that should be one, break the rules of FHIR R4. Carries every issue found, never just the first."""

    def __init__(self, issues: list[Issue]) -> None:
        super().__init__("; ".join(f"{i.expression}: {i.text}" for i in issues[:5]))
        self.issues = issues
