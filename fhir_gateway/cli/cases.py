"""`fhir-gateway case`: what every case still lacks, as a table or as JSON."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.pipeline.casefile import CLOSED
from fhir_gateway.settings import Settings
from fhir_gateway.validation import encode
from fhir_gateway.wording import moment_of

app = typer.Typer(help="Second-opinion cases and what they still lack", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="CASE", help="ServiceRequest id, Task id, or the referral's identifier")]
COLOURS = {
    "accepted": "green",
    "waived": "green",
    "not-applicable": "dim",
    "received": "yellow",
    "expiring": "yellow",
    "requested": "cyan",
    "expected": "cyan",
}
MONEY_TOPICS = ("eligibility", "network", "authorisation", "share", "mandated")
GATES = {"satisfied": "green", "not-satisfied": "red", "indeterminate": "yellow"}


@app.command("list")
def list_cases(
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
) -> None:
    """Open cases, most urgent first."""
    with gateway() as opened:
        rows = opened.cases(STAFF, limit)
    if json:
        write(encode(rows))
        return
    table = Table()
    table.add_column("case", no_wrap=True)
    for column in ("referral", "state", "second opinion", "checklist", "open", "due", "appointment", "records", "permission", "money"):
        table.add_column(column, overflow="fold")
    for row in rows:
        gates = [_gate(row["gates"].get(name, {}).get("state", "")) for name in ("records", "permission", "money")]
        confirmed = "confirmed" if row["confirmed"] else "[yellow]unconfirmed[/]"
        cells = [row[key] or "" for key in ("id", "referral", "state")]
        dates = [str(row[key] or "") for key in ("openItems", "due", "appointment")]
        table.add_row(*map(str, cells), confirmed, row["tumourGroup"], *dates, *gates)
    out.print(table)


@app.command("show")
def show(
    case: Annotated[str, typer.Argument(metavar="CASE", help="ServiceRequest id, Task id, or the referral's identifier")],
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="What the answer would have been then")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """One case: its gates and every required record."""
    moment = moment_of(as_of, Settings().zone, "--as-of") if as_of else None
    with gateway() as opened:
        flat = opened.case(STAFF, case, moment)
    if json:
        write(encode(flat))
        return
    print_case(flat)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An HL7 v2 message, or a FHIR Bundle (.json)")],
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """What would still be missing if this were sent? Stores nothing. Exit 1 when it would be refused."""
    try:
        raw = file.read_bytes()
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)
    with gateway(anywhere=True) as opened:
        if raw.lstrip()[:1] == b"{":
            answer = opened.dry_run.bundle(raw, STAFF, "")
            flat = flattened(answer)
        else:
            answer = flat = opened.dry_run.message(raw, STAFF)
    if json:
        write(encode(answer))
        return
    print_case(flat)


@app.command("move")
def move(
    case: Named,
    event: Annotated[str, typer.Argument(help="accept, collect, decline, start-review, issue-opinion, … (docs/case-states.md)")],
    why: Annotated[str, typer.Option("--why", help="The reason, kept on the Task")] = "",
) -> None:
    """Move a case. An illegal move is refused with the legal ones named."""
    with gateway() as opened:
        print_case(opened.actions.move(STAFF, case, event, why))


@app.command("confirm")
def confirm(case: Named) -> None:
    """Settle that an unconfirmed case asks for a second opinion."""
    with gateway() as opened:
        print_case(opened.actions.confirm(STAFF, case))


@app.command("request")
def request(
    case: Named,
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM...]", help="Required records by id; none: every one that is lacking")] = None,
    due: Annotated[datetime | None, typer.Option("--due", formats=["%Y-%m-%d"], help="Due date instead of the case's own")] = None,
) -> None:
    """Ask the referrer for records: one Task each. What was asked for already is not asked again."""
    with gateway() as opened:
        print_case(opened.actions.request(STAFF, case, items or [], due.date() if due else None))


@app.command("waive")
def waive(
    case: Named,
    item: Annotated[str, typer.Argument(help="The required record's id")],
    why: Annotated[str, typer.Option("--why", help="The reason")],
    until: Annotated[datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day the waiver holds")] = None,
) -> None:
    """Do without one record."""
    with gateway() as opened:
        print_case(opened.actions.waive(STAFF, case, item, why, until.date() if until else None))


@app.command("judge")
def judge(
    case: Named,
    record: Annotated[str, typer.Argument(help="The record, as Type/id")],
    verdict: Annotated[str, typer.Argument(help="confirmed, or why it will not do: wrong-patient, unreadable, insufficient, …")],
    item: Annotated[str, typer.Option("--item", help="Only for this required record")] = "",
    why: Annotated[str, typer.Option("--why", help="A sentence kept with it")] = "",
) -> None:
    """Say of a record that it is confirmed, or why it will not do."""
    with gateway() as opened:
        print_case(opened.actions.judge(STAFF, case, record, verdict, item, why))


@app.command("letter")
def letter(
    case: Named,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of to stdout")] = None,
) -> None:
    """The printable letter (HTML) that asks the patient and the first physician for what is missing."""
    with gateway() as opened:
        page = opened.letter(STAFF, case)
    if file is None:
        write(page)
    else:
        file.write_text(page, encoding="utf-8")


@app.command("letters")
def letters(
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
) -> None:
    """Letters to be printed: requests to referrers who can't be told by a machine, the most urgent first."""
    with gateway() as opened:
        lines = opened.letters(STAFF, limit)
    if json:
        write(encode(lines))
        return
    table = Table()
    for column in ("case", "wanted by", "asked for"):
        table.add_column(column, overflow="fold", no_wrap=column == "wanted by")
    for line in lines:
        table.add_row(line["case"].removeprefix("ServiceRequest/"), line["wantedBy"] or "", ", ".join(line["asked"]))
    out.print(table)


