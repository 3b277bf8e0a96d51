"""`fhir-gateway case authorise|authorisation`: a payer asked for prior authorisation, its answer entered with proof, the proof printed."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fhir_gateway.cases.paper import Sheet
from fhir_gateway.cli.cases import Named, app, print_case
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import stop, write
from fhir_gateway.coverage.asking import Entered, Told
from fhir_gateway.pipeline.entered import proof_of

DAY = "%Y-%m-%d"
_FILE_NAME = re.compile(r"(?:[.~]?/\S*|\S+\.[A-Za-z0-9]{2,5})")


@app.command("authorise")
def authorise(
    case: Named,
    expedited: Annotated[bool, typer.Option("--expedited", help="The decision is wanted within 72 hours, not 7 days")] = False,
) -> None:
    """Ask the payer that pays first to authorise the opinion: makes the Claim."""
    with gateway() as opened:
        print_case(opened.authorising.ask(STAFF, case, expedited=expedited))


@app.command("authorisation")
def authorisation(
    case: Named,
    granted: Annotated[bool, typer.Option("--granted", help="The payer has authorised it")] = False,
    in_part: Annotated[bool, typer.Option("--in-part", help="The payer has authorised a part of it")] = False,
    pended: Annotated[bool, typer.Option("--pended", help="The payer has it and has not decided")] = False,
    denied: Annotated[bool, typer.Option("--denied", help="The payer has refused")] = False,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="The request or the authorisation was taken back")] = False,
    ref: Annotated[str, typer.Option("--ref", help="The number of the authorisation")] = "",
    begins: Annotated[datetime | None, typer.Option("--from", formats=[DAY], help="First day it is good for")] = None,
    until: Annotated[datetime | None, typer.Option("--until", formats=[DAY], help="Last day it is good for")] = None,
    by: Annotated[str, typer.Option("--by", help="Who at the payer said so")] = "",
    proof: Annotated[str, typer.Option("--proof", metavar="FILE|TEXT", help="A file (letter, screen print), or what was said, in words")] = "",
    page: Annotated[bool, typer.Option("--print", help="Print the proof (HTML) and enter nothing")] = False,
) -> None:
    """Enter what the payer answered, with its proof; or print the proof."""
    said: list[Entered] = ["granted", "granted-in-part", "pended", "denied", "cancelled"]
    chosen = [word for word, given in zip(said, (granted, in_part, pended, denied, cancelled), strict=True) if given]
    if page == bool(chosen) or len(chosen) > 1:
        stop("Say one of --granted, --in-part, --pended, --denied, --cancelled; or --print alone", 2)
    with gateway() as opened:
        if page:
            write(opened.authorising.page(STAFF, case))
            return
        sheet = sheet_of(proof)
        words = f"Proof on file: {sheet.title}" if sheet else proof
        told = Told(chosen[0], by, words, ref, begins.date() if begins else None, until.date() if until else None)
        print_case(opened.authorising.enter(STAFF, case, told, sheet))


def sheet_of(proof: str) -> Sheet | None:
    """The file that is the proof, None for words. What reads like a file's name and is none ends the command: nobody wants the name kept as proof."""
    try:
        return proof_of(Path(proof).read_bytes(), Path(proof).name) if proof else None
    except OSError as fault:
        if _FILE_NAME.fullmatch(proof):
            stop(f"{proof}: {fault.strerror or fault}", 2)
    except ValueError:  # a null byte
        pass
    return None
