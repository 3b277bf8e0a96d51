"""Looking up many rows by two columns at once, by an index on both databases.

SQLite answers `(a, b) IN (VALUES …)` by a full scan, so the pairs are spelled out: `a = ? AND b = ? OR …`. The statements are built once, for a few
sizes; a shorter list is filled up by repeating its last pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, or_

from fhir_gateway.store.work import Work

_SIZES: Final = (1, 4, 16, 64)


class PairLookup:
    """A select, limited to the rows in which columns `a` and `b` hold one of the pairs asked for."""

    def __init__(self, query: Select[Any], a: ColumnElement[Any], b: ColumnElement[Any]) -> None:
        self._sized = {size: query.where(or_(*(and_(a == bindparam(f"a{n}"), b == bindparam(f"b{n}")) for n in range(size)))) for size in _SIZES}

    def rows(self, work: Work, pairs: Sequence[tuple[str, str]], values: dict[str, Any] | None = None) -> Iterator[Row[Any]]:
        """The rows for these pairs, in no order. values: what else the select has to be given."""
        for start in range(0, len(pairs), _SIZES[-1]):
            batch = pairs[start : start + _SIZES[-1]]
            size = next(size for size in _SIZES if size >= len(batch))
            given = dict(values or {})
            for n in range(size):
                given[f"a{n}"], given[f"b{n}"] = batch[min(n, len(batch) - 1)]
            yield from work.execute(self._sized[size], given)
