"""How the databases would answer a statement: by an index, or by walking a whole table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

BIG = frozenset(
    {
        "resource",
        "resource_version",
        "resource_contributor",
        "search_token",
        "search_string",
        "search_reference",
        "search_date",
        "search_quantity",
        "identity_key",
        "record",
        "record_link",
        "patient_link",
        "inbox",
        "referral_case",
        "case_item",
        "case_key",
        "outbox",
        "audit_event",
    }
)


@contextmanager
def sent(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """The statements sent on a connection, with their values."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not many and not statement.lstrip().upper().startswith(("EXPLAIN", "SET", "BEGIN")):
            statements.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(connection, "before_cursor_execute", note)


def plan(connection: Connection, statement: str, values: Any) -> list[str]:
    """The steps of the plan. PostgreSQL would rather walk a small table: it is told not to, so a walk means that there is no index."""
    if connection.dialect.name == "sqlite":
        return [row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)]
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return [row[0] for row in connection.exec_driver_sql("EXPLAIN " + statement, values)]


def walks(step: str) -> bool:
    """Does this step read all of one of the big tables?"""
    found = re.search(r"^SCAN (\w+)|Seq Scan on (\w+)", step.strip())
    return bool(found) and (found[1] or found[2]) in BIG | {f"{name}_{n}" for name in BIG for n in range(1, 9)}


def is_indexed(step: str) -> bool:
    """Does this step go by an index?"""
    return step.startswith("SEARCH") or "Index" in step
