"""Queries given to the driver as they were compiled once: the same rows, the same faults, as SQLAlchemy gives. On both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Result, bindparam, delete, literal, or_, select, text, update
from sqlalchemy.exc import DBAPIError

from fhir_gateway.store import tables
from fhir_gateway.store.engine import Database
from fhir_gateway.store.prepared import Changed, Prepared, run_many, statements

_R = tables.resource
NOW = datetime(2026, 9, 10, 12, 0, 0, 250_000, tzinfo=UTC)
BY_ID = select(_R.c.type, _R.c.id, _R.c.last_updated, _R.c.deleted, _R.c.body).where(_R.c.id.in_(bindparam("ids", expanding=True))).order_by(_R.c.id)
TWICE = select(_R.c.id).where(
    or_(_R.c.id.in_(bindparam("ids", expanding=True)), _R.c.owner.in_(bindparam("ids", expanding=True))), _R.c.version == bindparam("version")
)
SINCE = select(_R.c.id, literal("said").label("word")).where(_R.c.last_updated >= bindparam("since", type_=_R.c.last_updated.type))


ROWS: list[dict[str, Any]] = [
    {"type": "Patient", "id": f"p{n}", "version": n, "last_updated": NOW.replace(hour=n), "deleted": False, "owner": "n'o\"%s", "body": b"{}",
     "inbox_id": None, "clock_clinical": "", "clock_message": "", "clock_rank": 0}
    for n in (1, 2, 3)
]  # fmt: skip


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A transaction in which three resources are held."""
    database = Database(url)
    with database.engine.connect() as connection:
        connection.execute(_R.insert(), ROWS)
        yield connection
    database.dispose()


def prepared(connection: Connection, statement: Any, values: dict[str, Any] | None = None) -> Prepared:
    known = statements(connection.dialect)
    known.of(statement, values)
    found = known.of(statement, values)
    assert found is not None
    return found


def found(connection: Connection, statement: Any, values: dict[str, Any]) -> list[Any]:
    return list(cast("Result[Any]", prepared(connection, statement, values).run(connection, values)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.sampled_from(["p1", "p2", "p3", "p4", "'", "%s", "n'o\"%s", "?"]), min_size=1, max_size=40))
def test_lists_of_any_length_find_what_sqlalchemy_finds(connection: Connection, ids: list[str]) -> None:
    for statement, values in ((BY_ID, {"ids": ids}), (TWICE, {"ids": ids, "version": 2})):
        quick = prepared(connection, statement)
        assert quick.takes(connection, values)
        usual = connection.execute(statement, values)
        rows = found(connection, statement, values)
        assert rows == usual.all()
        assert all(row._mapping.keys() == usual.keys() for row in rows)


def test_values_are_converted_by_their_types(connection: Connection) -> None:
    (row,) = found(connection, BY_ID, {"ids": ["p2"]})
    assert (row.last_updated, row.deleted, row.body) == (NOW.replace(hour=2), False, b"{}")
    assert sorted(found(connection, SINCE, {"since": NOW.replace(hour=2)})) == [("p2", "said"), ("p3", "said")]
    with pytest.raises(ValueError, match="aware"):
        found(connection, SINCE, {"since": NOW.replace(tzinfo=None)})


def test_rows_are_inserted_returned_changed_and_counted(connection: Connection) -> None:
    make = _R.insert().returning(_R.c.id, _R.c.last_updated)
    row = {**ROWS[0], "id": "new", "body": b"\x00'\xff"}
    assert found(connection, make, row) == [("new", NOW.replace(hour=1))]
    few = {key: value for key, value in row.items() if key not in ("inbox_id", "id")} | {"id": "other"}
    assert found(connection, make, few) == [("other", NOW.replace(hour=1))], "an insert of other columns is another text"
    assert [row.body for row in found(connection, BY_ID, {"ids": ["new", "other"]})] == [b"\x00'\xff"] * 2
    change = update(_R).where(_R.c.id.in_(bindparam("ids", expanding=True))).values(owner=bindparam("whom"))
    changed = prepared(connection, change).run(connection, {"ids": ["new", "other", "nobody"], "whom": "clinic"})
    assert changed == Changed(2)
    assert connection.execute(select(_R.c.id).where(_R.c.owner == "clinic").order_by(_R.c.id)).scalars().all() == ["new", "other"]
    gone = delete(_R).where(_R.c.id == bindparam("id"))
    assert prepared(connection, gone).run(connection, {"id": "new"}) == Changed(1)
    assert prepared(connection, gone).run(connection, {"id": "new"}) == Changed(0)


def test_several_rows_are_inserted_and_returned_one_by_one(connection: Connection) -> None:
    make = _R.insert().returning(_R.c.id, _R.c.last_updated)
    rows = [{**ROWS[0], "id": name} for name in ("new", "newer")]
    quick = prepared(connection, make, rows[0])
    assert quick.fixed
    assert list(cast("Result[Any]", quick.run_each(connection, rows))) == [("new", NOW.replace(hour=1)), ("newer", NOW.replace(hour=1))]
    with pytest.raises(DBAPIError, match=r"(?i)unique"), connection.begin_nested():
        quick.run_each(connection, rows)
    gone = prepared(connection, delete(_R).where(_R.c.id == bindparam("id")))
    assert gone.run_each(connection, [{"id": "new"}, {"id": "newer"}]) == Changed(2)


def test_rows_of_plain_values_fail_as_sqlalchemy_says(connection: Connection) -> None:
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    run_many(connection, f"UPDATE resource SET version = {mark} WHERE id = {mark}", [(8, "p1"), (9, "p2")])
    assert connection.execute(select(_R.c.version).where(_R.c.id.in_(["p1", "p2"])).order_by(_R.c.id)).scalars().all() == [8, 9]
    with pytest.raises(DBAPIError, match="nowhere"):
        run_many(connection, f"DELETE FROM nowhere WHERE id = {mark}", [("p1",), ("p2",)])
    connection.rollback()


def test_what_is_listened_to_empty_or_huge_goes_the_usual_way(connection: Connection) -> None:
    quick = prepared(connection, BY_ID)
    assert not quick.takes(connection, {"ids": []})
    assert not quick.takes(connection, {"ids": [str(n) for n in range(1000)]})
    assert statements(connection.dialect).of(text("SELECT 1"), None) is None
    assert statements(connection.dialect).of(select(_R.c.id), None) is None, "what is asked once is not compiled twice"


def test_a_fault_is_the_one_sqlalchemy_raises(connection: Connection) -> None:
    wrong = prepared(connection, select(_R.c.id).prefix_with("NONSENSE"))
    with pytest.raises(DBAPIError, match="NONSENSE"):
        wrong.run(connection, None)
    connection.rollback()


def test_a_change_is_of_the_columns_that_are_given(connection: Connection) -> None:
    change = update(_R).where(_R.c.id == bindparam("of"))
    assert prepared(connection, change, {"of": "p1", "owner": "clinic"}).run(connection, {"of": "p1", "owner": "clinic"}) == Changed(1)
    assert prepared(connection, change, {"of": "p1", "version": 7}).run(connection, {"of": "p1", "version": 7}) == Changed(1)
    row = connection.execute(select(_R.c.type, _R.c.version, _R.c.owner).where(_R.c.id == "p1")).one()
    assert row == ("Patient", 7, "clinic")
