"""Every store test runs on SQLite and on PostgreSQL, each in a database of its own that was migrated like a real one.

If PostgreSQL can't start, the tests fail: they are not skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from fhir_gateway.store import Store
from tests.databases import postgresql_url
from tests.store.people import CLINIC, NOW

DIALECTS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    store = Store(f"sqlite:///{path}")
    store.upgrade()
    store.close()
    return path


@pytest.fixture(scope="session")
def postgresql_template() -> Iterator[str]:
    """The address of a migrated PostgreSQL database, to be copied (so nobody may be connected to it)."""
    with postgresql_url() as address:
        yield address


@pytest.fixture(params=DIALECTS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bool], str]]:
    """Makes databases: `new_database(True)` migrated, `new_database(False)` empty; returns the address."""
    made: list[str] = []

    def sqlite(migrated: bool) -> str:
        path = tmp_path / f"{uuid4().hex}.db"
        if migrated:
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"

    def postgresql(migrated: bool) -> str:
        template = make_url(request.getfixturevalue("postgresql_template"))
        made.append(f"test_{uuid4().hex}")
        _administer(template, f"CREATE DATABASE {made[-1]} TEMPLATE {template.database if migrated else 'template0'}")
        return template.set(database=made[-1]).render_as_string(hide_password=False)

    yield sqlite if request.param == "sqlite" else postgresql
    for name in made:
        _administer(make_url(request.getfixturevalue("postgresql_template")), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def url(new_database: Callable[[bool], str]) -> str:
    """The address of a migrated, empty database."""
    return new_database(True)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on a migrated, empty database."""
    opened = Store(url)
    yield opened
    opened.close()


@pytest.fixture
def tx(store: Store) -> Iterator[object]:
    """One transaction of the clinic's, committed at the end of the test."""
    with store.transaction(CLINIC, NOW) as transaction:
        yield transaction


def _administer(beside: URL, statement: str) -> None:
    engine = create_engine(beside.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
