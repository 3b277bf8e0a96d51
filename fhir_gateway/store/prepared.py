"""Statements compiled once and given to the driver as they are.

SQLAlchemy looks a statement up by its structure, binds, and describes the result anew at every execution, which costs more than most of our statements
themselves. One that is one object of this program, executed again and again, is compiled by SQLAlchemy once; from then on only its values are
converted, by SQLAlchemy's own types, and its rows are tuples with names. Whatever is not such a statement goes the usual way.
"""

from __future__ import annotations

import re
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase, ValuesBase
from sqlalchemy.sql.selectable import SelectBase

Convert = Callable[[Any], Any]
_LIST: Final = re.compile(r"__\[POSTCOMPILE_(\w+)\]")
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""A list of values is filled up to one of these sizes by repeating its last value, so that few texts are ever made of a query."""


class Text(NamedTuple):
    """What the driver is given. order: for a driver that takes values by position, the name and, of a list, the index of each; None for one that takes
    them by name.
    """

    text: str
    order: tuple[tuple[str, int | None], ...] | None


class Changed(NamedTuple):
    """What a statement did that returns nothing."""

    rowcount: int


class Found:
    """The rows a statement found, read the ways our own code reads SQLAlchemy's results; every way may be used once or more."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, None when there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row. Raises ValueError when there are none or several."""
        (row,) = self._rows
        return row

    def scalars(self) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self._rows]

    def scalar(self) -> Any:
        """The first column of the first row, None when there is none."""
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """The first column of the only row. Raises ValueError when there are none or several."""
        return self.one()[0]


class Prepared:
    """One compiled statement. Not for one whose lists are rendered in a way of their own: see `possible`."""

    def __init__(self, compiled: SQLCompiler, dialect: Dialect) -> None:
        """compiled: as `possible` allows."""
        self._source = compiled.string
        self._lists = tuple(dict.fromkeys(bind.key for bind in compiled.post_compile_params))
        self._defaults: dict[str, Any] = dict(compiled.construct_params(_check=False))
        self._binds: dict[str, Convert] = {name: convert for name, convert in compiled._bind_processors.items() if callable(convert)}
        self._positions = compiled.positiontup
        self._row_type: Final = _row_type(tuple(str(column.keyname) for column in compiled._result_columns))
        kinds = enumerate(column.type._cached_result_processor(dialect, None) for column in compiled._result_columns)
        self._converted: tuple[tuple[int, Convert], ...] = tuple((n, convert) for n, convert in kinds if convert is not None)
        self._texts: dict[tuple[int, ...], Text] = {}
        self._plain = None if self._lists or self._positions is None else tuple((name, self._binds.get(name)) for name in self._positions)

    @staticmethod
    def possible(compiled: SQLCompiler) -> bool:
        """Is its text fixed but for lists of plain values?"""
        if compiled.literal_execute_params or compiled.escaped_bind_names or compiled.insert_prefetch or compiled.update_prefetch:
            return False
        lists = _LIST.findall(compiled.string)
        return len(lists) == compiled.string.count("POSTCOMPILE") and set(lists) == {bind.key for bind in compiled.post_compile_params}

    @property
    def fixed(self) -> bool:
        """Is its text the same for all values?"""
        return not self._lists

    def takes(self, connection: Connection, values: Mapping[str, Any] | None) -> bool:
        """A list with nothing in it, or with very much, is better left to SQLAlchemy, and so is what somebody listens to."""
        if connection._has_events:
            return False
        return not self._lists or all(0 < len((values or self._defaults)[name] or ()) <= _SIZES[-1] for name in self._lists)

    def run(self, connection: Connection, values: Mapping[str, Any] | None) -> Found | Changed:
        """Every row, or how many rows changed. Raises as SQLAlchemy does."""
        text, given = self._given(values)
        cursor: Any = driver(connection).cursor()
        try:
            cursor.execute(text, given)
            if self._row_type is None:
                return Changed(cursor.rowcount)
            found = cursor.fetchall()
        except Exception as fault:  # noqa: BLE001 - SQLAlchemy itself tells the driver's faults from ours
            connection._handle_dbapi_exception(fault, text, given, cursor, None)
        finally:
            cursor.close()
        return self._found(found)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Found | Changed:
        """As `run`, once for each of these rows, which have the same names and no lists. For a driver to which a statement costs no journey."""
        cursor: Any = driver(connection).cursor()
        given: Any = None
        found: list[Any] = []
        try:
            if self._row_type is None:
                cursor.executemany(self._source, [self._given(row)[1] for row in rows])
                return Changed(cursor.rowcount)
            for row in rows:
                text, given = self._given(row)
                cursor.execute(text, given)
                found += cursor.fetchall()
        except Exception as fault:  # noqa: BLE001 - SQLAlchemy itself tells the driver's faults from ours
            connection._handle_dbapi_exception(fault, self._source, given, cursor, None)
        finally:
            cursor.close()
        return self._found(found)

    def _given(self, values: Mapping[str, Any] | None) -> tuple[str, Any]:
        bound = {**self._defaults, **values} if values else dict(self._defaults)
        if self._plain is not None:
            return self._source, tuple([bound[name] if convert is None else convert(bound[name]) for name, convert in self._plain])
        for name, convert in self._binds.items():
            bound[name] = [convert(one) for one in bound[name]] if name in self._lists else convert(bound[name])
        sizes = []
        for name in self._lists:
            listed = list(bound[name])
            size = next(size for size in _SIZES if size >= len(listed))
            bound[name] = listed + listed[-1:] * (size - len(listed))
            sizes.append(size)
        text, order = self._texts.get(tuple(sizes)) or self._sized(tuple(sizes))
        if order is not None:
            return text, tuple([bound[name] if n is None else bound[name][n] for name, n in order])
        for name in self._lists:
            bound.update((f"{name}__{n}", value) for n, value in enumerate(bound.pop(name)))
        return text, bound

    def _sized(self, sizes: tuple[int, ...]) -> Text:
        size = dict(zip(self._lists, sizes, strict=True))
        if self._positions is None:
            text = _LIST.sub(lambda found: ", ".join(f"%({found[1]}__{n})s" for n in range(size[found[1]])), self._source)
            made = Text(text, None)
        else:
            text = _LIST.sub(lambda found: ", ".join("?" * size[found[1]]), self._source)
            order = [(name, n) for name in self._positions for n in (range(size[name]) if name in size else (None,))]
            made = Text(text, tuple(order))
        self._texts[sizes] = made
        return made

    def _found(self, rows: list[Any]) -> Found:
        if not rows:
            return Found(rows)
        made: list[Any] = []
        for row in rows:
            values = list(row)
            for n, convert in self._converted:
                values[n] = convert(values[n])
            made.append(tuple.__new__(self._row_type, values))
        return Found(made)


