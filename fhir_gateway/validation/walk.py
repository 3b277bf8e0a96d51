"""Where a walk through a resource is, and what it has found. A place is written out as FHIRPath only when there is something to say about it."""

from __future__ import annotations

from fhir_gateway.validation.issue import Issue

At = str | tuple["At", str | int]
"""A FHIRPath as text, or a place inside one: (place, element name or index)."""


def place(at: At) -> str:
    """The FHIRPath: `Bundle.entry[2].resource.status`."""
    parts: list[str] = []
    while isinstance(at, tuple):
        at, step = at
        parts.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return at + "".join(reversed(parts))


class Walk:
    """issues: every fault so far. fragments: references such as `#doctor` in the resource walked, its contained ones included."""

    __slots__ = ("fragments", "issues")

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = issues
        self.fragments: list[str] = []

    def error(self, code: str, text: str, at: At) -> None:
        """Note a fault. code: from issue-type."""
        self.issues.append(Issue("error", code, text, place(at)))
