"""`fhir-gateway coverage`: what a payer is shown."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_gateway.cli.cases import Named
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out

app = typer.Typer(no_args_is_help=True, help="What a payer is shown.")


@app.callback()
def _family() -> None:
    """What a payer is shown."""


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
