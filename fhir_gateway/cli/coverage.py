"""`fhir-gateway coverage`: ask payers about the insurance of cases, and what they are shown."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from fhir_gateway.cli.authorisation import sheet_of
from fhir_gateway.cli.cases import Named, print_money
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.coverage.heard import Amount, Heard, Network
from fhir_gateway.errors import GatewayError
from fhir_gateway.validation import encode
from profiles.eligibility import ASKED_FIRST

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


@app.command("answer")
def answer(
    case: Named,
    by: Annotated[str, typer.Option("--by", help="Who at the payer said so")],
    proof: Annotated[str, typer.Option("--proof", metavar="FILE|TEXT", help="A file (letter, screen print), or what was said, in words")],
    in_force: Annotated[bool | None, typer.Option("--in-force/--not-in-force", help="Is the insurance in force on the day?")] = None,
    covered: Annotated[bool | None, typer.Option("--covered/--not-covered", help="Does the plan pay for the opinion?")] = None,
    in_network: Annotated[bool | None, typer.Option("--in-network/--out-of-network", help="Is the clinic in the plan's network?")] = None,
    required: Annotated[
        bool | None, typer.Option("--authorisation/--no-authorisation", help="Must the payer be asked before? (prior authorisation)")
    ] = None,
    mandated: Annotated[bool | None, typer.Option("--mandated/--not-mandated", help="Does the plan itself require a second opinion?")] = None,
    copay: Annotated[str, typer.Option("--copay", metavar="AMOUNT")] = "",
    coinsurance: Annotated[str, typer.Option("--coinsurance", metavar="PERCENT", help="The patient's share")] = "",
    deductible: Annotated[str, typer.Option("--deductible", metavar="AMOUNT[,LEFT]", help="And what is left of it")] = "",
    out_of_pocket: Annotated[
        str, typer.Option("--out-of-pocket", metavar="AMOUNT[,LEFT]", help="The most the patient pays, and what is left of it")
    ] = "",
    currency: Annotated[str, typer.Option("--currency", help="ISO 4217")] = "USD",
    service_type: Annotated[str, typer.Option("--service-type", help="X12 code of the service the payer spoke about")] = ASKED_FIRST,
) -> None:
    """Enter what a payer said of the insurance, on the telephone or at its portal, with its proof. What is not said stays unknown."""
    told = {"copay": copay, "coinsurance": coinsurance, "deductible": deductible, "out-of-pocket": out_of_pocket}
    amounts = {name: _amount(name, text) for name, text in told.items() if text}
    sheet = sheet_of(proof)
    words = f"Proof on file: {sheet.title}" if sheet else proof
    network: Network | None = None if in_network is None else "in" if in_network else "out"
    heard = Heard(by, words, in_force, covered, network, required, mandated, amounts, currency, service_type)
    with gateway() as opened:
        flat = opened.hearing.enter(STAFF, case, heard, sheet)
    out.print(f"{flat['case']['id']}: money {flat['gates']['money']['state']}", markup=False)
    print_money(flat["money"])


def _amount(name: str, text: str) -> Amount:
    """`500` or `500,120`: the amount, and what is left of it. Ends the command for anything else."""
    parts = text.split(",")
    if len(parts) > (2 if name in ("deductible", "out-of-pocket") else 1):
        stop(f"--{name}: {text}: one amount, and of a deductible or the most to pay what is left of it after a comma", 2)
    try:
        found = [Decimal(part.strip()) if part.strip() else None for part in parts]
    except InvalidOperation:
        stop(f"--{name}: {text}: is no amount", 2)
    return Amount(*found)


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
