"""`fhir-gateway coverage`: ask payers about the insurance of cases, and what they are shown."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_gateway.cli.cases import Named, print_money
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.errors import GatewayError
from fhir_gateway.validation import encode

app = typer.Typer(help="Insurance of cases: is it in force, what must be asked first, and what a payer is shown", no_args_is_help=True)


@app.command("check")
def check(
    case: Annotated[str | None, typer.Argument(metavar="CASE", help="ServiceRequest id, Task id, or the referral's identifier")] = None,
    due: Annotated[bool, typer.Option("--due", help="Every open case whose payer has not answered for its insurance in this month")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 1000,
) -> None:
    """Ask the payer now. A payer that is asked by machine answers through the running gateway. Exit 1 when one could not be asked."""
    if (case is None) is not due:
        stop("Name a case, or --due", 2)
    faults = 0
    with gateway() as opened:
        for name in [case] if case else opened.checks_due(STAFF, limit):
            try:
                flat = opened.check_coverage(STAFF, name)
            except GatewayError as fault:
                out.print(f"{name}: {fault.text}", markup=False)
                faults += 1
                continue
            if json:
                write(encode(flat["money"]))
            else:
                gate = flat["gates"]["money"]["state"]
                out.print(f"{flat['case']['id']}: money {gate}", markup=False)
                print_money(flat["money"])
    if faults:
        raise typer.Exit(1)


@app.command("release")
def release(
    case: Named,
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="DocumentReference/id or DiagnosticReport/id, a record of the case")],
    to: Annotated[str, typer.Option("--to", metavar="PAYER", help="The payer's name in its configuration")],
    end: Annotated[bool, typer.Option("--end", help="Take the release back")] = False,
) -> None:
    """Let a payer read one document of a case it is asked to pay for. Audited as a disclosure."""
    with gateway() as opened:
        if end:
            opened.releases.take_back(STAFF, case, document, to)
        else:
            opened.releases.release(STAFF, case, document, to)
    out.print(f"{document} {'is no longer' if end else 'is now'} shown to {to}")
