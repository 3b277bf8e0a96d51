"""`fhir-gateway checklist`: the required records as a table that any spreadsheet opens."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from fhir_gateway.cases import listfile
from fhir_gateway.cases.choice import BASE
from fhir_gateway.cases.inforce import content_digest, derived_from, is_seed
from fhir_gateway.cases.lint import Remark, lint
from fhir_gateway.cases.listfile import Fault, ListFile
from fhir_gateway.cases.sheet import COLUMNS, unshown
from fhir_gateway.cli import forms
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import note, out, stop
from fhir_gateway.pipeline import Gateway
from fhir_gateway.pipeline.checklists import Lists
from fhir_gateway.validation import decode, encode, validate
from profiles.canonical import canonical

Json = dict[str, Any]
app = typer.Typer(help="The required records of each cancer, as a table and back", no_args_is_help=True)

# Where the server says a fault is: which entry of the Bundle, which item, which element.
_PLACE: Final = re.compile(r"Bundle\.entry\[(\d+)\]\.resource\.?(?:action\.where\(id = '([^']*)'\)\.)?(.*)")
_EXTENSION: Final = re.compile(rf"extension\('{re.escape(canonical('StructureDefinition', ''))}([^']*)'\)")


@app.command("export")
def export(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One list (breast); all of them when left out")] = None,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here instead of on the terminal")] = None,
) -> None:
    """Write the lists in force as CSV. Without a database, the lists this program ships."""
    plans = _in_force().plans
    if name is not None and name not in plans:
        stop(f"There is no list {name}; there are {', '.join(sorted(plans))}", 2)
    chosen = [name] if name else [BASE, *sorted(plans.keys() - {BASE})]
    text = listfile.write({one: plans[one] for one in chosen})
    for one in chosen:
        for item, element in unshown(plans[one]):
            note(f"{one}, {item}: {element} holds more than the table can show; an import keeps it while its cells are left alone")
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8-sig", newline="")  # with a byte order mark: spreadsheets take the file for Latin-1 without one
    except OSError as fault:
        stop(f"{file}: {fault.strerror}", 2)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table as `checklist export` writes it")],
    draft: Annotated[bool, typer.Option("--draft", help="Save without putting the lists in force")] = False,
) -> None:
    """Save the lists of a table as the clinic's own and put them in force, all of them or none. Open cases are judged again by them."""
    text = _text(file)
    with gateway() as opened:
        lists = _read_lists(opened)
        read = listfile.read(text, lists.plans)
        _stop_at(file, read.faults)
        saved = [_prepared(group, plan, lists, draft) for group, plan in sorted(read.plans.items(), key=lambda pair: pair[0] != BASE)]
        changed = [plan for plan, before in saved if not _same(plan, before)]
        _send(opened, file, read, changed, {str(plan["url"]): group for group, plan in read.plans.items()})
    for plan, before in saved:
        said = "unchanged" if _same(plan, before) else "saved as a draft" if draft else "in force"
        out.print(f"{plan['title']}: version {plan['version']} {said} (PlanDefinition/{plan['id']})", markup=False, soft_wrap=True)
    if not saved:
        stop(f"{file} holds no list", 1)


@app.command("lint")
def lint_(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A table or a PlanDefinition; all lists in force when left out")] = None,
    every: Annotated[bool, typer.Option("--all", help="All lists in force, the shipped ones included")] = False,
) -> None:
    """Report what does not compile or is doubtful. Exit 1 when there is anything to report."""
    if file is not None and every:
        stop("Give a file or --all, not both", 2)
    lists = _in_force()
    if file is None:
        remarks, read = _linted(lists.plans, None), None
    elif file.suffix.lower() == ".json":
        plan = _plan(file)
        name = str(plan.get("id") or plan.get("name") or file.stem)
        remarks, read = _linted(_without(lists.plans, plan) | {name: plan}, name), None
    else:
        read = listfile.read(_text(file), lists.plans)
        remarks = [] if read.faults else [one for group in read.plans for one in _linted({**lists.plans, **read.plans}, group)]
    faults = read.faults + [read.fault(one.list, one.item, one.element, one.text) for one in remarks] if read else []
    lines = [f"{file}, {fault}" for fault in sorted(faults, key=lambda f: f.line)] if read else [_said(one) for one in remarks]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    if lines:
        raise typer.Exit(1)
    out.print("Nothing to report")


