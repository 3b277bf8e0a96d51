"""Composite search parameters (`component-code-value-quantity=http://loinc.org|8480-6$gt140`): where the values of their parts meet.

FHIR R4 search.html#composite. A composite has no search rows of its own. What its parts hold is found where their rows are: those of one resource where
the element they meet in is the resource itself (Observation.code and value), those with the same number where it repeats (Observation.component).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fhir_gateway.store.search.expression import ExpressionError, union
from profiles.searchparameters import SearchParameter


@dataclass(frozen=True, slots=True)
class Meeting:
    """An element in which values of all parts meet. parts: the parameters whose search rows have them, in order. repeats: only rows of the same `element`
    (its position, from 0) belong together; otherwise all of the resource.
    """

    element: str
    parts: tuple[SearchParameter, ...]
    repeats: bool


def meetings(
    composite: SearchParameter, known: Iterable[SearchParameter], held_as: Callable[[SearchParameter], Sequence[SearchParameter]]
) -> tuple[Meeting, ...]:
    """Where the parts of a composite meet, any of which will do: each path of its expression. known: the parameters of its type. held_as: those that
    answer one of them.

    Raises KeyError for a component that is none of them, ExpressionError where an element has not exactly one parameter for each component.
    """
    by_url = {parameter.url: parameter for parameter in known}
    elements = sorted(union(composite.expression))
    found: list[Meeting] = []
    for element in elements:
        held = [[part for part in held_as(by_url[url]) if _around(part, elements) == element] for url in composite.components]
        if len(held) < 2 or any(len(parts) != 1 for parts in held):
            raise ExpressionError(f"{composite.name}: {element} does not have one parameter for each of two or more components")
        found.append(Meeting(element, tuple(part for (part,) in held), element != composite.type))
    return tuple(found)


def _around(parameter: SearchParameter, elements: Sequence[str]) -> str:
    """The innermost of these elements that all paths of a parameter are in; "" for none."""
    around = {max((one for one in elements if path.startswith(f"{one}.")), key=len, default="") for path in union(parameter.expression)}
    return around.pop() if len(around) == 1 else ""
