"""Periods that end before they begin. FHIR R4 forbids them (datatypes.html#Period, per-1); nobody can say which end is wrong, so both are kept as text.

One bad field must not cost the message: the rest of the resource stands without the period.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mappers.result import Draft, Finding, Json, Location
from mappers.v2.context import Context, kept

TEXT = "it ends before it begins: both dates are kept as text"


def mend(ctx: Context) -> None:
    """Take such periods out of the drafts, keep their ends in extensions, and say where they came from."""
    for draft in ctx.drafts:
        if draft.resource["resourceType"] == "Observation":
            continue  # its times are of one field each, and a message may hold thousands
        for holder, name, path in list(_reversed(draft.resource, draft.resource["resourceType"])):
            period = holder.pop(name)
            draft.resource.setdefault("extension", []).extend(kept(f"{path}.{end}", period[end]) for end in ("start", "end"))
            ctx.findings.append(Finding("warning", "102", f"{path}: {TEXT}", _where(ctx, draft, f"{path}.end")))
            if draft.resource["resourceType"] == "Consent" and draft.resource.get("provision", {}).get("type") != "deny":
                draft.resource["status"] = "proposed"  # a permission nobody knows the time of is for a person to look at


def _reversed(value: Json, path: str) -> Iterator[tuple[Json, str, str]]:
    """(what holds it, its name there, its path) of every such period."""
    for name, part in value.items():
        if isinstance(part, dict):
            if "start" in part and _before(part.get("end"), part["start"]):
                yield value, name, f"{path}.{name}"
            else:
                yield from _reversed(part, f"{path}.{name}")
        elif isinstance(part, list):
            for one in part:
                if isinstance(one, dict):
                    yield from _reversed(one, f"{path}.{name}")


def _before(end: Any, start: Any) -> bool:
    """On the precision both have; times by their zones."""
    if not isinstance(end, str) or not isinstance(start, str):
        return False
    if "T" in end and "T" in start:
        try:
            return datetime.fromisoformat(end) < datetime.fromisoformat(start)
        except (ValueError, TypeError):
            return False
    shared = min(len(end), len(start), 10)
    return end[:shared] < start[:shared]


def _where(ctx: Context, draft: Draft, element: str) -> Location | None:
    """The field that told this end: of several resources of the type the one in the same place of the message."""
    told = [(row[0], sequence, row[1]) for sequence, rows in ctx.ledger for row in rows if row[6] == element]
    alike = [one for one in ctx.drafts if one.resource["resourceType"] == draft.resource["resourceType"]]
    place = next(n for n, one in enumerate(alike) if one is draft)
    return Location(*told[min(place, len(told) - 1)]) if told else None
