"""Checklists as CSV (RFC 4180), the way a spreadsheet opens and saves it, and back again with every fault at its line and column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from fhir_gateway.cases.model import Json
from fhir_gateway.cases.sheet import COLUMNS, LIST, CellError, Row, action_of, plan_of, rows_of
from profiles.canonical import canonical

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# Beginning of an element's path → the column that says it, the first that fits.
_PLACES: Final = (
    ("extension(item-kind)", "kind"),
    ("extension(pairs-with)", "pairs with"),
    ("extension(satisfied-by-narrative-in)", "narrative in"),
    ("extension(review-days)", "lead time"),
    ("extension(urgent-when)", "urgent when"),
    ("title", "title"),
    ("requiredBehavior", "required"),
    ("selectionBehavior", "parts"),
    ("condition.expression.name", "question id"),
    ("condition.expression.description", "question"),
    ("condition", "condition"),
    ("documentation", "citation"),
    ("input", "ways"),
    ("action", "ways"),
    ("code", "codes"),
    ("useContext", "codes"),
    ("version", "version"),
    ("relatedArtifact", "derives from"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong and where: a line of the file, counted from 1, and the name of a column."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.text}"


@dataclass(slots=True)
class ListFile:
    """A file read: the plans it makes by group, its faults, and where everything is. lines: (group, item or "") → line."""

    plans: dict[str, Json] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, group: str, item: str, element: str, text: str) -> Fault:
        """A fault of a plan as a fault of this file. An item of another list (its base's) is laid to the list's own row."""
        line = self.lines.get((group, item), self.lines.get((group, ""), 1))
        column = next((column for path, column in _PLACES if element.startswith(path)), "id" if item else "group")
        return Fault(line, column, text)


def write(plans: Mapping[str, Json]) -> str:
    """The table of these lists, by name."""
    out = io.StringIO()
    table = csv.DictWriter(out, list(COLUMNS))
    table.writeheader()
    for group, plan in plans.items():
        table.writerows(rows_of(group, plan))
    return out.getvalue()


def read(text: str, held: Mapping[str, Json]) -> ListFile:
    """The lists of a table. held: by name, the lists they change; what a missing column would say, and what no column can, stays as it is there.

    Cells are separated by commas, or by semicolons where the header has them (spreadsheets in many countries).
    """
    made = ListFile()
    before = {group: {row["id"]: row for row in rows_of(group, plan)} for group, plan in held.items()}
    for line, row in _rows(text, made):
        group, item = row.get("group", "").strip(), row.get("id", "").strip()
        if not _ID.fullmatch(group):
            made.faults.append(Fault(line, "group", "names no list; a name is made of letters, digits, - and ."))
            continue
        if (row.get("kind", LIST if not item else "").strip() == LIST) != (not item):
            made.faults.append(Fault(line, "kind", f"only the row of the list itself, which has no id, is of kind {LIST}"))
            continue
        if (group, item) in made.lines:
            made.faults.append(Fault(line, "id", f"{item or 'the list'} of {group} is on line {made.lines[group, item]} already"))
            continue
        made.lines[group, item] = line
        try:
            _take(made, group, item, before.get(group, {}).get(item, dict.fromkeys(COLUMNS, "")) | row, held.get(group))
        except CellError as fault:
            made.faults.append(Fault(line, fault.column, fault.text))
    return made


def _take(made: ListFile, group: str, item: str, row: Row, before: Json | None) -> None:
    if not item:
        # A faulty row still stands for its list, so that its items are not all called homeless.
        made.plans[group] = {"action": []}
        plan = plan_of(row, before or _new(group))
        made.plans[group] = plan | {"action": []}
        return
    if group not in made.plans:
        raise CellError("group", f"no row of kind {LIST} for {group} comes before this one")
    actions = {str(action.get("id")): action for action in (before or {}).get("action") or ()}
    made.plans[group]["action"].append(action_of(row, actions.get(item, {})))


def _new(group: str) -> Json:
    """A list nobody holds yet."""
    name = "".join(part.capitalize() for part in re.split(r"[-.]", group)) + "SecondOpinionRecords"
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/plan-definition-type", "code": "clinical-protocol"}]}
    return {"url": canonical("PlanDefinition", group), "name": name, "type": kind}


def _rows(text: str, made: ListFile) -> Iterator[tuple[int, Row]]:
    """(line, cells) of every row that has any, after the header; what is wrong with the header is a fault of line 1."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        made.faults += _header_faults(names)
        if made.faults:
            return
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) > len(names) and any(cells[len(names) :]):
                    made.faults.append(Fault(line, names[-1], f"the row has {len(cells)} cells, the header {len(names)}; is a comma outside quotes?"))
                yield line, {name: cell.replace("\r\n", "\n") for name, cell in zip(names, cells, strict=False)}
            line = reader.line_num + 1
    except csv.Error as fault:
        made.faults.append(Fault(reader.line_num, "group", f"this is no CSV: {fault}"))


def _header_faults(names: Iterable[str]) -> Iterator[Fault]:
    given = list(names)
    for name in ("group", "id"):
        if name not in given:
            yield Fault(1, name, "is missing; the first line names the columns")
    for name in given:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, 1)
            yield Fault(1, name or "(no name)", f"is no column{f'; is {near[0]} meant?' if near else ''}")
        elif given.count(name) > 1:
            yield Fault(1, name, "is there twice")