def _row_type(names: tuple[str, ...]) -> Any:
    """A tuple with these names, None for none. `_mapping` is what SQLAlchemy calls a row as a mapping."""
    if not names:
        return None
    kind = namedtuple("Row", names, rename=True)  # type: ignore[misc] # the names are those of the statement at hand
    return type("Row", (kind,), {"__slots__": (), "_mapping": property(kind._asdict)})


def driver(connection: Connection) -> Any:
    """The driver's own connection under a SQLAlchemy connection in use."""
    held = connection._dbapi_connection
    return connection.connection.dbapi_connection if held is None else held.dbapi_connection


def run_many(connection: Connection, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A statement in the driver's own style for each of these rows of plain values. Raises as SQLAlchemy does."""
    cursor: Any = driver(connection).cursor()
    try:
        cursor.executemany(text, rows)
    except Exception as fault:  # noqa: BLE001 - SQLAlchemy itself tells the driver's faults from ours
        connection._handle_dbapi_exception(fault, text, rows, cursor, None)
    finally:
        cursor.close()


class Statements:
    """The prepared statements of one kind of database, by the statement object. Safe to use from several threads: at worst one is compiled twice."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[int, tuple[weakref.ref[Executable], dict[tuple[str, ...], Prepared | None]]] = {}
        self._once: dict[int, weakref.ref[Executable]] = {}

    def of(self, statement: Executable, values: Mapping[str, Any] | None) -> Prepared | None:
        """The prepared form of a statement executed for the second time or more; None for what goes the usual way. values: an INSERT or UPDATE is of these columns."""
        key = id(statement)
        known = self._known.get(key)
        if known is None or known[0]() is not statement:
            if not self._seen_before(key, statement):
                return None
            known = self._known[key] = (weakref.ref(statement, lambda _: self._known.pop(key, None)), {})
        columns = tuple(values or ()) if isinstance(statement, ValuesBase) else ()
        if columns not in known[1]:
            known[1][columns] = self._compiled(statement, columns)
        return known[1][columns]

    def _seen_before(self, key: int, statement: Executable) -> bool:
        seen = self._once.get(key)
        if seen is not None and seen() is statement:
            return True
        self._once[key] = weakref.ref(statement, lambda _: self._once.pop(key, None))
        return False

    def _compiled(self, statement: Executable, columns: tuple[str, ...]) -> Prepared | None:
        if not isinstance(statement, SelectBase | UpdateBase):
            return None
        compiled = statement.compile(dialect=self._dialect, column_keys=list(columns) if columns else None)
        assert isinstance(compiled, SQLCompiler)
        return Prepared(compiled, self._dialect) if Prepared.possible(compiled) else None


_STATEMENTS: dict[tuple[Any, ...], Statements] = {}


def statements(dialect: Dialect) -> Statements:
    """Those for a database: the same for every database of its kind and version, since the same text is right for all of them."""
    kind = (dialect.name, dialect.driver, dialect.paramstyle, getattr(dialect, "server_version_info", None))
    return _STATEMENTS.get(kind) or _STATEMENTS.setdefault(kind, Statements(dialect))
