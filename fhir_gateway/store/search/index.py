"""Every search parameter, compiled: which there are on a type, and the search rows of a resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from sqlalchemy import Table

from fhir_gateway.store import tables
from fhir_gateway.store.search.composites import Meeting, meetings
from fhir_gateway.store.search.expression import ExpressionError, Getter, beginnings, compile_expression, union
from fhir_gateway.store.search.extract import measures, ranges, strings, targets, tokens, typed
from fhir_gateway.store.stored import Json
from profiles import searchparameters
from profiles.searchparameters import SearchParameter

# Parameters of every type that are columns of `resource` and need no rows of their own.
COLUMNS: Final = frozenset({"_id", "_lastUpdated"})

Row = tuple[Any, ...]
"""resource, n, param and the other columns of the kind's table."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of parameter is stored: its table, and the values of one element for the table's columns after `param`."""

    table: Table
    values: Callable[[Any], Iterator[tuple[Any, ...]]]


# One row per kind of search parameter (FHIR R4 search.html, section 3.1.1.4). uri is matched exactly, as a token without system.
KINDS: Final[dict[str, Kind]] = {
    "token": Kind(tables.token, tokens),
    "uri": Kind(tables.token, tokens),
    "string": Kind(tables.string, strings),
    "reference": Kind(tables.reference, targets),
    "date": Kind(tables.date, ranges),
    "number": Kind(tables.quantity, measures),
    "quantity": Kind(tables.quantity, measures),
}
_TYPED: Final = Kind(tables.token, typed)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """begins: the elements one of which a resource must have for it to have a value; empty where that is not known."""

    parameter: SearchParameter
    kind: Kind
    get: Getter
    begins: frozenset[str]

    def found(self, elements: list[Any]) -> list[Any]:
        """What `get` has got, as the elements that hold the values."""
        return elements

    def made(self, elements: list[Any]) -> Iterable[tuple[Any, ...]]:
        """The values of what `get` has got."""
        if len(elements) == 1:
            return dict.fromkeys(self.kind.values(elements[0]))
        return dict.fromkeys(value for element in elements for value in self.kind.values(element))

    def values(self, elements: list[Any], type: str) -> Iterator[tuple[Kind, str, Iterable[tuple[Any, ...]]]]:
        """What to store, under which name: each value once. A reference by identifier is found by that too, an identifier by its type."""
        name = self.parameter.of(type)
        yield self.kind, name, self.made(elements)
        if self.parameter.kind == "reference":
            identifiers = [element["identifier"] for element in self.found(elements) if isinstance(element, dict) and "identifier" in element]
            if identifiers:
                yield KINDS["token"], f"{name}:identifier", dict.fromkeys(token for identifier in identifiers for token in tokens(identifier))
        elif self.parameter.code == "identifier":
            yield _TYPED, f"{name}:of-type", dict.fromkeys(token for element in elements for token in typed(element))


@dataclass(frozen=True, slots=True)
class _Repeated(_Compiled):
    """A part of a composite whose values meet those of the other part in an element that repeats: `get` gets these elements, `inner` what is in one."""

    inner: Getter

    def found(self, elements: list[Any]) -> list[Any]:
        return [value for element in elements for value in self.inner(element)]

    def made(self, elements: list[Any]) -> Iterable[tuple[Any, ...]]:
        each = ((n, value) for n, element in enumerate(elements) for held in self.inner(element) for value in self.kind.values(held))
        return dict.fromkeys((*value[:-1], n) for n, value in each)


class SearchIndex:
    """The parameters of every type."""

    def __init__(self, parameters: Iterable[SearchParameter]) -> None:
        """Raises ExpressionError, naming the part of an expression that is not understood, and KeyError for an unknown kind or part."""
        self._compiled: dict[str, list[_Compiled]] = {}
        self._parameters: dict[str, dict[str, SearchParameter]] = {}
        self._merged: dict[str, dict[str, SearchParameter]] = {}
        self._parts: dict[str, tuple[SearchParameter, ...]] = {}
        self._meetings: dict[str, tuple[Meeting, ...]] = {}
        for parameter in parameters:
            self._parameters.setdefault(parameter.type, {})[parameter.code] = parameter
        for known in self._parameters.values():
            self._parts |= {parameter.name: parts for parameter in known.values() if (parts := _parts(parameter, known.values()))}
            composites = {parameter.name: parameter for parameter in known.values() if parameter.kind == "composite"}
            self._meetings |= {name: meetings(parameter, known.values(), self.held_as) for name, parameter in composites.items()}
            places = {part: meeting.element for name in composites for meeting in self._meetings[name] if meeting.repeats for part in meeting.parts}
            for parameter in known.values():
                if parameter.name not in self._parts and parameter.name not in composites and parameter.code not in COLUMNS:
                    self._compiled.setdefault(parameter.type, []).append(_compile(parameter, places.get(parameter)))

    @staticmethod
    @cache
    def load() -> SearchIndex:
        """The index of the shipped parameters, compiled once."""
        return SearchIndex(searchparameters.load())

    def parameters(self, type: str) -> dict[str, SearchParameter]:
        """By code, what can be searched on a type."""
        if type not in self._merged:
            common = {code: replace(parameter, type=type) for code, parameter in self._parameters.get("Resource", {}).items()}
            self._merged[type] = {**common, **self._parameters.get(type, {})}
        return self._merged[type]

    def held_as(self, parameter: SearchParameter) -> tuple[SearchParameter, ...]:
        """The parameters whose search rows answer this one: itself, or those it is the union of."""
        return self._parts.get(parameter.name, (parameter,))

    def meetings(self, parameter: SearchParameter) -> tuple[Meeting, ...]:
        """Where the parts of a composite meet, any of which will do."""
        return self._meetings[parameter.name]

    def references(self, resource: Json, code: str, target: str = "") -> list[str]:
        """`Type/id` of what a resource of this server points at by one of its parameters ("*": by any), of one type of target where it is named."""
        found: dict[str, None] = {}
        for compiled in self._compiled.get(resource["resourceType"], ()):
            if compiled.parameter.kind == "reference" and code in ("*", compiled.parameter.code):
                for element in compiled.found(compiled.get(resource)):
                    found.update((f"{at.type}/{at.target}", None) for at in targets(element) if at.type and target in ("", at.type))
        return list(found)

    @property
    def types(self) -> frozenset[str]:
        """Types that can be searched by more than what all have."""
        return frozenset(self._parameters) - {"Resource"}

    def rows(self, resource: Json, pk: int) -> dict[Table, list[Row]]:
        """The search rows of a resource, by table, in the order of its columns. The same value twice under one parameter is one row."""
        found: dict[Table, list[Row]] = {}
        n = 0
        type, elements_of = resource["resourceType"], resource.keys()
        for compiled in (*self._compiled.get("Resource", ()), *self._compiled.get(type, ())):
            if (compiled.begins and elements_of.isdisjoint(compiled.begins)) or not (elements := compiled.get(resource)):
                continue
            for kind, name, values in compiled.values(elements, type):
                rows = found.setdefault(kind.table, [])
                for value in values:
                    n += 1
                    rows.append((pk, n, name, *value))
        return found


def _compile(parameter: SearchParameter, place: str | None) -> _Compiled:
    """place: the repeating element in which its values meet those of another parameter; None for most."""
    kind, begins = KINDS[parameter.kind], beginnings(parameter.expression)
    if place is None:
        return _Compiled(parameter, kind, compile_expression(parameter.expression), begins)
    if "element" not in kind.table.c:
        raise ExpressionError(f"{parameter.name}: its search rows do not say of which {place} they are")
    within = " | ".join(f"Element{path.removeprefix(place)}" for path in parameter.expression.split(" | "))
    return _Repeated(parameter, kind, compile_expression(place), begins, compile_expression(within))


def _parts(parameter: SearchParameter, known: Iterable[SearchParameter]) -> tuple[SearchParameter, ...]:
    """The other parameters of a type that together say what this one does (combo-code: code, component-code), so that it needs no rows of its own; none
    for most. References and identifiers have rows of a second kind, and stay.
    """
    paths = union(parameter.expression)
    if len(paths) < 2 or parameter.kind in ("reference", "composite") or parameter.code == "identifier":
        return ()
    parts = tuple(other for other in known if other.kind == parameter.kind and union(other.expression) < paths)
    return parts if frozenset().union(*(union(part.expression) for part in parts)) == paths else ()