@app.command("columns")
def columns() -> None:
    """What each column of the table holds."""
    table = Table()
    for title in ("column", "holds"):
        table.add_column(title, overflow="fold", no_wrap=title == "column")
    for name, meaning in COLUMNS.items():
        table.add_row(name, Text(meaning))
    out.print(table)


app.command("questionnaire")(forms.questionnaire)


def _in_force() -> Lists:
    with gateway(anywhere=True) as opened:
        return _read_lists(opened)
    raise AssertionError("unreachable")


def _read_lists(opened: Gateway) -> Lists:
    with opened.store.snapshot(STAFF) as tx:
        return opened.casework.checklists.current(tx)


def _prepared(group: str, plan: Json, lists: Lists, draft: bool) -> tuple[Json, Json | None]:
    """(the resource to save, the one it takes the place of). What the clinic makes of a shipped list gets an id of its own, so that both are there."""
    before = lists.plans.get(group)
    own = before is not None and before.get("status") == "active" and not is_seed(before)
    identity = str(before["id"]) if own and before else f"own-{group}" if before else group
    kept = {name: value for name, value in plan.items() if name not in ("id", "status", "experimental")}
    return {**kept, "id": identity, "status": "draft" if draft else "active"}, before if own else None


def _same(plan: Json, before: Json | None) -> bool:
    return before is not None and content_digest(plan) == content_digest(before) and plan["status"] == before["status"]


def _send(opened: Gateway, file: Path, read: ListFile, plans: list[Json], groups: Mapping[str, str]) -> None:
    """One transaction, by the same way as any other Bundle; its faults as faults of the file."""
    if not plans:
        return
    entries = [{"resource": plan, "request": {"method": "PUT", "url": f"PlanDefinition/{plan['id']}"}} for plan in plans]
    status, answer = opened.receive_bundle(encode({"resourceType": "Bundle", "type": "transaction", "entry": entries}), STAFF, "")
    if status == 200:
        return
    faults = []
    for issue in decode(answer)["issue"]:
        found = _PLACE.match(next(iter(issue.get("expression", ())), ""))
        group = groups[str(plans[int(found[1])]["url"])] if found else next(iter(read.plans))
        element = _EXTENSION.sub(r"extension(\1)", found[3]) if found else ""
        text = str(issue.get("diagnostics", ""))
        faults.append(read.fault(group, (found[2] or "") if found else "", element, text.split(": ", 2)[-1] if found else text))
    _stop_at(file, faults)


def _stop_at(file: Path, faults: list[Fault]) -> None:
    if faults:
        stop("\n".join(f"{file}, {fault}" for fault in sorted(faults, key=lambda fault: fault.line)) + "\nNothing was saved")


def _linted(plans: Mapping[str, Json], only: str | None) -> list[Remark]:
    return lint(plans, lambda plan: plans[BASE] if derived_from(plan) is not None else None, only)


def _without(plans: Mapping[str, Json], plan: Json) -> dict[str, Json]:
    """The lists but the one this plan is to take the place of."""
    return {name: one for name, one in plans.items() if one.get("url") != plan.get("url")}


def _said(one: Remark) -> str:
    return f"{one.list}{f', {one.item}' if one.item else ''}: {one.element}: {one.text}"


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as fault:
        stop(f"{file}: {fault.strerror}", 2)
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        stop(f"{file}, line {line}: is not UTF-8; save the table as CSV UTF-8", 1)


def _plan(file: Path) -> Json:
    try:
        plan = json.loads(_text(file))
    except json.JSONDecodeError as fault:
        stop(f"{file}, line {fault.lineno}: is no JSON: {fault.msg}", 1)
    if not isinstance(plan, dict) or plan.get("resourceType") != "PlanDefinition":
        stop(f"{file} is no PlanDefinition", 1)
    issues = validate(plan)
    if issues:
        stop("\n".join(f"{file}, {issue.expression}: {issue.text}" for issue in issues), 1)
    return plan
