"""The unit of work: one database transaction, with the rows it has still to write.

Inserts are gathered and written together (one statement per table instead of one per row) before anything is read that could show them, and before
the commit. Rows that hang on a new resource wait for its surrogate key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, cast

from sqlalchemy import Column, Connection, CursorResult, Executable, Table, bindparam, text, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_gateway.store import tables
from fhir_gateway.store.errors import RaceLostError, ReadOnlyError
from fhir_gateway.store.prepared import run_many, statements
from fhir_gateway.store.stored import Stored
from profiles.payerview import QUESTIONS

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A resource just written, with its surrogate key: what projections are made from. created: its first version."""

    pk: int
    stored: Stored
    created: bool


class Begun(NamedTuple):
    """A record row: its key, the Patient it is about, and whether it names a referral."""

    pk: int
    patient_id: str | None
    names: bool


class Projection(Protocol):
    """Something derived from resources and kept beside them (search rows, records)."""

    def write(self, work: Work, written: Sequence[Written]) -> None:
        """Derive and queue the rows of new resources, and replace those of changed ones."""


class Work:
    """One transaction's connection, clock and unwritten rows. now: None in a snapshot, which writes nothing."""

    def __init__(self, connection: Connection, dialect: str, now: datetime | None, projections: Sequence[Projection] = ()) -> None:
        self.connection = connection
        self.dialect = dialect
        self._now = now
        self._statements = statements(connection.dialect)
        self._projections = projections
        self._new: dict[tuple[str, str], Stored] = {}
        self._changed: list[Written] = []
        self._rows: dict[Table, list[Row]] = {}
        self._values: dict[Table, list[tuple[Any, ...]]] = {}
        self.claims: dict[tuple[str, str], tuple[str, str]] = {}
        """Identity keys claimed and not yet written: (kind, value) → (type, id)."""
        self.write_claims: Callable[[], None] | None = None
        self.types: set[str] = set()
        """Types of the resources this transaction has written."""
        self.written: dict[tuple[str, str], Stored] = {}
        """The latest version of each resource this transaction has written."""
        self.seen: dict[tuple[str, str], Stored] = {}
        """What this transaction has read as one who sees everything, and nobody can change meanwhile (`remembers`)."""
        self.shown: dict[tuple[str, str, str], Stored] = {}
        """By (payer, type, id), what this transaction has shown a payer; forgotten when something is written that may show it more or less."""
        self.begun: dict[tuple[str, str], Begun] = {}
        """Of the new resources of this transaction that are records, the row each has begun (`records`)."""
        self.cases: set[str] = set()
        """`Type/id` of the referrals and coordination Tasks this transaction has opened cases for."""
        self.generations: dict[tuple[str, ...], int] = {}
        """Of the types this transaction has not written, as it first found them (`Resources.generation`)."""
        self.people: dict[str, frozenset[str]] = {}
        """By Patient id, the Patients found to be the same person (`identities`)."""
        self.joined = False
        """Has this transaction written a link between Patients?"""
        self.payers: list[Any] | None = None
        """The payers' documents, once read (`payers`)."""
        self.shares: Any = None
        """What keeps the rows about payers up to date (`payerview.projection`); None in a snapshot."""
        self.acts: Callable[[str, str], Sequence[Any]] = lambda _type, _id: ()
        """Acts on a resource that this process has still to commit (`audit_trail`)."""

    @property
    def now(self) -> datetime:
        """The transaction's time. Raises ReadOnlyError in a snapshot."""
        if self._now is None:
            raise ReadOnlyError("a snapshot writes nothing")
        return self._now

    @property
    def writes(self) -> bool:
        """Is this a transaction (and not a snapshot)?"""
        return self._now is not None

    @property
    def remembers(self) -> bool:
        """Does what was read stay so until this transaction writes it? Writers on SQLite are serial; on PostgreSQL a lock may have been waited for."""
        return self.dialect == "sqlite" and self._now is not None

    def execute(self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> CursorResult[Any]:
        """Run one statement as it is, without writing the waiting rows first."""
        one = values[0] if isinstance(values, list) and values else values
        if one is None or isinstance(one, dict):
            prepared = self._statements.of(statement, one)
            if prepared is not None and prepared.takes(self.connection, one):
                if one is values or len(values or ()) == 1:
                    return cast("CursorResult[Any]", prepared.run(self.connection, one))  # nobody uses what else a cursor can
                if self.dialect == "sqlite" and prepared.fixed:
                    return cast("CursorResult[Any]", prepared.run_each(self.connection, cast("Sequence[Row]", values)))
        return self.connection.execute(statement, values)

    def known(self, name: str, build: Callable[[], Executable]) -> Any:
        """A statement in the database's own dialect, built once for all transactions under a name of its own, so that it is prepared (see `prepared`)."""
        key = (self.dialect, name)
        if key not in _KNOWN:
            _KNOWN[key] = build()
        return _KNOWN[key]

    def change_row(self, column: Column[Any], key: str, values: Mapping[str, Any]) -> int:
        """Give the rows in which a column holds `key` these values; how many there were."""
        names = tuple(values)

        def build() -> Executable:
            return update(column.table).where(column == bindparam("of")).values({name: bindparam(f"new_{name}") for name in names})

        given = {"of": key, **{f"new_{name}": value for name, value in values.items()}}
        return int(self.execute(self.known(f"change {column} {names}", build), given).rowcount)

    def queue(self, table: Table, rows: Iterable[Row]) -> None:
        """Rows to insert at the next flush."""
        self._rows.setdefault(table, []).extend(rows)

    def queue_values(self, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
        """As `queue`, for many rows of plain numbers and texts: each a tuple in the order of the table's columns, given to the driver as it is."""
        self._values.setdefault(table, []).extend(rows)

    def add(self, stored: Stored) -> None:
        """A new resource to insert at the next flush."""
        self._new[(stored.type, stored.id)] = stored
        if stored.type not in QUESTIONS:
            self.shown.clear()
        self.types.add(stored.type)
        self.written[(stored.type, stored.id)] = stored

    def change(self, written: Written) -> None:
        """A changed resource whose row is written already; its projections follow at the next flush."""
        self._changed.append(written)
        self.shown.clear()
        self.types.add(written.stored.type)
        self.written[(written.stored.type, written.stored.id)] = written.stored

    def waiting(self, type: str, id: str) -> Stored | None:
        """A new resource that is not in the database yet."""
        return self._new.get((type, id))

    @property
    def waits_to_show(self) -> bool:
        """Does anything wait that may change what payers are shown of other resources?"""
        return bool(self._changed) or any(stored.type not in QUESTIONS for stored in self._new.values())

    def no_case_yet(self, type: str, id: str) -> bool:
        """Is this the first version of a referral or a Task, for which only this transaction could have opened a case, and has not?"""
        stored = self.written.get((type, id))
        return stored is not None and stored.version == 1 and f"{type}/{id}" not in self.cases

    def flush(self) -> None:
        """Write everything that waits. Raises TransientConflict when another transaction was first."""
        if self.write_claims is not None and self.claims:
            self.write_claims()
        if self._new or self._changed:
            written = [*self._insert_resources(), *self._changed]
            self._changed = []
            for projection in self._projections:
                projection.write(self, written)
        if self._rows:
            pending, self._rows = self._rows, {}
            for table, rows in pending.items():
                self.execute(self.known(f"insert {table.name}", table.insert), rows)
        if self._values:
            values, self._values = self._values, {}
            for table, tuples in ((table, rows) for table, rows in values.items() if rows):
                run_many(self.connection, _insert_text(table, self.dialect), tuples)

    def _insert_resources(self) -> list[Written]:
        if not self._new:
            return []
        new, self._new = self._new, {}
        rows = [_resource_row(stored) for stored in new.values()]
        make = self.known("new resources", lambda: self.insert(tables.resource).on_conflict_do_nothing().returning(*_IDENTITY))
        returned = self.execute(make, rows)
        keys = {(row.type, row.id): row.pk for row in returned}
        if len(keys) < len(new):
            raise RaceLostError("another transaction created a resource under the same id")
        return [Written(keys[name], stored, created=True) for name, stored in new.items()]

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that can say ON CONFLICT, in the database's own dialect."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    def lock(self, names: Iterable[str]) -> bool:
        """Hold these names until the transaction ends; others asking for one of them wait. False when there was nobody to wait for: writers on SQLite
        are serial.
        """
        if self.dialect != "postgresql":
            return False
        numbers = {int.from_bytes(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True) for name in names}
        if numbers:
            self.execute(_ADVISORY_LOCKS, {"numbers": sorted(numbers)})
        return bool(numbers)


_KNOWN: dict[tuple[str, str], Executable] = {}
_IDENTITY = (tables.resource.c.pk, tables.resource.c.type, tables.resource.c.id)
# In the order of the numbers, which is the same for everyone, so that two transactions do not wait for each other here.
_ADVISORY_LOCKS = text("SELECT pg_advisory_xact_lock(number) FROM unnest(CAST(:numbers AS bigint[])) AS number")


@cache
def _insert_text(table: Table, dialect: str) -> str:
    """INSERT of a whole row in the driver's own parameter style. All parts are names from the table's definition."""
    marks = ", ".join(["%s" if dialect == "postgresql" else "?"] * len(table.c))
    return f"INSERT INTO {table.name} ({', '.join(table.c.keys())}) VALUES ({marks})"  # noqa: S608 - names from our own tables


def _resource_row(stored: Stored) -> Row:
    return {
        "type": stored.type,
        "id": stored.id,
        "version": stored.version,
        "last_updated": stored.last_updated,
        "deleted": stored.deleted,
        "owner": stored.owner,
        "inbox_id": stored.inbox_id,
        "clock_clinical": stored.clock.clinical,
        "clock_message": stored.clock.message,
        "clock_rank": stored.clock.rank,
        "body": stored.body,
    }
