"""Invariants no shape can say, and the faults no validator catches. Each function names its constraint key of the R4 specification.

Only rules that hold for the resources a referral carries are here; a rule is one function and one line in the table that calls it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from fhir_gateway.validation.issue import Issue

Json = dict[str, Any]
Rule = Callable[[Json, str, list[Issue]], None]

_SCRIPT = re.compile(r"<\s*(script|iframe|object|embed|form|input|link|style)\b|\son\w+\s*=|javascript:", re.IGNORECASE)


def check_rules(name: str, resource: Json, path: str, issues: list[Issue]) -> None:
    """Apply every rule that concerns this resource."""
    for rule in (*_EVERY, *_BY_TYPE.get(name, ())):
        rule(resource, path, issues)
    if name != "Bundle":
        _inside(resource, path, issues)


def _contained(resource: Json, path: str, issues: list[Issue]) -> None:
    """dom-2, dom-3 and ref-1: contained resources do not nest, are referred to, and `#x` names one of them."""
    if path.endswith("]") and path.rpartition(".")[2].startswith("contained["):
        return  # judged from the resource that holds it
    contained = resource.get("contained")
    held = {c["id"] for c in contained if isinstance(c, dict) and isinstance(c.get("id"), str)} if isinstance(contained, list) else set()
    referred = {r[1:] for r in _references(resource) if r.startswith("#") and len(r) > 1}
    named = referred | {text[1:] for text in _texts(resource) if text[:1] == "#" and text[1:] in held}
    for position, inner in enumerate(contained if isinstance(contained, list) else ()):
        where = f"{path}.contained[{position}]"
        if not isinstance(inner, dict):
            continue
        if "contained" in inner:
            issues.append(Issue("error", "invariant", "dom-2: a contained resource may not contain another", where))
        refers_back = any(r == "#" for r in _references(inner))
        if inner.get("id") not in named and not refers_back:
            issues.append(Issue("error", "invariant", "dom-3: a contained resource must be referred to from the resource", where))
    for missing in sorted(referred - held):
        issues.append(Issue("error", "not-found", f"ref-1: '#{missing[:64]}' names no contained resource", path))


def _narrative(resource: Json, path: str, issues: list[Issue]) -> None:
    """txt-1: a narrative is text, never something that runs."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if isinstance(div, str):
        if _SCRIPT.search(div):
            issues.append(Issue("error", "invariant", "txt-1: the narrative may not hold scripts, forms or active content", f"{path}.text.div"))
        if not div.lstrip().startswith("<div"):
            issues.append(Issue("error", "structure", "the narrative must be one XHTML div", f"{path}.text.div"))


def _patient(resource: Json, path: str, issues: list[Issue]) -> None:
    """pat-1: a contact has at least one of name, telecom, address, organization."""
    for position, contact in enumerate(resource.get("contact") or ()):
        if isinstance(contact, dict) and not any(contact.get(k) for k in ("name", "telecom", "address", "organization")):
            issues.append(
                Issue("error", "invariant", "pat-1: a contact needs a name, telecom, address or organization", f"{path}.contact[{position}]")
            )


def _observation(resource: Json, path: str, issues: list[Issue]) -> None:
    """obs-6: dataAbsentReason only without a value. obs-7: no value when a component has the same code."""
    valued = any(k.startswith("value") for k in resource)
    if valued and "dataAbsentReason" in resource:
        issues.append(Issue("error", "invariant", "obs-6: dataAbsentReason may stand only when there is no value", f"{path}.dataAbsentReason"))
    components = resource.get("component")
    if valued and isinstance(components, list):
        own = resource.get("code")
        for position, component in enumerate(components):
            if isinstance(component, dict) and component.get("code") == own:
                issues.append(
                    Issue(
                        "error",
                        "invariant",
                        "obs-7: a component repeats the code of an observation that has a value",
                        f"{path}.component[{position}]",
                    )
                )


