"""The migrations make exactly the tables that the models describe, and may be run by several processes at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from fhir_gateway.store import Store, tables
from fhir_gateway.store.engine import Database

NewDatabase = Callable[[bool], str]


def described(connection: Connection) -> list[tuple[str, ...]]:
    """The schema as the database itself tells it, Alembic's own table left out."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"))
        return sorted((row.name, *_clauses(row.sql)) for row in rows)
    columns = connection.execute(
        text(
            "SELECT table_name, column_name, data_type, is_nullable, coalesce(collation_name, ''), coalesce(column_default, '') "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
    )
    indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"))
    constraints = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass"
        )
    )
    return sorted(tuple(map(str, row)) for rows in (columns, indexes, constraints) for row in rows)


def _clauses(sql: str) -> list[str]:
    """A CREATE statement's columns and constraints in one order: a migration may name them in another than the model."""
    words = " ".join(sql.split()).replace(" (", "(").replace(" )", ")")
    head, _, rest = words.partition("(")
    body, _, tail = rest.rpartition(")")
    return [head, tail, *sorted(clause.strip() for clause in re.split(r",(?![^(]*\))", body))]


def test_migrated_tables_equal_the_models(new_database: NewDatabase) -> None:
    migrated, created = Database(new_database(True)), Database(new_database(False))
    with created.write() as connection:
        tables.metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (x INTEGER)"))
    with migrated.read() as one, created.read() as other:
        assert described(one) == described(other)
        assert compare_metadata(MigrationContext.configure(one), tables.metadata) == []
    migrated.dispose()
    created.dispose()


def test_an_empty_database_is_not_ready_and_an_upgraded_one_is(new_database: NewDatabase) -> None:
    store = Store(new_database(False))
    assert not store.check()
    assert not store.ready()
    store.upgrade()
    store.upgrade()
    assert store.check()
    assert store.ready()
    store.close()


def test_two_processes_may_upgrade_at_once(new_database: NewDatabase) -> None:
    address = new_database(False)
    stores = [Store(address), Store(address)]
    threads = [threading.Thread(target=store.upgrade) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.check() for store in stores)
    for store in stores:
        store.close()


def test_a_database_that_cannot_be_reached_is_not_ready(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/no/such/folder/gateway.db")
    assert not store.ready()
    store.close()


def test_sqlite_runs_as_promised(sqlite_template: Path) -> None:
    database = Database(f"sqlite:///{sqlite_template}")
    with database.read() as connection:
        settings = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.dispose()


def test_the_migration_scripts_travel_with_the_package() -> None:
    from fhir_gateway.store import migrate

    engine = create_engine("sqlite://")
    scripts = Path(migrate.__file__).parent / "migrations" / "versions"
    assert migrate.head() == max(path.name.partition("_")[0] for path in scripts.glob("0*.py"))
    engine.dispose()
