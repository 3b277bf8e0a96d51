"""The command line, `fhir-gateway`: one module per command family, registered here and nowhere else.

Exit codes: 0 done, 1 something was refused or wrong with what was given, 2 the command was used wrongly.
"""

from __future__ import annotations

import typer

from fhir_gateway.cli import cases, database, demo, inbox, mapping, sending, serving

app = typer.Typer(
    name="fhir-gateway", help="Second-opinion referrals: HL7 v2 and FHIR in, one case out, and what it still lacks.", no_args_is_help=True
)
app.command("serve")(serving.serve)
app.command("demo")(demo.demo)
app.command("map")(mapping.map_files)
app.command("send")(sending.send)
app.command("settings")(serving.settings)
app.add_typer(cases.app, name="case")
app.add_typer(inbox.app, name="inbox")
app.add_typer(database.app, name="db")


def main() -> None:
    """Entry point of the installed command."""
    app()
