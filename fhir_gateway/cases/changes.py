"""What changed in a record that somebody has relied on, in words, and the Communication that tells it. Pure.

A report is what its results say: what changed in those is told with the report, each under its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.evidence import text, walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

SYSTEM: Final = canonical("CodeSystem", "case-notice")
MOST: Final = 20
LONGEST: Final = 120

# Elements that say how far along a record is, and what in them takes it back (DOMAIN 3.4; TXA-19, OBX-11 D and W, OBR-25 X).
_TAKEN_BACK: Final[dict[str, frozenset[str]]] = {
    "status": frozenset({"entered-in-error", "cancelled", "revoked"}),
    "docStatus": frozenset({"entered-in-error"}),
    "verificationStatus": frozenset({"entered-in-error"}),
}
# A narrative and the server's own elements say nothing the rest does not; extensions keep what FHIR has no element for.
_UNTOLD: Final = frozenset({"id", "meta", "text", "contained"})
# What the gateway itself writes into a case's own resources: the referral's status follows the case, the links of its patient follow a merge.
_OURS: Final = {"ServiceRequest": frozenset({"status"}), "Patient": frozenset({"link", "active"})}
_LEAVES: Final = ("coding", "value", "reference", "start", "end", "family", "data", "url", "title")
"""A value with one of these is told as a whole: a code, quantity, identifier, reference, period, name or attachment."""


def changes(before: Json, after: Json) -> list[str]:
    """Every element that differs, as `path: before → after`; what is over MOST is counted. Long values are cut."""
    untold = _UNTOLD | _OURS.get(str(after.get("resourceType")), frozenset())
    names = [name for name in dict.fromkeys((*before, *after)) if name not in untold]
    found = [line for name in names for line in _differences(before.get(name), after.get(name), name)]
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return found[:MOST] + more


def parts(*versions: Json) -> list[str]:
    """References of what a record says through other resources: the results of a report."""
    return list(dict.fromkeys(str(name) for version in versions for name in walk(version, "result.reference")))


def carriers(record: Json) -> list[str]:
    """References under which the content of a record can be read without reading the record itself: its results, its attachments (Binary)."""
    urls = [str(url) for path in ("content.attachment.url", "presentedForm.url") for url in walk(record, path)]
    return [*parts(record), *(url for url in dict.fromkeys(urls) if url.startswith("Binary/"))]


def taken_back(record: Json) -> bool:
    """Does a record say of itself that it no longer stands? A referral that is withdrawn is a step of the case, and told as such."""
    return record.get("resourceType") not in _OURS and any(text(record, element) in codes for element, codes in _TAKEN_BACK.items())


def titled(record: Json) -> str:
    """What a record calls itself, for a sentence: the text, display or code of its code or type; else its type of resource."""
    concepts = [concept for element in ("code", "type") for concept in walk(record, element) if isinstance(concept, dict)]
    return next((name for concept in concepts if (name := _concept(concept))), str(record.get("resourceType", "")))


def told_of_part(before: Json | None, after: Json | None) -> list[str]:
    """What changed in a result of a report, under the result's own name. before None: it is new; after None: it was deleted."""
    if before is None or after is None:
        return [f"{titled(after or before or {})}: {'new' if before is None else 'deleted'}"]
    return [f"{titled(after)}: {line}" for line in changes(before, after)]


def readers_told(readers: Mapping[str, Sequence[datetime]]) -> str:
    """Who has read it and when, in a sentence. readers: name → times, oldest first; the name is a principal's, no patient's."""
    if not readers:
        return "Nobody has read it here."
    shown = [
        f"{name} on {_time(times[0])}" + (f" ({len(times)} times, last on {_time(times[-1])})" if len(times) > 1 else "")
        for name, times in sorted(readers.items())
    ]
    return f"Read by {'; '.join(shown)}."


def notice(
    code: str,
    *,
    patient: str | None,
    case: str,
    records: Sequence[str],
    owner: Json | None,
    words: str,
    readers: Iterable[str],
    now: datetime,
) -> Json:
    """The Communication. code: of CodeSystem case-notice. patient: "Patient/id". case: ServiceRequest id. records: what it is about, the record first.
    readers: names of who is to know besides the case's owner.
    """
    to = [*([owner] if owner else []), *({"display": name} for name in readers)]
    made = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": SYSTEM, "code": code}]}],
        "subject": {"reference": patient} if patient else None,
        "about": [{"reference": f"ServiceRequest/{case}"}, *({"reference": record} for record in records)],
        "sent": now.isoformat(timespec="milliseconds"),
        "recipient": to or None,
        "payload": [{"contentString": words}],
    }
    return {name: value for name, value in made.items() if value is not None}


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if before == after or path.rpartition(".")[2] == "extension":
        return
    if isinstance(before, dict) and isinstance(after, dict) and not (_leaf(before) and _leaf(after)):
        for name in dict.fromkeys((*before, *after)):
            if name != "id":
                yield from _differences(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]" if len(before) > 1 else path)
    else:
        one, other = _shown(before), _shown(after)
        yield f"{path}: {one} → {other}" if one != other else f"{path}: {one}, in other detail"


def _leaf(value: Json) -> bool:
    return any(name in value for name in _LEAVES) or (set(value) <= {"text", "display"})


def _shown(value: Any) -> str:
    """A value as a person reads it: the words of a code, a number with its unit; long ones are cut."""
    if value is None:
        return "nothing"
    words = "; ".join(map(_shown, value)) if isinstance(value, list) else _words(value) if isinstance(value, dict) else str(value)
    return words if len(words) <= LONGEST else words[:LONGEST] + "…"


def _words(value: Json) -> str:
    if "coding" in value or "text" in value:
        return _concept(value)
    if "value" in value:  # Quantity, Identifier
        return " ".join(str(value[name]) for name in ("comparator", "value", "unit") if name in value)
    if "start" in value or "end" in value:
        return f"{value.get('start', '')}–{value.get('end', '')}"
    named = next((str(value[name]) for name in ("display", "title", "reference", "code", "url") if isinstance(value.get(name), str)), "")
    return named or ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items() if name not in ("id", "extension", "data"))


def _concept(concept: Json) -> str:
    """The words of a CodeableConcept: its text, else the first display, else the first code."""
    wanted = (concept.get("text"), *walk(concept, "coding.display"), *walk(concept, "coding.code"))
    return next((name for name in wanted if isinstance(name, str) and name), "")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
