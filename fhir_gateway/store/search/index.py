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

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of parameter is stored: its table, its columns after `param`, and the values of one element."""

    table: Table
    columns: tuple[str, ...]
    values: Callable[[Any], Iterator[tuple[Any, ...]]]


# One row per kind of search parameter (FHIR R4 search.html, section 3.1.1.4). uri is matched exactly, as a token without system.
KINDS: Final[dict[str, Kind]] = {
    "token": Kind(tables.token, ("system", "code"), tokens),
    "uri": Kind(tables.token, ("system", "code"), tokens),
    "string": Kind(tables.string, ("folded", "exact"), strings),
    "reference": Kind(tables.reference, ("target_type", "target"), targets),
    "date": Kind(tables.date, ("low", "high"), ranges),
}


@dataclass(frozen=True, slots=True)
class _Compiled:
    parameter: SearchParameter
    kind: Kind
    get: Getter


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

    def rows(self, resource: Json, pk: int) -> Iterator[tuple[Table, Row]]:
        """The search rows of a resource. The same value twice under one parameter is one row."""
        n = 0
        seen: set[tuple[Any, ...]] = set()
        for compiled in self._compiled.get(resource["resourceType"], ()):
            name = compiled.parameter.name
            for element in compiled.get(resource):
                for value in compiled.kind.values(element):
                    if (name, *value) not in seen:
                        seen.add((name, *value))
                        n += 1
                        yield compiled.kind.table, {"resource": pk, "n": n, "param": name, **dict(zip(compiled.kind.columns, value, strict=True))}
                if compiled.parameter.kind == "reference" and isinstance(element, dict) and "identifier" in element:
                    for token in tokens(element["identifier"]):
                        n += 1
                        row = {"resource": pk, "n": n, "param": f"{name}:identifier", "system": token.system, "code": token.code}
                        yield tables.token, row
