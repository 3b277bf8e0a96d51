"""Migrations, run from within the program: the scripts are in this package, so an installed wheel needs no files beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from fhir_gateway.store.engine import Database

_SCRIPTS: Final = Path(__file__).parent / "migrations"
# Any number will do, as long as every process takes the same one.
_MIGRATION_LOCK: Final = 5_020_417


def upgrade(database: Database) -> None:
    """Apply what is missing, in one transaction; a second process waits and then finds nothing to do."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def at_head(database: Database) -> bool:
    """One cheap query: is the database there and at the right version?"""
    with database.read() as connection:
        return _revision(connection) == head()


@cache
def head() -> str:
    """The newest revision this program knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
