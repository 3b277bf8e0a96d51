"""Queries given to the driver as they were compiled once: the same rows, the same faults, as SQLAlchemy gives. On both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, bindparam, literal, or_, select
from sqlalchemy.exc import DBAPIError

from fhir_gateway.store import tables
from fhir_gateway.store.engine import Database
from fhir_gateway.store.prepared import Prepared, statements

_R = tables.resource
NOW = datetime(2026, 9, 10, 12, 0, 0, 250_000, tzinfo=UTC)
BY_ID = select(_R.c.type, _R.c.id, _R.c.last_updated, _R.c.deleted, _R.c.body).where(_R.c.id.in_(bindparam("ids", expanding=True))).order_by(_R.c.id)
TWICE = select(_R.c.id).where(
    or_(_R.c.id.in_(bindparam("ids", expanding=True)), _R.c.owner.in_(bindparam("ids", expanding=True))), _R.c.version == bindparam("version")
)
SINCE = select(_R.c.id, literal("said").label("word")).where(_R.c.last_updated >= bindparam("since", type_=_R.c.last_updated.type))


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A transaction in which three resources are held."""
    database = Database(url)
    rows = [
        {"type": "Patient", "id": f"p{n}", "version": n, "last_updated": NOW.replace(hour=n), "deleted": False, "owner": "n'o\"%s", "body": b"{}",
         "inbox_id": None, "clock_clinical": "", "clock_message": "", "clock_rank": 0}
        for n in (1, 2, 3)
    ]  # fmt: skip
    with database.engine.connect() as connection:
        connection.execute(_R.insert(), rows)
        yield connection
    database.dispose()


def prepared(connection: Connection, statement: object) -> Prepared:
    known = statements(connection.dialect)
    known.of(statement)  # type: ignore[arg-type]
    found = known.of(statement)  # type: ignore[arg-type]
    assert found is not None
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.sampled_from(["p1", "p2", "p3", "p4", "'", "%s", "n'o\"%s", "?"]), min_size=1, max_size=40))
def test_lists_of_any_length_find_what_sqlalchemy_finds(connection: Connection, ids: list[str]) -> None:
    for statement, values in ((BY_ID, {"ids": ids}), (TWICE, {"ids": ids, "version": 2})):
        quick = prepared(connection, statement)
        assert quick.takes(connection, values)
        usual = connection.execute(statement, values)
        found = quick.rows(connection, values).all()
        assert found == usual.all()
        assert all(row._mapping.keys() == usual.keys() for row in found)


def test_values_are_converted_by_their_types(connection: Connection) -> None:
    (row,) = prepared(connection, BY_ID).rows(connection, {"ids": ["p2"]})
    assert (row.last_updated, row.deleted, row.body) == (NOW.replace(hour=2), False, b"{}")
    later = prepared(connection, SINCE).rows(connection, {"since": NOW.replace(hour=2)})
    assert sorted(later) == [("p2", "said"), ("p3", "said")]
    with pytest.raises(ValueError, match="aware"):
        prepared(connection, SINCE).rows(connection, {"since": NOW.replace(tzinfo=None)})


def test_what_is_listened_to_empty_or_huge_goes_the_usual_way(connection: Connection) -> None:
    quick = prepared(connection, BY_ID)
    assert not quick.takes(connection, {"ids": []})
    assert not quick.takes(connection, {"ids": [str(n) for n in range(1000)]})
    assert statements(connection.dialect).of(_R.insert()) is None


def test_a_fault_is_the_one_sqlalchemy_raises(connection: Connection) -> None:
    wrong = prepared(connection, select(_R.c.id).prefix_with("NONSENSE"))
    with pytest.raises(DBAPIError, match="NONSENSE"):
        wrong.rows(connection, None)
    connection.rollback()
