"""A checklist as a table: a first row for the list itself (kind `list`), then one row per required record. COLUMNS says what each column holds.

What the table has no column for stays as the list has it (an action's other elements), or can't be shown (`unshown` names it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_gateway.cases import ways
from fhir_gateway.cases.checklist import EXTENSIONS, extension, extensions
from fhir_gateway.cases.choice import FOCUS
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.inforce import BASE_URL, NAMESPACE, derived_from
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.notation import NotationError, read_lines, write_lines
from fhir_gateway.cases.requirement import KINDS, REQUIRED
from profiles.canonical import canonical

LIST: Final = "list"
Row = dict[str, str]

# Column → what it holds, in the order of the table.
COLUMNS: Final[dict[str, str]] = {
    "group": "name of the list",
    "id": "name of the required record within the list; empty in the row of the list itself",
    "version": "list: version of the list; a changed list needs a new one",
    "title": "what the record is, in words (list: its title)",
    "kind": f"list, or {', '.join(KINDS)}; consent counts for the permission gate, coverage for the money gate, the rest for the records gate",
    "required": f"{', '.join(REQUIRED)} (may be waived with a reason)",
    "codes": "codes of the record, one per line: LOINC#11529-5 Surgical pathology study (list: the diagnoses it is for, ICD10CM#C50)",
    "ways": "how it may be supplied, one way per line, any of which will do: DiagnosticReport; code = codes",
    "parts": "where the ways are grouped in [parts]: any part will do, or all",
    "recency days": "how old it may be on the appointment day",
    "count": "how many of them at least",
    "accept status": "statuses that make it good, per type: DiagnosticReport.status: final, amended",
    "condition": "when it is required, in FHIRPath; empty: always",
    "question id": "name of the question that settles the condition where the records do not",
    "question": "that question in words, as the referrer is asked it",
    "supplied by": "who supplies it",
    "lead time": "business days before the appointment by which it must be there, where it differs from the list's (list: from the clinic's)",
    "pairs with": "id of the report these images belong to",
    "narrative in": "ids of reports whose text may contain this result",
    "pending allowed": "yes: an announced result does not hold the gate",
    "must return": "yes: physical material that goes back",
    "sensitive": "yes: carries a sensitivity label",
    "payer visible": "always, when-asked or never",
    "authorization support": "supporting-information codes of a prior authorisation it serves",
    "citation": "on whose word it is required",
    "strength": "cited or proposed",
    "citation label": "which part of the requirement the citation speaks for",
    "derives from": "list: base (in force), base|version, or empty for a list that stands alone",
    "urgent when": "list: FHIRPath; when true of a case, the urgent lead time is that of every record",
    "urgent lead time": "list: business days",
}
YES: Final = "yes"
_LIST_ONLY: Final = ("version", "derives from", "urgent when", "urgent lead time")
_FLAGS: Final = {"pending allowed": "pending-allowed", "must return": "must-return", "sensitive": "sensitive"}
# Extensions of an action in the order they are written: (extension, column, whether it repeats).
_ITEM_EXTENSIONS: Final = (
    ("item-kind", "kind", False),
    ("pending-allowed", "pending allowed", False),
    ("pairs-with", "pairs with", False),
    ("satisfied-by-narrative-in", "narrative in", True),
    ("payer-visible", "payer visible", False),
    ("authorization-support", "authorization support", True),
    ("must-return", "must return", False),
    ("sensitive", "sensitive", False),
    ("review-days", "lead time", False),
)
_WAYS: Final = ("ways", "codes", "recency days", "count", "accept status")
# Element of an action → the columns that say it. While none of them differs from what is held, the element stays as it is.
_ELEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("id",),
    "extension": tuple(column for _, column, _ in _ITEM_EXTENSIONS),
    "title": ("title",),
    "code": ("codes",),
    "documentation": ("citation", "strength", "citation label"),
    "condition": ("condition", "question id", "question"),
    "input": _WAYS,
    "participant": ("supplied by",),
    "selectionBehavior": ("parts",),
    "requiredBehavior": ("required",),
    "action": _WAYS,
}


class CellError(ValueError):
    """A cell that can't be read: its column, and what is expected."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"{column}: {text}")
        self.column, self.text = column, text


def rows_of(group: str, plan: Json) -> list[Row]:
    """The table of one list: its own row, then one per required record."""
    return [_list_row(group, plan), *(_item_row(group, action) for action in plan.get("action") or ())]


def unshown(plan: Json) -> list[tuple[str, str]]:
    """(item, element) of what the table can't show whole. An import keeps it as long as the cells that show a part of it are left alone."""
    found: list[tuple[str, str]] = []
    for action in plan.get("action") or ():
        row = _item_row("", action)
        for element in action:
            try:
                shown = element in _ELEMENTS and _built(row, element) == action[element]
            except CellError:
                shown = False
            if not shown:
                found.append((str(action.get("id")), element))
    return found


