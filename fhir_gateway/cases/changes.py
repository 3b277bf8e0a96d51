"""What changed in a record that somebody has relied on, in words, and the Communication that tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

SYSTEM: Final = canonical("CodeSystem", "case-notice")
REVIEW: Final = frozenset({"in-review", "interim", "opinion-issued"})
"""Case states in which a record may already have been read for the opinion."""
RETRACTED: Final = frozenset({"entered-in-error", "cancelled", "revoked"})
MOST: Final = 20
LONGEST: Final = 120
_UNTOLD: Final = frozenset({"id", "meta", "text", "extension"})


def changes(before: Json, after: Json) -> list[str]:
    """Every element that differs, as `path: before → after`; what is over MOST is counted. Long values are cut."""
    found = list(_differences(before, after, ""))
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return found[:MOST] + more


def notice(code: str, *, patient: str | None, case: str, record: str, owner: Json | None, words: str, readers: Sequence[str], now: datetime) -> Json:
    """The Communication. code: of CodeSystem case-notice. patient: "Patient/id". case: ServiceRequest id. readers: names of who has read the record."""
    to = [*([owner] if owner else []), *({"display": name} for name in readers)]
    made = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": SYSTEM, "code": code}]}],
        "subject": {"reference": patient} if patient else None,
        "about": [{"reference": f"ServiceRequest/{case}"}, {"reference": record}],
        "sent": now.isoformat(timespec="milliseconds"),
        "recipient": to or None,
        "payload": [{"contentString": words}],
    }
    return {name: value for name, value in made.items() if value is not None}


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            if name not in _UNTOLD:
                yield from _differences(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    else:
        yield f"{path}: {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict) and isinstance(value.get("text") or value.get("display") or value.get("reference"), str):
        value = value.get("text") or value.get("display") or value.get("reference")
    words = str(value)
    return words if len(words) <= LONGEST else words[:LONGEST] + "…"
