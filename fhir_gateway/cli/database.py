"""`fhir-gateway db`: bring the database to this version's schema, or check it."""

from __future__ import annotations

import typer

from fhir_gateway.cli.terminal import out, stop
from fhir_gateway.pipeline import open_store
from fhir_gateway.settings import Settings
from fhir_gateway.store.errors import StoreError

app = typer.Typer(help="The database's schema", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Migrate to this version's schema. Repeating it changes nothing."""
    try:
        store = open_store(Settings())
        store.upgrade()
    except StoreError as fault:
        stop(str(fault))
    out.print("The database is up to date")


@app.command("check")
def check() -> None:
    """Exit 1 when the database is not at this version's schema."""
    try:
        store = open_store(Settings())
        store.check()
    except StoreError as fault:
        stop(str(fault))
    out.print("The database is up to date")
