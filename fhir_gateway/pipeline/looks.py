"""How an answer is to look: `_summary` and `_elements`. R4 search.html#summary and #elements; also for read, vread and history.

A part of a resource carries the tag SUBSETTED, so that nobody takes it for the whole and writes it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from fhir_gateway.errors import UnknownParameterError
from fhir_gateway.store import Stored
from fhir_gateway.validation import encode, shapes

Json = dict[str, Any]
SUMMARIES: Final = ("count", "false", "true", "text", "data")
SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}
PARAMETERS: Final = ("_summary", "_elements")
_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})


@dataclass(frozen=True, slots=True)
class Looks:
    """summary: one of SUMMARIES, "" when nothing was said. elements: as asked, some with their type before a point."""

    summary: str = ""
    elements: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Is every resource wanted as it is?"""
        return self.summary in ("", "false", "count") and not self.elements


def looks_of(pairs: Iterable[tuple[str, str]]) -> Looks:
    """The looks asked for among the parameters of a request. Raises UnknownParameterError."""
    summary, elements = "", list[str]()
    for name, value in pairs:
        if name == "_summary":
            if value not in SUMMARIES:
                raise UnknownParameterError("_summary needs count, false, true, text or data")
            summary = value
        elif name == "_elements":
            elements += [part.strip() for part in value.split(",") if part.strip()]
    if elements and summary in ("true", "text", "data"):
        raise UnknownParameterError(f"_elements and _summary={summary} each say what is left out: ask for one of them")
    return Looks(summary, tuple(elements))


def shown(stored: Stored, looks: Looks) -> bytes:
    """The body of an answer about one resource."""
    return stored.body if looks.whole or stored.deleted else encode(part_of(stored.resource, looks))


def part_of(resource: Json, looks: Looks) -> Json:
    """The part of a resource that is wanted, tagged; elements that must be there are kept (search.html#elements)."""
    type = str(resource["resourceType"])
    shape = shapes.shape_of_resource(type)
    if looks.whole or shape is None:
        return resource
    must = {*_ALWAYS, *shape.required, *(name for name, element in shape.elements.items() if element.group in shape.required_groups)}
    match looks.summary:
        case "data":
            kept = {name: value for name, value in resource.items() if name != "text"}
        case "text":
            kept = _only(resource, must | {"text"})
        case "true":
            kept = _only(resource, must | set(shape.summary))
        case _:
            kept = _only(resource, must | set(_wanted(type, looks.elements, shape)))
    meta = resource.get("meta") or {}
    return kept | {"meta": meta | {"tag": [*meta.get("tag", ()), SUBSETTED]}}


def _only(resource: Json, names: set[str]) -> Json:
    return {name: value for name, value in resource.items() if name.removeprefix("_") in names}


def _wanted(type: str, elements: tuple[str, ...], shape: shapes.Shape) -> list[str]:
    """Names of elements, of this type's own only where a type is named; a choice by its base name (`value`)."""
    names: list[str] = []
    for element in elements:
        before, point, after = element.partition(".")
        name = after.partition(".")[0] if point and before == type else before
        if point and before != type and before[:1].isupper():
            continue
        names += [name, *(alias for alias, one in shape.elements.items() if one.group == name)]
    return names
