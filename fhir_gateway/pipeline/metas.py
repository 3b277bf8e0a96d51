"""`$meta`, `$meta-add`, `$meta-delete`: the profiles, tags and security labels of one resource, or of all. R4 resource-operation-meta.html."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhir_gateway.errors import InvalidError
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.parameters import named
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.pipeline.results import Written
from fhir_gateway.store import Transaction
from fhir_gateway.store.search.labels import Label

Json = dict[str, Any]
LISTS: Final = ("profile", "tag", "security")


def meta_of(resource: Json) -> Json:
    """Parameters with the meta of a resource."""
    return {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": resource.get("meta") or {}}]}


def metas_of(labels: Iterable[Label]) -> Json:
    """Parameters with every label in use as one meta."""
    meta: dict[str, list[Any]] = {}
    for element, system, code in labels:
        coding = ({"system": system} if system else {}) | ({"code": code} if code else {})
        meta.setdefault(element, []).append(code if element == "profile" else coding)
    return meta_of({"meta": meta})


def given_meta(parameters: Json) -> Json:
    """The meta to add or to take away. Raises InvalidError."""
    writes.checked(parameters, "Parameters")
    meta = next((part.get("valueMeta") for part in named(parameters, "meta")), None)
    if not isinstance(meta, dict) or not any(meta.get(name) for name in LISTS):
        raise InvalidError("The parameter `meta` with a profile, tag or security label is needed", "Parameters.parameter")
    return meta


def changed(tx: Transaction, type: str, id: str, meta: Json, *, add: bool) -> Written:
    """A new version with these labels, or without them. What is there already, or is not there, is no error."""
    held = writes.read(tx, type, id)
    now = dict(held.resource.get("meta") or {})
    for name in LISTS:
        there, said = now.get(name) or [], meta.get(name) or []
        names = [_name(item) for item in said]
        kept = [item for item in there if add or _name(item) not in names]
        have = {_name(item) for item in kept}
        kept += [item for item in said if add and _name(item) not in have]
        now = {key: value for key, value in now.items() if key != name} | ({name: kept} if kept else {})
    return writes.update(tx, {**held.resource, "meta": now}, id, Expected.version(held.version), create_allowed=False)


def _name(item: Any) -> Any:
    """What makes two labels the same: system and code."""
    return (item.get("system"), item.get("code")) if isinstance(item, dict) else item
