"""`fhir-gateway case route`: who is to review a case, and why nobody is."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from fhir_gateway.cli.cases import Named, app, destination
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, write
from fhir_gateway.validation import encode

IN_NETWORK = {True: "[green]in network[/]", False: "[red]not in network[/]", None: "[yellow]not known[/]"}


@app.command("route")
def route(case: Named, json: Annotated[bool, typer.Option("--json", help="As JSON")] = False) -> None:
    """Service line, kinds of reviewer, the reviewers held and whether the patient's insurance network has them. Exit 1 when there is nobody."""
    with gateway() as opened:
        found = opened.case(STAFF, case, None)["case"]["route"]
    if json:
        write(encode(found))
    else:
        kinds = dict.fromkeys(str(kind.get("display") or kind["code"]) for kind in found["reviewerKinds"])
        out.print(f"{found['serviceLine']}: {destination(found)}", markup=False, soft_wrap=True)
        out.print(f"Reviewed by: {'; '.join(kinds) or 'any specialty'}", markup=False, soft_wrap=True)
    if not json and found["reviewers"]:
        table = Table()
        for column in ("reviewer", "specialty", "service", "insurance"):
            table.add_column(column, overflow="fold")
        for one in found["reviewers"]:
            specialty = one["specialty"] or {}
            table.add_row(
                one["name"] or one["role"], specialty.get("display") or specialty.get("code", ""), one["service"], IN_NETWORK[one["inNetwork"]]
            )
        out.print(table)
    if not found["reviewers"]:
        raise typer.Exit(1)
