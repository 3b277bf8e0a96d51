"""The ways to supply a record as lines of text, one DataRequirement per line:

    DiagnosticReport; code = codes; category = LOINC#LP7839-6, hl7:v2-0074#SP
    DocumentReference; type = codes, LOINC#33721-2 Bone marrow Pathology biopsy report; within 90 days
    [scan] Bone scan                         a part of the item; the lines after it are the ways to supply this part

`codes` stands for the item's own codes. What the table has a column for (recency, count, statuses) is said on a line only where it differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_gateway.cases.checklist import EXTENSIONS
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.notation import NotationError, read_coding, write_coding
from profiles.canonical import canonical

CODES: Final = "codes"
STATUS_PATHS: Final = ("status", "docStatus")
ANY_AGE: Final = "of any age"
# FHIR R4: the element that says when a resource of the type is from, for dateFilter.path.
DATE_PATHS: Final[dict[str, str]] = {
    "AllergyIntolerance": "recordedDate",
    "CarePlan": "created",
    "ClaimResponse": "created",
    "Condition": "recordedDate",
    "Consent": "dateTime",
    "CoverageEligibilityResponse": "created",
    "DiagnosticReport": "effective",
    "DocumentReference": "date",
    "ImagingStudy": "started",
    "List": "date",
    "Media": "created",
    "MedicationRequest": "authoredOn",
    "MedicationStatement": "dateAsserted",
    "Observation": "effective",
    "Procedure": "performed",
    "QuestionnaireResponse": "authored",
    "ServiceRequest": "authoredOn",
    "Specimen": "collection.collected",
}
# Words at the beginning of a clause → our extension of the input whose value follows them.
EXPRESSIONS: Final[dict[str, str]] = {"counts when": "counts-when", "complete when": "complete-when", "only when": "only-when"}
FLAGS: Final[dict[str, str]] = {"a person confirms": "confirm-by-person", "until month end": "valid-to-month-end"}
_WITHIN: Final = re.compile(r"within (\d+) days")
_BACK: Final = re.compile(r"reaching back (\d+) days")
_LEAST: Final = re.compile(r"at least (\d+)")
_PART: Final = re.compile(r"\[([A-Za-z0-9\-.]{1,64})\]\s*(.*)")
_TYPE: Final = re.compile(r"[A-Z][A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the table's columns say of all ways. recency: days; count: how many at least; statuses: `Type.path` → codes."""

    codes: tuple[Json, ...] = ()
    recency: int | None = None
    count: int | None = None
    statuses: dict[str, tuple[str, ...]] = field(default_factory=dict)


def shared(codes: Sequence[Json], inputs: Sequence[Json]) -> Shared:
    """What all the ways of an item have in common."""
    recencies, counts = {_recency(way) for way in inputs}, {way.get("limit") for way in inputs}
    statuses: dict[str, set[tuple[str, ...] | None]] = {}
    for way in inputs:
        for path in STATUS_PATHS:
            statuses.setdefault(f"{way['type']}.{path}", set()).add(_status(way, path))
    alike = {name: next(iter(found)) for name, found in statuses.items() if len(found) == 1}
    return Shared(
        tuple(codes),
        recencies.pop() if len(recencies) == 1 else None,
        counts.pop() if len(counts) == 1 else None,
        {name: found for name, found in alike.items() if found is not None},
    )


def write_ways(action: Json, common: Shared) -> str:
    """The lines of an action."""
    lines = [_write_way(way, common) for way in action.get("input") or ()]
    for part in action.get("action") or ():
        lines.append(f"[{part.get('id', 'part')}] {part.get('title', '')}".rstrip())
        lines += [_write_way(way, common) for way in part.get("input") or ()]
    return "\n".join(lines)


def read_ways(text: str, common: Shared) -> Json:
    """`{"input": […]}` or `{"action": [parts]}`, or {} for an empty text. Raises NotationError."""
    inputs: list[Json] = []
    parts: list[Json] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        part = _PART.fullmatch(line)
        if part:
            parts.append({"id": part[1], **({"title": part[2]} if part[2] else {}), "input": []})
        else:
            (parts[-1]["input"] if parts else inputs).append(_read_way(line, common))
    if parts and inputs:
        raise NotationError("an item has parts or ways of its own, not both: put every line under a [part]")
    return {"action": parts} if parts else {"input": inputs} if inputs else {}


def _write_way(way: Json, common: Shared) -> str:
    clauses = [way["type"]]
    for one in way.get("codeFilter") or ():
        path, codings = one["path"], one.get("code") or []
        if path in STATUS_PATHS:
            if common.statuses.get(f"{way['type']}.{path}") != _status(way, path):
                clauses.append(f"{path} = {', '.join(_status(way, path) or ())}")
            continue
        own = list(common.codes)
        begins = bool(own) and path != "category" and codings[: len(own)] == own
        written = [CODES] if begins else []
        clauses.append(f"{path} = {', '.join(written + [write_coding(c) for c in codings[len(own) if begins else 0 :]])}")
    clauses += [f"any {path}" for path in STATUS_PATHS if f"{way['type']}.{path}" in common.statuses and _status(way, path) is None]
    recency = _recency(way)
    if recency != common.recency:
        clauses.append(ANY_AGE if recency is None else f"within {recency} days")
    if way.get("limit") != common.count:
        clauses.append(f"at least {way.get('limit', 1)}")
    clauses += _write_extensions(way)
    return "; ".join(clauses)


