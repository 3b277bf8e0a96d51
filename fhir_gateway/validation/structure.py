"""Walk a resource along its compiled shape, once, and collect every fault: unknown elements, wrong JSON types, empty values, cardinality, bindings,
reference targets, and the rules of datatypes and resources (`rules`)."""

from __future__ import annotations

from typing import Any, Final

from fhir_gateway.validation.issue import Issue
from fhir_gateway.validation.primitives import fault
from fhir_gateway.validation.rules import DATATYPES, check_rules
from fhir_gateway.validation.shapes import Element, Shape, shape, shape_of_resource
from fhir_gateway.validation.walk import At, Walk, place

Json = dict[str, Any]


def validate(resource: Any, at: str = "") -> list[Issue]:
    """All faults of one resource (contained ones and Bundle entries included), [] when it is legal.

    `at` is the FHIRPath of the resource when it stands inside something else, "" for one on its own.
    """
    issues: list[Issue] = []
    _resource(resource, at, Walk(issues))
    return issues


def _resource(resource: Any, at: At, outer: Walk, *, contained: bool = False) -> None:
    """outer: the walk this resource stands in; a contained resource shares it, an entry of a Bundle has one of its own."""
    known = _known(resource, at, outer)
    if known is None:
        return
    walk = outer if contained else Walk(outer.issues)
    path = at or known.name
    _object(resource, known, path, walk, is_resource=True)
    check_rules(known.name, resource, path, walk, contained=contained)


def _known(resource: Any, at: At, walk: Walk) -> Shape | None:
    """The shape of what claims to be a resource, None with an issue when it is none."""
    if not isinstance(resource, dict):
        walk.error("structure", "must be a JSON object with a resourceType", at)
        return None
    name = resource.get("resourceType")
    if not isinstance(name, str) or not name:
        walk.error("structure", "resourceType is missing", at or "resourceType")
        return None
    known = shape_of_resource(name)
    if known is None:
        walk.error("not-supported", f"'{name[:64]}' is not a resource type of FHIR R4 known here", (at, "resourceType") if at else "resourceType")
    return known


def _object(value: Json, form: Shape, at: At, walk: Walk, *, is_resource: bool = False) -> None:
    elements = form.elements
    chosen: dict[str, str] | None = None
    for key, content in value.items():
        element = elements.get(key)
        if element is None:
            if is_resource and key == "resourceType":
                continue
            if key[:1] == "_":
                element = _beside(key, content, form, at, walk)
            else:
                walk.error("structure", f"{form.name} has no element '{key[:64]}'", (at, key[:64]))
            if element is None:
                continue
        elif type(content) is not str or not (
            content in element.known or (element.plain and content.isprintable() and not content.isspace() and content)
        ):
            _element(element, content, (at, key), walk, value)
        if element.group:
            chosen = {} if chosen is None else chosen
            if chosen.setdefault(element.group, element.name) != element.name:
                walk.error("structure", f"only one of {chosen[element.group]}, {element.name} may stand", (at, element.name))
    for key in form.required:
        if key not in value and f"_{key}" not in value:
            walk.error("required", f"{form.name}.{key} is required", (at, key))
    for group in form.required_groups:
        if chosen is None or group not in chosen:
            walk.error("required", f"{form.name}.{group}[x] is required", (at, group))
    rule = DATATYPES.get(form.name)
    if rule is not None:
        rule(value, at, walk)


def _element(element: Element, content: Any, at: At, walk: Walk, owner: Json) -> None:
    if content is None:
        walk.error("structure", "must not be null; leave the element out instead", at)
    elif element.many:
        if not isinstance(content, list):
            walk.error("structure", "must be a JSON array", at)
        elif not content:
            walk.error("structure", "must not be an empty array; leave the element out instead", at)
        else:
            _items(element, content, at, walk, owner.get(f"_{element.name}") if element.kind else None)
    elif isinstance(content, list):
        walk.error("structure", "must not be an array: it may stand only once", at)
    else:
        _one(element, content, at, walk)


def _items(element: Element, content: list[Any], at: At, walk: Walk, beside: Any) -> None:
    for position, item in enumerate(content):
        if item is None and isinstance(beside, list) and position < len(beside) and beside[position]:
            continue  # a null that only makes room for an extension in `_name`
        _one(element, item, (at, position), walk)


def _one(element: Element, item: Any, at: At, walk: Walk) -> None:
    kind = element.kind
    if not kind:
        if not isinstance(item, dict):
            walk.error("structure", "must be a JSON object", at)
        elif not item:
            walk.error("structure", "must not be an empty object; leave the element out instead", at)
        else:
            _object(item, shape(element.of), at, walk)
            if element.targets:
                _reference(element, item, at, walk)
    elif kind == "resource":
        _resource(item, at, walk, contained=element.name == "contained")
    elif element.codes and isinstance(item, str) and item in element.codes:
        return
    elif found := fault(kind, item):
        walk.error(found[0], f"{place(at).rpartition('.')[2]} {found[1]}", at)
    elif element.codes:
        walk.error("code-invalid", f"'{str(item)[:64]}' is not one of {', '.join(sorted(element.codes)[:12])}", at)
    elif kind in _SAID_AGAIN and not element.many and len(item) <= _LONGEST and len(element.known) < _MOST:
        element.known.add(item)


_SAID_AGAIN: Final = frozenset({"code", "uri", "url", "canonical"})
"""Kinds of which the same few texts come again and again; never names, numbers or dates of people."""
_LONGEST: Final = 100
_MOST: Final = 512

ANY: Final = "Resource"


def _reference(element: Element, item: Json, at: At, walk: Walk) -> None:
    """Only what the text says can be judged: `Type/id` (relative or absolute) or Reference.type; `urn:` and `#` are settled by the Bundle or dom-3."""
    if ANY in element.targets:
        return
    target = item.get("type")
    reference = item.get("reference")
    if isinstance(reference, str) and not reference.startswith(("#", "urn:")):
        parts = reference.split("?")[0].split("/_history/")[0].rstrip("/").split("/")
        named = parts[-2] if len(parts) >= 2 else (parts[0] if "?" in reference else None)
        if named and shape_of_resource(named):
            target = named
    if isinstance(target, str) and target not in element.targets and not target.startswith("http"):
        walk.error("value", f"may not refer to {target[:64]}, only to {', '.join(sorted(element.targets))}", (at, "reference"))


def _beside(key: str, content: Any, form: Shape, at: At, walk: Walk) -> Element | None:
    """`_birthDate`: id and extensions of a primitive element, which is returned."""
    element = form.elements.get(key[1:])
    if element is None or not element.kind or element.kind == "resource":
        walk.error("structure", f"{form.name} has no primitive element '{key[1:64]}'", (at, key[:64]))
        return None
    if element.many != isinstance(content, list):
        walk.error("structure", "must be an array exactly when its element is one", (at, key))
        return element
    for position, item in enumerate(content if element.many else [content]):
        where: At = ((at, key), position) if element.many else (at, key)
        if item is None and element.many:
            continue
        if not isinstance(item, dict) or not item:
            walk.error("structure", "must be an object with id or extension", where)
        else:
            _object(item, shape(_HOLDER), where, walk)
    return element


_HOLDER: Final = "fhir.resources.R4B.element.Element"
