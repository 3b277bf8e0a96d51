"""Every search parameter, compiled: which there are on a type, and the search rows of a resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Table

from fhir_gateway.store import tables
from fhir_gateway.store.search.expression import Getter, compile_expression
from fhir_gateway.store.search.extract import ranges, strings, targets, tokens
from fhir_gateway.store.stored import Json
from profiles import searchparameters
from profiles.searchparameters import SearchParameter

# Parameters of every type that are columns of `resource` and need no rows of their own.
COLUMNS: Final = frozenset({"_id", "_lastUpdated"})

Row = tuple[int, int, str, Any, Any]
"""resource, n, param and the two columns of the kind's table."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of parameter is stored: its table, and the values of one element for the table's two columns after `param`."""

    table: Table
    values: Callable[[Any], Iterator[tuple[Any, Any]]]


# One row per kind of search parameter (FHIR R4 search.html, section 3.1.1.4). uri is matched exactly, as a token without system.
KINDS: Final[dict[str, Kind]] = {
    "token": Kind(tables.token, tokens),
    "uri": Kind(tables.token, tokens),
    "string": Kind(tables.string, strings),
    "reference": Kind(tables.reference, targets),
    "date": Kind(tables.date, ranges),
}


@dataclass(frozen=True, slots=True)
class _Compiled:
    parameter: SearchParameter
    kind: Kind
    get: Getter

    def values(self, elements: list[Any]) -> Iterator[tuple[Kind, str, Iterable[tuple[Any, Any]]]]:
        """What to store, under which name: each value once. A reference by identifier is found by that too."""
        name = self.parameter.name
        yield self.kind, name, dict.fromkeys(value for element in elements for value in self.kind.values(element))
        if self.parameter.kind == "reference":
            identifiers = [element["identifier"] for element in elements if isinstance(element, dict) and "identifier" in element]
            if identifiers:
                yield KINDS["token"], f"{name}:identifier", dict.fromkeys(token for identifier in identifiers for token in tokens(identifier))


class SearchIndex:
    """The parameters of every type."""

    def __init__(self, parameters: Iterable[SearchParameter]) -> None:
        """Raises ExpressionError, naming the part of an expression that is not understood, and KeyError for an unknown kind."""
        self._compiled: dict[str, list[_Compiled]] = {}
        self._parameters: dict[str, dict[str, SearchParameter]] = {}
        for parameter in parameters:
            self._parameters.setdefault(parameter.type, {})[parameter.code] = parameter
            if parameter.code not in COLUMNS:
                compiled = _Compiled(parameter, KINDS[parameter.kind], compile_expression(parameter.expression))
                self._compiled.setdefault(parameter.type, []).append(compiled)

    @staticmethod
    @cache
    def load() -> SearchIndex:
        """The index of the shipped parameters, compiled once."""
        return SearchIndex(searchparameters.load())

    def parameters(self, type: str) -> dict[str, SearchParameter]:
        """By code, what can be searched on a type."""
        return {**self._parameters.get("Resource", {}), **self._parameters.get(type, {})}

    def rows(self, resource: Json, pk: int) -> dict[Table, list[Row]]:
        """The search rows of a resource, by table, in the order of its columns. The same value twice under one parameter is one row."""
        found: dict[Table, list[Row]] = {}
        n = 0
        for compiled in self._compiled.get(resource["resourceType"], ()):
            elements = compiled.get(resource)
            if not elements:
                continue
            for kind, name, values in compiled.values(elements):
                rows = found.setdefault(kind.table, [])
                for one, other in values:
                    n += 1
                    rows.append((pk, n, name, one, other))
        return found