def action_of(row: Mapping[str, str], before: Json) -> Json:
    """The action of a row. before: the one it changes, whose elements stay where their cells do; {} for a new one. Raises CellError."""
    held = _item_row("", before) if before else {}
    made: Json = {}
    for element, columns in _ELEMENTS.items():
        same = element in before and all(row.get(column, "") == held.get(column, "") for column in columns)
        value = before[element] if same else _built(row, element, before)
        if value:
            made[element] = value
    return made | {name: value for name, value in before.items() if name not in _ELEMENTS}


def plan_of(row: Mapping[str, str], before: Json) -> Json:
    """A plan without its actions from the row of the list. before: the plan it changes. Raises CellError."""
    kept = {name: value for name, value in before.items() if name not in ("meta", "text", "useContext", "relatedArtifact", "extension", "action")}
    kept |= {"resourceType": "PlanDefinition", "version": _needed(row, "version"), "title": _needed(row, "title")}
    others = [one for one in before.get("useContext") or () if not _is_focus(one)]
    focus = {"code": {"system": FOCUS[0], "code": FOCUS[1]}}
    contexts = [*others, *({**focus, "valueCodeableConcept": {"coding": [coding]}} for coding in _cell(row, "codes", read_lines))]
    related = [one for one in before.get("relatedArtifact") or () if one.get("type") != "derived-from"]
    if row.get("derives from"):
        name, bar, version = row["derives from"].partition("|")
        related.insert(0, {"type": "derived-from", "resource": f"{name if ':' in name else canonical('PlanDefinition', name)}{bar}{version}"})
    made = _plan_extensions(row, before)
    return kept | {name: value for name, value in (("extension", made), ("useContext", contexts), ("relatedArtifact", related)) if value}


def _is_focus(context: Json) -> bool:
    return FOCUS in set(codings(context.get("code")))


def _list_row(group: str, plan: Json) -> Row:
    foci = [coding for context in walk(plan, "useContext") if _is_focus(context) for coding in walk(context, "valueCodeableConcept.coding")]
    base = derived_from(plan) or ""
    urgent = extension(plan, "urgent-when") or {}
    return _full(
        {
            "group": group,
            "version": plan.get("version"),
            "title": plan.get("title"),
            "kind": LIST,
            "codes": write_lines(foci),
            "lead time": extension(plan, "review-days"),
            "derives from": base.removeprefix(NAMESPACE) if base.startswith(BASE_URL) else base,
            "urgent when": urgent.get("expression"),
            "urgent lead time": extension(plan, "urgent-review-days"),
        }
    )


def _item_row(group: str, action: Json) -> Row:
    codes = [coding for concept in action.get("code") or () for coding in concept.get("coding") or ()]
    common = ways.shared(codes, [*(action.get("input") or ()), *walk(action, "action.input")])
    condition: Json = next((c["expression"] for c in action.get("condition") or () if "expression" in c), {})
    cited: Json = next(iter(action.get("documentation") or ()), {})
    row = {
        "group": group,
        "id": action.get("id"),
        "title": action.get("title"),
        "required": action.get("requiredBehavior"),
        "codes": write_lines(codes),
        "ways": ways.write_ways(action, common),
        "parts": action.get("selectionBehavior"),
        "recency days": common.recency,
        "count": common.count,
        "accept status": "\n".join(f"{name}: {', '.join(found)}" for name, found in common.statuses.items()),
        "condition": condition.get("expression"),
        "question id": condition.get("name"),
        "question": condition.get("description"),
        "supplied by": ", ".join(_written_participant(p) for p in action.get("participant") or ()),
        "citation": cited.get("citation"),
        "strength": extension(cited, "source-strength"),
        "citation label": cited.get("label"),
    }
    for name, column, _ in _ITEM_EXTENSIONS:
        values = [YES if value is True else "no" if value is False else str(value) for value in extensions(action, name)]
        row[column] = ", ".join(values)
    return _full(row)


def _full(row: Mapping[str, Any]) -> Row:
    return {column: "" if row.get(column) is None else str(row[column]) for column in COLUMNS}


def _built(row: Mapping[str, str], element: str, before: Json | None = None) -> Any:
    """One element of an action from its cells; something empty where they are. Raises CellError."""
    match element:
        case "extension":
            return _extensions(row, before or {})
        case "code":
            return [{"coding": [coding]} for coding in _cell(row, "codes", read_lines)]
        case "documentation":
            return [_documentation(row)] if row.get("citation") else []
        case "condition":
            return [_condition(row)] if any(row.get(column) for column in _ELEMENTS["condition"]) else []
        case "input" | "action":
            return _supply(row).get(element)
        case "participant":
            return [_participant(who) for who in _words(row, "supplied by", ",")]
        case "selectionBehavior":
            return _one_of(row, "parts", ("any", "all")) if row.get("parts") else ""
        case "requiredBehavior":
            return _one_of(row, "required", REQUIRED)
        case _:
            return _needed(row, element)


