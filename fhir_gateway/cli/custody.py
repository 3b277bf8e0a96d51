"""`fhir-gateway case custody`: what happened to slides, blocks and discs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from fhir_gateway.cases.custody import Details
from fhir_gateway.cli.cases import Named, app, print_case
from fhir_gateway.cli.connection import STAFF, gateway


@app.command("custody")
def custody(
    case: Named,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The required record's id: pathology-slides, tissue-block, …")],
    state: Annotated[str, typer.Argument(metavar="STATE", help="requested, shipped, received, returned or lost")],
    carrier: Annotated[str, typer.Option("--carrier", help="Who carries it")] = "",
    tracking: Annotated[str, typer.Option("--tracking", help="The carrier's number; it names the consignment from then on")] = "",
    expected: Annotated[datetime | None, typer.Option("--expected", formats=["%Y-%m-%d"], help="Day it should be here")] = None,
    containers: Annotated[int | None, typer.Option("--containers", min=1, help="How many boxes, blocks or discs")] = None,
    condition: Annotated[
        str, typer.Option("--condition", help="On receipt: good, unreadable, or a code of HL7 table 0490 (RB broken container, …)")
    ] = "",
) -> None:
    """Say what happened to a physical thing; its item follows, and what must go back is listed at the end."""
    said = Details(carrier, tracking, expected.date() if expected else None, containers, condition)
    with gateway() as opened:
        print_case(opened.custody.record(STAFF, case, item, state, said))
