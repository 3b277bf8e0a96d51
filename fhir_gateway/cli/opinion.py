"""`fhir-gateway case opinion`: issue the opinion of a case from a small JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fhir_gateway.cli.cases import Named, app, print_case
from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import stop
from fhir_gateway.pipeline.writes import given_object


@app.command("opinion")
def opinion(
    case: Named,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="The opinion as JSON: diagnosis, pathology, stage, options, trials, …")],
    interim: Annotated[bool, typer.Option("--interim", help="An interim opinion: the case stays open")] = False,
) -> None:
    """Issue the opinion: the consultation note, the patient summary, the case closed. What is missing or unknown in it is named.

    The file holds one object: diagnosis {verdict: confirmed|changed|undetermined, code, text}, pathology {verdict: concordant|minor-discordance|
    major-discordance|not-reviewed, text}, stage {verdict: confirmed|changed, code, text}, options [{text, code, preference}], trials [NCT number or
    words], mode in-person|records-only, summary, patientSummary, author {reference|identifier|display}, signed (date and time with offset).
    """
    try:
        raw = file.read_bytes()
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)
    with gateway() as opened:
        print_case(opened.opinions.issue(STAFF, case, given_object(raw), interim=interim))
