"""`fhir-gateway db`: bring the database to this version's schema, or check it."""

from __future__ import annotations

import typer

from fhir_gateway.cli.terminal import out, stop
from fhir_gateway.pipeline import open_store
from fhir_gateway.settings import Settings

app = typer.Typer(help="The database's schema", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Migrate to this version's schema. Repeating it changes nothing."""
    try:
        store = open_store(Settings())
        store.upgrade()
    except Exception as fault:  # noqa: BLE001 - whatever the database's driver raises, a person reads it here
        stop(f"Not upgraded: {fault}")
    out.print("The database is up to date")


@app.command("check")
def check() -> None:
    """Exit 1 when the database is not at this version's schema."""
    if not open_store(Settings()).ready():
        stop("The database is not there, or not at this version's schema; run: fhir-gateway db upgrade")
    out.print("The database is up to date")
