"""Connections of the embedded database that are kept between transactions: each transaction ends whole, whatever happened in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from fhir_gateway.store.engine import Database
from fhir_gateway.store.errors import StepsSpentError

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT max(i) FROM n"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/kept.db")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE word (said TEXT UNIQUE)"))
    yield database
    database.dispose()


def words(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT said FROM word ORDER BY said")).scalars())


def test_what_was_written_stands_and_what_failed_does_not(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO word VALUES ('yes')"))
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(text("INSERT INTO word VALUES ('no')"))
        raise KeyError
    with pytest.raises(OperationalError), database.write() as connection:
        connection.execute(text("INSERT INTO word VALUES ('never')"))
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    with database.read() as connection:
        assert words(connection) == ["yes"]


def test_a_reader_sees_one_state_and_the_next_one_the_new_state(database: Database) -> None:
    with database.read() as reader:
        assert words(reader) == []
        with database.write() as writer:
            assert writer is not reader
            writer.execute(text("INSERT INTO word VALUES ('later')"))
        assert words(reader) == []
    with database.read() as reader:
        assert words(reader) == ["later"]


def test_a_writer_that_cannot_begin_leaves_a_connection_that_can(database: Database) -> None:
    with database.read() as other:
        other.exec_driver_sql("COMMIT")
        other.exec_driver_sql("BEGIN IMMEDIATE")  # as another process would
        with database.read() as mine:
            mine.exec_driver_sql("PRAGMA busy_timeout=10")
        with pytest.raises(OperationalError, match="locked"), database.write():
            pass
    with database.write() as connection:
        connection.execute(text("INSERT INTO word VALUES ('after')"))


def test_brief_work_is_ended_when_it_takes_more_and_not_before(database: Database) -> None:
    for _ in range(30):  # what earlier executions took does not count
        with database.glance(20_000) as connection:
            assert connection.execute(text(COUNT.format(100))).scalar_one() == 100
    with pytest.raises(StepsSpentError), database.glance(20_000) as connection:
        connection.execute(text(COUNT.format(1_000_000)))
    with pytest.raises(OperationalError, match="nowhere"), database.glance(20_000) as connection:
        connection.execute(text("SELECT 1 FROM nowhere"))
    with database.glance(None) as connection:
        assert connection.execute(text(COUNT.format(100_000))).scalar_one() == 100_000
