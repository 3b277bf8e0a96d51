"""Walk a resource along its compiled shape and collect every fault: unknown elements, wrong JSON types, empty values, cardinality, bindings, reference targets."""

from __future__ import annotations

from typing import Any

from fhir_gateway.validation.issue import Issue
from fhir_gateway.validation.primitives import fault
from fhir_gateway.validation.rules import check_rules
from fhir_gateway.validation.shapes import Element, Shape, shape, shape_of_resource

Json = dict[str, Any]


def validate(resource: Any, at: str = "") -> list[Issue]:
    """All faults of one resource (contained ones and Bundle entries included), [] when it is legal.

    `at` is the FHIRPath of the resource when it stands inside something else, "" for one on its own.
    """
    issues: list[Issue] = []
    _resource(resource, at, issues)
    return issues


def _resource(resource: Any, at: str, issues: list[Issue]) -> None:
    if not isinstance(resource, dict):
        issues.append(Issue("error", "structure", "must be a JSON object with a resourceType", at))
        return
    name = resource.get("resourceType")
    if not isinstance(name, str) or not name:
        issues.append(Issue("error", "structure", "resourceType is missing", at or "resourceType"))
        return
    known = shape_of_resource(name)
    if known is None:
        issues.append(
            Issue(
                "error",
                "not-supported",
                f"'{name[:64]}' is not a resource type of FHIR R4 known here",
                f"{at}.resourceType" if at else "resourceType",
            )
        )
        return
    path = at or name
    _object(resource, known, path, issues, is_resource=True)
    check_rules(name, resource, path, issues)


def _object(value: Json, form: Shape, path: str, issues: list[Issue], *, is_resource: bool = False) -> None:
    for key, content in value.items():
        if is_resource and key == "resourceType":
            continue
        if key.startswith("_"):
            _primitive_extension(key, content, form, path, issues)
            continue
        element = form.elements.get(key)
        if element is None:
            issues.append(Issue("error", "structure", f"{form.name} has no element '{key[:64]}'", f"{path}.{key[:64]}"))
            continue
        _element(element, content, f"{path}.{key}", issues, beside=value.get(f"_{key}"))
    for key in form.required:
        if key not in value and f"_{key}" not in value:
            issues.append(Issue("error", "required", f"{form.name}.{key} is required", f"{path}.{key}"))
    for group, members, needed in form.choices:
        present = list(dict.fromkeys(key.lstrip("_") for key in value if key.lstrip("_") in members))
        if len(present) > 1:
            issues.append(Issue("error", "structure", f"only one of {', '.join(present)} may stand", f"{path}.{present[1]}"))
        elif needed and not present:
            issues.append(Issue("error", "required", f"{form.name}.{group}[x] is required", f"{path}.{group}"))
    if form.name == "Extension":
        _extension(value, path, issues)


def _element(element: Element, content: Any, path: str, issues: list[Issue], beside: Any) -> None:
    if content is None:
        issues.append(Issue("error", "structure", "must not be null; leave the element out instead", path))
    elif element.many:
        if not isinstance(content, list):
            issues.append(Issue("error", "structure", "must be a JSON array", path))
        elif not content:
            issues.append(Issue("error", "structure", "must not be an empty array; leave the element out instead", path))
        else:
            for position, item in enumerate(content):
                if item is None and element.kind and isinstance(beside, list) and position < len(beside) and beside[position]:
                    continue  # a null that only makes room for an extension in `_name`
                _one(element, item, f"{path}[{position}]", issues)
    elif isinstance(content, list):
        issues.append(Issue("error", "structure", "must not be an array: it may stand only once", path))
    else:
        _one(element, content, path, issues)


def _one(element: Element, item: Any, path: str, issues: list[Issue]) -> None:
    if element.kind == "resource":
        _resource(item, path, issues)
        return
    if element.kind:
        found = fault(element.kind, item)
        if found:
            issues.append(Issue("error", found[0], f"{path.rpartition('.')[2]} {found[1]}", path))
        elif element.codes and item not in element.codes:
            allowed = ", ".join(sorted(element.codes)[:12])
            issues.append(Issue("error", "code-invalid", f"'{str(item)[:64]}' is not one of {allowed}", path))
        return
    if not isinstance(item, dict):
        issues.append(Issue("error", "structure", "must be a JSON object", path))
        return
    if not item:
        issues.append(Issue("error", "structure", "must not be an empty object; leave the element out instead", path))
        return
    _object(item, shape(element.of), path, issues)
    if element.targets:
        _reference(element, item, path, issues)


def _reference(element: Element, item: Json, path: str, issues: list[Issue]) -> None:
    """Only what the text says can be judged: `Type/id` (relative or absolute) or Reference.type; `urn:` and `#` are settled by the Bundle or dom-3."""
    if "Resource" in element.targets:
        return
    target = item.get("type")
    reference = item.get("reference")
    if isinstance(reference, str) and not reference.startswith(("#", "urn:")):
        parts = reference.split("?")[0].split("/_history/")[0].rstrip("/").split("/")
        named = parts[-2] if len(parts) >= 2 else (parts[0] if "?" in reference else None)
        if named and shape_of_resource(named):
            target = named
    if isinstance(target, str) and target not in element.targets and not target.startswith("http"):
        wanted = ", ".join(sorted(element.targets))
        issues.append(Issue("error", "value", f"may not refer to {target[:64]}, only to {wanted}", f"{path}.reference"))


def _extension(value: Json, path: str, issues: list[Issue]) -> None:
    if not value.get("url"):
        issues.append(Issue("error", "required", "Extension.url is required", f"{path}.url"))
    has_value = any(key.lstrip("_").startswith("value") for key in value)
    if has_value == ("extension" in value):
        text = "an extension has a value or extensions of its own, not both" if has_value else "an extension needs a value or extensions of its own"
        issues.append(Issue("error", "invariant", f"ext-1: {text}", path))


def _primitive_extension(key: str, content: Any, form: Shape, path: str, issues: list[Issue]) -> None:
    element = form.elements.get(key[1:])
    if element is None or not element.kind or element.kind == "resource":
        issues.append(Issue("error", "structure", f"{form.name} has no primitive element '{key[1:64]}'", f"{path}.{key[:64]}"))
        return
    items = content if isinstance(content, list) else [content]
    if element.many != isinstance(content, list):
        issues.append(Issue("error", "structure", "must be an array exactly when its element is one", f"{path}.{key}"))
        return
    holder = shape("fhir.resources.R4B.element.Element")
    for position, item in enumerate(items):
        where = f"{path}.{key}[{position}]" if element.many else f"{path}.{key}"
        if item is None and element.many:
            continue
        if not isinstance(item, dict) or not item:
            issues.append(Issue("error", "structure", "must be an object with id or extension", where))
            continue
        _object(item, holder, where, issues)