def _bundle(resource: Json, path: str, issues: list[Issue]) -> None:
    """bdl-1…5, 7, 8: what may stand in which kind of Bundle."""
    kind = resource.get("type")
    entries = [e for e in resource.get("entry") or () if isinstance(e, dict)]
    if "total" in resource and kind not in ("searchset", "history"):
        issues.append(Issue("error", "invariant", "bdl-1: total only in a searchset or history", f"{path}.total"))
    seen: set[tuple[str, str]] = set()
    for position, entry in enumerate(entries):
        where = f"{path}.entry[{position}]"
        if kind in ("transaction", "batch", "history") and "request" not in entry:
            issues.append(Issue("error", "required", f"bdl-3: an entry of a {kind} needs a request", f"{where}.request"))
        if kind in ("document", "message", "collection", "searchset") and "request" in entry:
            issues.append(Issue("error", "invariant", f"bdl-3: an entry of a {kind} may not have a request", f"{where}.request"))
        if "search" in entry and kind != "searchset":
            issues.append(Issue("error", "invariant", "bdl-2: search only in a searchset", f"{where}.search"))
        if not any(k in entry for k in ("resource", "request", "response")):
            issues.append(Issue("error", "invariant", "bdl-5: an entry needs a resource, a request or a response", where))
        url = entry.get("fullUrl")
        if isinstance(url, str):
            inner = entry.get("resource")
            meta = inner.get("meta") if isinstance(inner, dict) else None
            version = str(meta.get("versionId", "")) if isinstance(meta, dict) else ""
            if "/_history/" in url:
                issues.append(Issue("error", "invariant", "bdl-8: fullUrl may not name a version", f"{where}.fullUrl"))
            if (url, version) in seen and kind not in ("history",):
                issues.append(Issue("error", "duplicate", "bdl-7: fullUrl stands twice", f"{where}.fullUrl"))
            seen.add((url, version))
    if kind == "message" and (not entries or _type_of(entries[0]) != "MessageHeader"):
        issues.append(Issue("error", "invariant", "bdl-12: a message starts with a MessageHeader", f"{path}.entry[0]"))
    if kind == "document" and (not entries or _type_of(entries[0]) != "Composition"):
        issues.append(Issue("error", "invariant", "bdl-11: a document starts with a Composition", f"{path}.entry[0]"))


def _type_of(entry: Json) -> str:
    inner = entry.get("resource")
    return str(inner.get("resourceType")) if isinstance(inner, dict) else ""


_EVERY: Final[tuple[Rule, ...]] = (_contained, _narrative)
_BY_TYPE: Final[dict[str, tuple[Rule, ...]]] = {
    "Patient": (_patient,),
    "Observation": (_observation,),
    "Bundle": (_bundle,),
}


def _inside(value: Any, path: str, issues: list[Issue]) -> None:
    """Rules of datatypes, wherever one stands: per-1, qty-3 and an absolute Identifier.system."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            if isinstance(item, (dict, list)):
                _inside(item, f"{path}[{position}]", issues)
        return
    if "start" in value and "end" in value:
        _period(value, path, issues)
    if "code" in value and "value" in value and "system" not in value and _is_quantity(value):
        issues.append(Issue("error", "invariant", "qty-3: a Quantity with a code needs its system", f"{path}.system"))
    system = value.get("system")
    if isinstance(system, str) and "value" in value and "use" not in value and "rank" not in value and _relative_system(system):
        issues.append(Issue("error", "value", "an identifier's system must be an absolute URI", f"{path}.system"))
    for key, item in value.items():
        if isinstance(item, (dict, list)) and key != "contained":
            _inside(item, f"{path}.{key}", issues)


_TELECOM: Final = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S")


def _relative_system(system: str) -> bool:
    return system not in _TELECOM and not _ABSOLUTE.match(system)


def _is_quantity(value: Json) -> bool:
    return isinstance(value.get("code"), str) and not isinstance(value.get("value"), (str, dict, bool, list)) and set(value) <= {
        "id", "extension", "value", "comparator", "unit", "system", "code", "_value", "_code", "_unit",
    }  # fmt: skip


def _period(value: Json, path: str, issues: list[Issue]) -> None:
    """per-1, judged on the precision both ends share (times only within one zone)."""
    start, end = value["start"], value["end"]
    if not isinstance(start, str) or not isinstance(end, str):
        return
    shared = min(len(start), len(end), 10)
    if start[:shared] > end[:shared]:
        issues.append(Issue("error", "invariant", "per-1: a period may not end before it starts", path))


def _references(value: Any) -> Iterator[str]:
    """Every Reference.reference inside."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield reference
        for item in value.values():
            if isinstance(item, (dict, list)):
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _texts(value: Any) -> Iterator[str]:
    """Every text inside: a canonical such as `answerValueSet` may name a contained resource too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