def _supply(row: Mapping[str, str]) -> Json:
    codes, statuses = _cell(row, "codes", read_lines), _cell(row, "accept status", _read_statuses)
    common = ways.Shared(tuple(codes), _number(row, "recency days"), _number(row, "count"), statuses)
    supply: Json = _cell(row, "ways", lambda text: ways.read_ways(text, common))
    return supply


def _extensions(row: Mapping[str, str], before: Json) -> list[Json]:
    made: list[Json] = []
    for name, column, repeats in _ITEM_EXTENSIONS:
        words = _words(row, column, ",") if repeats else [row[column].strip()] if row.get(column, "").strip() else []
        made += [{"url": canonical("StructureDefinition", name), EXTENSIONS[name]: _value(row, column, name, word)} for word in words]
    ours = {canonical("StructureDefinition", name) for name, _, _ in _ITEM_EXTENSIONS}
    if not row.get("kind"):
        raise CellError("kind", f"is one of {', '.join(KINDS)}")
    return [*made, *(one for one in before.get("extension") or () if one.get("url") not in ours)]


def _value(row: Mapping[str, str], column: str, name: str, word: str) -> Any:
    if column in _FLAGS:
        return _one_of(row, column, (YES, "no")) == YES
    if EXTENSIONS[name] == "valueInteger":
        return _number(row, column)
    return _one_of(row, column, KINDS) if column == "kind" else word


def _plan_extensions(row: Mapping[str, str], before: Json) -> list[Json]:
    given = {
        "review-days": _number(row, "lead time"),
        "urgent-when": {"language": "text/fhirpath", "expression": row["urgent when"]} if row.get("urgent when") else None,
        "urgent-review-days": _number(row, "urgent lead time"),
    }
    made = [{"url": canonical("StructureDefinition", name), EXTENSIONS[name]: value} for name, value in given.items() if value is not None]
    ours = {canonical("StructureDefinition", name) for name in given}
    return [*made, *(one for one in before.get("extension") or () if one.get("url") not in ours)]


def _condition(row: Mapping[str, str]) -> Json:
    for column in ("condition", "question id", "question"):
        if not row.get(column):
            raise CellError(column, "a condition needs its FHIRPath, the id of the question that settles it, and the question in words")
    expression = {"description": row["question"], "name": row["question id"], "language": "text/fhirpath", "expression": row["condition"]}
    return {"kind": "applicability", "expression": expression}


def _documentation(row: Mapping[str, str]) -> Json:
    url, label = canonical("StructureDefinition", "source-strength"), row.get("citation label")
    strength = _one_of(row, "strength", ("cited", "proposed")) if row.get("strength") else ""
    made: Json = {"extension": [{"url": url, "valueCode": strength}]} if strength else {}
    return made | {"type": "citation", **({"label": label} if label else {}), "citation": row["citation"]}


def _participant(who: str) -> Json:
    return {"type": "patient" if who == "patient" else "practitioner", "role": {"text": who}}


def _written_participant(participant: Json) -> str:
    return str((participant.get("role") or {}).get("text") or participant.get("type", ""))


def _read_statuses(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, codes = line.partition(":")
        if not colon or name.rpartition(".")[2] not in ways.STATUS_PATHS:
            raise NotationError(f"{line!r} is not understood; write DiagnosticReport.status: final, amended")
        found[name.strip()] = tuple(filter(None, map(str.strip, codes.split(","))))
    return found


def _cell(row: Mapping[str, str], column: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(row.get(column, ""))
    except NotationError as fault:
        raise CellError(column, str(fault)) from None


def _needed(row: Mapping[str, str], column: str) -> str:
    if not row.get(column, "").strip():
        raise CellError(column, "is empty")
    return row[column].strip()


def _number(row: Mapping[str, str], column: str) -> int | None:
    text = row.get(column, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise CellError(column, f"{text!r} is no whole number")
    return int(text) if text else None


def _one_of(row: Mapping[str, str], column: str, allowed: tuple[str, ...]) -> str:
    text = row.get(column, "").strip()
    if text not in allowed:
        raise CellError(column, f"{text!r} is none of {', '.join(allowed)}" if text else f"is empty; it is one of {', '.join(allowed)}")
    return text


def _words(row: Mapping[str, str], column: str, between: str) -> list[str]:
    return [word for word in map(str.strip, row.get(column, "").split(between)) if word]