def flattened(guidance: dict[str, Any]) -> dict[str, Any]:
    """A GuidanceResponse laid out flat for the table."""
    parameters = guidance["contained"][0]["parameter"]
    flat: dict[str, Any] = {"case": {}, "gates": {}, "items": []}
    for entry in parameters:
        parts: dict[str, Any] = {}
        for part in entry.get("part", ()):
            value = next((value for key, value in part.items() if key.startswith("value")), None)
            if part["name"] in ("suppliedBy", "disclaimer", "problem", "information"):
                parts.setdefault(part["name"], []).append(value)
            else:
                parts[part["name"]] = value
        if entry["name"] == "case":
            flat["case"] = parts
        elif entry["name"] == "gate":
            flat["gates"][parts["name"]] = parts
        elif entry["name"] == "item":
            flat["items"].append(parts)
        elif entry["name"] == "money":
            flat["money"] = parts
    return flat


def print_case(flat: dict[str, Any]) -> None:
    """The flat answer as a person reads it."""
    head = flat["case"]
    dates = "   ".join(f"{name} {head[name]}" for name in ("due", "appointment", "decideBy") if head.get(name))
    out.print(f"[bold]Case {head['id']}[/]   state [bold]{head['state']}[/]   as of {head['asOf']}   {dates}")
    if head.get("route"):
        out.print(f"  {'goes to':11} {head['route']['serviceLine']}: {destination(head['route'])}", markup=False, soft_wrap=True)
    for name, gate in flat["gates"].items():
        out.print(f"  {name:11} {_gate(gate['state'])}  {gate.get('reason') or ''}")
    print_money(flat.get("money") or {})
    table = Table()
    for column in ("item", "state", "why", "due", "good until", "supplied by"):
        table.add_column(column, overflow="fold", no_wrap=column in ("state", "due", "good until"))
    for item in flat["items"]:
        state = item["state"]
        supplied = ", ".join(_reference(reference) for reference in item.get("suppliedBy") or ())
        shown = f"[{COLOURS.get(state, 'red')}]{state}[/]"
        table.add_row(
            item.get("title", item["id"]), shown, item.get("reason") or "", str(item.get("due") or ""), str(item.get("goodUntil") or ""), supplied
        )
    out.print(table)
    _print_custody(flat)
    asked = {item["question"]: item.get("asked") or "" for item in flat["items"] if item.get("question")}
    if asked:
        out.print("Asked of the referrer; `fhir-gateway case answer` takes what is told:", markup=False)
    for question, wording in asked.items():
        out.print(f"  {question:32} {wording}", markup=False, soft_wrap=True)


