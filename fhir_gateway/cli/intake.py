"""`fhir-gateway intake`: records that no case has taken in, the cases they may belong to, and what staff decide about them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_gateway.cli.cases import print_case
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, write
from fhir_gateway.validation import encode

app = typer.Typer(help="Records without a referral, and the cases they may belong to", no_args_is_help=True)

Record = Annotated[str, typer.Argument(metavar="RECORD", help="The record as Type/id, or Patient/id for everything of that patient")]
Named = Annotated[str, typer.Argument(metavar="CASE", help="ServiceRequest id, Task id, or the referral's identifier")]
GRADES = {"certain": "green", "probable": "yellow", "possible": "cyan"}


@app.command("list")
def list_orphans(
    expired: Annotated[bool, typer.Option("--expired", help="Those that waited too long and are offered no more")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """Records no case has taken in, oldest first, each with the cases it may belong to."""
    with gateway() as opened:
        rows = opened.orphans.listed(STAFF, limit, expired=expired)
    if json:
        write(encode(rows))
        return
    table = Table()
    table.add_column("record", no_wrap=True)
    for column in ("what", "status", "received", "sender", "may belong to"):
        table.add_column(column, overflow="fold")
    for row in rows:
        candidates = "\n".join(_candidate(one) for one in row["candidates"]) or "[dim]nobody[/]"
        table.add_row(row["record"], row["title"], row["status"], row["received"][:16], row["sender"], candidates)
    out.print(table)


@app.command("attach")
def attach(
    record: Record,
    case: Named,
    anyway: Annotated[bool, typer.Option("--anyway", help="Although name, birth date or sex say that it is somebody else")] = False,
) -> None:
    """Say that a record is the case's patient's: the two Patients are linked, and everything about either counts for the case."""
    with gateway() as opened:
        print_case(opened.orphans.attach(STAFF, record, case, anyway=anyway))


@app.command("reject")
@app.command("detach")
def reject(record: Record, case: Named) -> None:
    """Say that a record is not the case's patient's: it is not offered again, and taken out of the case if it was attached."""
    with gateway() as opened:
        print_case(opened.orphans.reject(STAFF, record, case))


def _candidate(one: dict[str, Any]) -> str:
    differing = [name for name, said in one["signs"].items() if said == "differs"]
    doubt = f", {' and '.join(differing)} differ" if differing else ""
    return f"[{GRADES.get(one['grade'], 'white')}]{one['grade']}[/] {one['score']:.2f} {one['referral'] or one['case']}{doubt}"