def _write_extensions(way: Json) -> list[str]:
    held = {str(e["url"]).rpartition(":")[2]: e for e in way.get("extension") or ()}
    clauses = [f"reaching back {held['lookback']['valueDuration']['value']} days"] if "lookback" in held else []
    clauses += [words for words, name in FLAGS.items() if name in held and held[name].get("valueBoolean")]
    return clauses + [f"{words} {held[name]['valueExpression']['expression']}" for words, name in EXPRESSIONS.items() if name in held]


def _read_way(line: str, common: Shared) -> Json:
    type, *clauses = [clause.strip() for clause in line.split(";")]
    if not _TYPE.fullmatch(type):
        raise NotationError(f"{type!r} is no resource type; a line begins with one (DiagnosticReport; code = codes)")
    made = _Way(type, common)
    for clause in clauses:
        made.take(clause)
    return made.input()


class _Way:
    """One line being read."""

    def __init__(self, type: str, common: Shared) -> None:
        self.type, self.common = type, common
        self.filters: dict[str, list[Json]] = {}
        self.recency, self.count = common.recency, common.count
        self.extensions: list[Json] = []
        self.open: set[str] = set()

    def take(self, clause: str) -> None:
        """Read one clause. Raises NotationError."""
        numbers: tuple[tuple[re.Pattern[str], Callable[[int], None]], ...] = ((_WITHIN, self._within), (_BACK, self._back), (_LEAST, self._least))
        for pattern, set_ in numbers:
            found = pattern.fullmatch(clause)
            if found:
                set_(int(found[1]))
                return
        words = next((words for words in EXPRESSIONS if clause.startswith(f"{words} ")), None)
        if words:
            self._extend(EXPRESSIONS[words], {"language": "text/fhirpath", "expression": clause.removeprefix(words).strip()})
        elif clause in FLAGS:
            self._extend(FLAGS[clause], True)
        elif clause == ANY_AGE:
            self.recency = None
        elif clause.removeprefix("any ") in STATUS_PATHS:
            self.open.add(clause.removeprefix("any "))
        else:
            path, equals, codes = clause.partition(" = ")
            if not equals or not codes.strip():
                raise NotationError(f"{clause!r} is not understood; write for instance code = LOINC#11529-5, within 30 days, at least 3")
            self.filters[path.strip()] = self._codes(codes)

    def input(self) -> Json:
        """The DataRequirement."""
        filters = dict(self.filters)
        for path in STATUS_PATHS:
            common = self.common.statuses.get(f"{self.type}.{path}")
            if common and path not in filters and path not in self.open:
                filters[path] = [{"code": code} for code in common]
        ordered = sorted(filters, key=lambda path: (path != "category" and path not in STATUS_PATHS, path == "category"), reverse=True)
        made: Json = {"extension": self.extensions} if self.extensions else {}
        made |= {"type": self.type}
        made |= {"codeFilter": [{"path": path, "code": filters[path]} for path in ordered]} if ordered else {}
        if self.recency is not None:
            if self.type not in DATE_PATHS:
                raise NotationError(f"a {self.type} has no date its age could be told by; write `{ANY_AGE}` on its line")
            made["dateFilter"] = [{"path": DATE_PATHS[self.type], "valueDuration": _days(self.recency)}]
        return made | ({"limit": self.count} if self.count is not None else {})

    def _codes(self, text: str) -> list[Json]:
        codes: list[Json] = []
        for one in filter(None, map(str.strip, text.split(","))):
            if one == CODES and not self.common.codes:
                raise NotationError("`codes` stands for the item's own codes, of which it has none")
            codes += list(self.common.codes) if one == CODES else [read_coding(one)]
        return codes

    def _within(self, days: int) -> None:
        self.recency = days

    def _least(self, count: int) -> None:
        self.count = count

    def _back(self, days: int) -> None:
        self._extend("lookback", _days(days))

    def _extend(self, name: str, value: Any) -> None:
        self.extensions.append({"url": canonical("StructureDefinition", name), EXTENSIONS[name]: value})


def _days(days: int) -> Json:
    return {"value": days, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}


def _recency(way: Json) -> int | None:
    return next((one["valueDuration"]["value"] for one in way.get("dateFilter") or ()), None)


def _status(way: Json, path: str) -> tuple[str, ...] | None:
    return next((tuple(str(c.get("code", "")) for c in one.get("code") or ()) for one in way.get("codeFilter") or () if one["path"] == path), None)