def print_money(money: dict[str, Any]) -> None:
    """What the payer said, in words; where to read it whole one step away."""
    if not money:
        return
    asked = [
        f"checked {money['checkedAt']}" if money.get("checkedAt") else "",
        f"valid until {money['validUntil']}" if money.get("validUntil") else "",
    ]
    out.print(f"  {'insurance':11} {', '.join(filter(None, (money.get('payer') or 'payer not known', *asked)))}", markup=False, soft_wrap=True)
    spoken = {"eligibility"} | ({"authorisation"} if money.get("authorisationState", "unknown") != "unknown" else set())
    told = [money.get(topic) for topic in MONEY_TOPICS if money.get("response") or topic in spoken]
    lines = [*told, *_listed(money.get("problem")), *(f'The payer: "{text}"' for text in _listed(money.get("disclaimer")))]
    for line in (*filter(None, lines), f"Next: {money['nextStep']}"):
        out.print(f"  {'':11} {line}", markup=False, soft_wrap=True)
    references = ", ".join(_whole(money[name]) for name in ("response", "request", "raw") if money.get(name))
    if references:
        out.print(f"  {'':11} {references}", markup=False, soft_wrap=True)


def _listed(value: Any) -> list[str]:
    """A part that may repeat; of a GuidanceResponse laid out flat the last stands alone."""
    return value if isinstance(value, list) else [value] if value else []


def _whole(value: Any) -> str:
    return str(value.get("reference", "")) if isinstance(value, dict) else str(value)


def _print_custody(flat: dict[str, Any]) -> None:
    """Where the physical things are, and once the case is closed what must go back."""
    for item in flat["items"]:
        for one in item.get("custody") or ():
            told = (one[part] for part in ("state", "condition", "carrier", "tracking") if one.get(part))
            out.print(f"  {item['id']}: {', '.join(told)}" + (f", expected {one['expected']}" if one.get("expected") else ""), markup=False)
    if flat["case"].get("toReturn") and flat["case"]["state"] in CLOSED:
        out.print(f"  [yellow]still to be returned:[/] {', '.join(flat['case']['toReturn'])}")


NOWHERE = {
    "no-service-line": "the clinic holds no active service of this line",
    "no-reviewer": "no reviewer of a fitting specialty is there on the day",
    "none-in-network": "no reviewer is in the patient's insurance network",
    "unknown-network": "whether a reviewer is in the patient's insurance network is not known",
    "no-coverage": "no insurance in force is held",
}


def destination(route: dict[str, Any]) -> str:
    """Where a case goes, in one line."""
    names = ", ".join(one["name"] or one["role"] for one in route["reviewers"][:3])
    parts = [route["serviceName"] or route["service"] or "", names, NOWHERE.get(route["reason"] or "", "in the patient's insurance network")]
    return "; ".join(filter(None, parts))


def _reference(value: Any) -> str:
    """`DiagnosticReport/…44ba2e91`: enough to tell records apart on a terminal; --json has them whole."""
    text = str(value.get("reference", "")) if isinstance(value, dict) else str(value)
    kind, _, identity = text.partition("/")
    return f"{kind}/…{identity[-8:]}" if len(identity) > 12 else text


def _gate(state: str) -> str:
    return f"[{GATES.get(state, 'white')}]{state}[/]"


from fhir_gateway.cli import authorisation, custody, opinion, paperwork, routing  # noqa: E402, F401 - their commands join this family
