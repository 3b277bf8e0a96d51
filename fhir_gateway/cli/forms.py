"""`fhir-gateway checklist questionnaire`: what a checklist asks for, as a FHIR Questionnaire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import stop, write
from fhir_gateway.pipeline.forms import form_of
from fhir_gateway.validation import encode


def questionnaire(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One list (breast), or the id of a PlanDefinition held")],
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of to stdout")] = None,
) -> None:
    """Write what a list asks for as a FHIR R4 Questionnaire (JSON). Without a database, from the lists this program ships."""
    with gateway(anywhere=True) as opened, opened.store.snapshot(STAFF) as tx:
        form = encode(form_of(tx, opened.casework.checklists, name))
    if file is None:
        write(form)
        return
    try:
        file.write_bytes(form + b"\n")
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)
