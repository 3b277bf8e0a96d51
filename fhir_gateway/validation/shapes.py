"""What fhir.resources knows of each R4 type, compiled once into plain tuples: element → how it must look.

The model classes carry required elements, value[x] groups, code bindings (`enum_values`) and reference targets (`enum_reference_types`)
as metadata; pydantic itself enforces only part of it and reports in its own words. The R4B classes serve for R4: for the types used here the
element sets are equal (proved in tests/validation against the official R4 examples).
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.validation.types import TYPES


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type. `kind`: a primitive's FHIR name ("code"), "resource" for contained content, or "" when `of` names a complex type.

    group: the value[x] group it belongs to, "" for most. plain: one text that any printable characters will do for. known: codes and addresses it was
    found to allow; senders say the same few all day.
    """

    name: str
    kind: str
    of: str
    many: bool
    codes: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    group: str = ""
    plain: bool = False
    known: set[str] = field(default_factory=set, compare=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """A type: its elements by JSON name, the required ones, and the value[x] groups of which one must stand."""

    name: str
    elements: dict[str, Element]
    required: tuple[str, ...]
    required_groups: tuple[str, ...]


_PRIMITIVES = {
    "Id": "id", "Uri": "uri", "Url": "url", "Canonical": "canonical", "Oid": "oid", "UuidVersion": "uuid", "Code": "code",
    "String": "string", "Markdown": "markdown", "EncodedBytes": "base64Binary", "Date": "date", "DateTime": "dateTime",
    "Instant": "instant", "Time": "time", "Decimal": "decimal", "Integer": "integer", "PositiveInt": "positiveInt",
    "UnsignedInt": "unsignedInt", "Xhtml": "xhtml",
}  # fmt: skip
_PLAIN = frozenset({"string", "markdown"})
_BUILTINS = {bool: "boolean", str: "string"}


def known(resource_type: str) -> bool:
    """Is this a resource type of R4 that is held here? An abstract type, a datatype or a backbone name ("TaskInput") is not one."""
    return resource_type in TYPES


@lru_cache(maxsize=256)
def shape_of_resource(resource_type: str) -> Shape | None:
    """The shape of a resource type by name, None when there is no such R4 resource."""
    if resource_type not in TYPES:
        return None
    model = get_fhir_model_class(resource_type)
    return shape(f"{model.__module__}.{model.__name__}")


@lru_cache(maxsize=1024)
def shape(path: str) -> Shape:
    """Compile the model class at a dotted path."""
    module, _, name = path.rpartition(".")
    model = getattr(import_module(module), name)
    elements: dict[str, Element] = {}
    required: list[str] = []
    groups: dict[str, bool] = {}
    for described in model.model_fields.values():
        alias = described.alias or ""
        if alias in ("resource_type", "fhir_comments"):
            continue
        element = _element(model.__name__, alias, described)
        if element is None:
            continue
        elements[alias] = element
        extra = _extra(described)
        if element.group:
            groups[element.group] = groups.get(element.group, False) or bool(extra.get("one_of_many_required"))
        elif extra.get("element_required") or described.is_required():
            required.append(alias)
    return Shape(model.__name__, elements, tuple(required), tuple(group for group, needed in groups.items() if needed))


def _extra(field: Any) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _element(owner: str, alias: str, field: Any) -> Element | None:
    annotation, many = _unwrap(field.annotation)
    extra = _extra(field)
    codes, group = _codes(owner, alias, extra), str(extra.get("one_of_many") or "")
    targets = frozenset(extra.get("enum_reference_types", ()))
    if typing.get_origin(annotation) is typing.Annotated:
        marker = typing.get_args(annotation)[1]
        kind = _PRIMITIVES[type(marker).__name__]
        return Element(alias, kind, "", many, codes, targets, group, kind in _PLAIN and not many and not codes)
    if annotation in _BUILTINS:
        kind = _BUILTINS[annotation]
        return Element(alias, kind, "", many, codes, targets, group, kind in _PLAIN and not many and not codes)
    name = annotation.__name__
    if name == "FHIRPrimitiveExtensionType":
        return None  # `_status`: checked beside the element it belongs to
    if name == "ResourceType":
        return Element(alias, "resource", "", many)
    return Element(alias, "", annotation._model_klass, many, codes, targets, group)


# Required bindings whose list fhir.resources cuts short (it ends in "+"). Source: R4 value sets of the elements named.
_FULL_LISTS = {
    ("Task", "status"): "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed entered-in-error",
    ("QuestionnaireItem", "type"): "group display boolean decimal integer date dateTime time string text url choice open-choice attachment reference quantity",
    ("DiagnosticReport", "status"): "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown",
    ("Observation", "status"): "registered preliminary final amended corrected cancelled entered-in-error unknown",
    ("DetectedIssue", "status"): "registered preliminary final amended corrected cancelled entered-in-error unknown",
    ("RiskAssessment", "status"): "registered preliminary final amended corrected cancelled entered-in-error unknown",
    ("Encounter", "status"): "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
    ("EncounterStatusHistory", "status"): "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
    ("SupplyRequest", "status"): "draft active suspended cancelled completed entered-in-error unknown",
    ("DeviceUseStatement", "status"): "active completed entered-in-error intended stopped on-hold",
    ("DeviceUdiCarrier", "entryType"): "barcode rfid manual card self-reported unknown",
}  # fmt: skip


# Elements whose list in fhir.resources is no list of codes: MIME types (R4 mimetypes, open) and a binding that is only extensible (expression-language).
_OPEN_LISTS: Final = frozenset({("CapabilityStatement", "format"), ("Expression", "language")})


def _codes(owner: str, alias: str, extra: dict[str, Any]) -> frozenset[str]:
    if (owner, alias) in _OPEN_LISTS:
        return frozenset()
    listed = extra.get("enum_values", ())
    if "+" in listed:
        return frozenset(_FULL_LISTS.get((owner, alias), "").split())
    return frozenset(listed)


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """`Optional[List[X]]` → (X, True)."""
    annotation = _without_none(annotation)
    if typing.get_origin(annotation) is list:
        return _without_none(typing.get_args(annotation)[0]), True
    return annotation, False


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(arm for arm in typing.get_args(annotation) if arm is not type(None))
    return annotation
