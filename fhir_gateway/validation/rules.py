"""Invariants no shape can say, and the faults no validator catches. Each function names its constraint key of the R4 specification.

Only rules that hold for the resources a referral carries are here; a rule is one function and one line in the table that calls it: DATATYPES for
the datatypes, wherever one stands, RESOURCES for resources. Those that only say which elements go together are in `invariants`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from fhir_gateway.validation.invariants import RULES, before, blank
from fhir_gateway.validation.walk import At, Walk

Json = dict[str, Any]
Rule = Callable[[Json, At, Walk], None]

_SCRIPT = re.compile(r"<\s*(script|iframe|object|embed|form|input|link|style)\b|\son\w+\s*=|javascript:", re.IGNORECASE)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S")


def check_rules(name: str, resource: Json, at: At, walk: Walk, *, contained: bool) -> None:
    """Apply every rule that concerns this resource; `walk` has been through it. contained: it is judged from the resource that holds it as well."""
    if not contained and ("contained" in resource or walk.fragments):
        _contained(resource, at, walk)
    if "text" in resource:
        _narrative(resource, at, walk)
    rule = RESOURCES.get(name)
    if rule is not None:
        rule(resource, at, walk)


# Every resource


def _contained(resource: Json, at: At, walk: Walk) -> None:
    """dom-2 to dom-5 and ref-1: contained resources do not nest, are referred to, have no version or security of their own, and `#x` names one of them."""
    contained = resource.get("contained")
    inner = [(n, c) for n, c in enumerate(contained) if isinstance(c, dict)] if isinstance(contained, list) else []
    held = Counter(c["id"] for _, c in inner if isinstance(c.get("id"), str))
    referred = {fragment[1:] for fragment in walk.fragments if len(fragment) > 1}
    named = referred | {text[1:] for text in _texts(resource) if text[:1] == "#" and text[1:] in held} if inner else referred
    for position, one in inner:
        where = ((at, "contained"), position)
        if held[one.get("id")] > 1:
            walk.error("duplicate", "the id of a contained resource stands for one of them only (resource.html#id)", (where, "id"))
        if "contained" in one:
            walk.error("invariant", "dom-2: a contained resource may not contain another", where)
        if one.get("id") not in named and not any(text == "#" for text in _texts(one)):
            walk.error("invariant", "dom-3: a contained resource must be referred to from the resource", where)
        meta = one.get("meta")
        for key, name in (("dom-4", "versionId"), ("dom-4", "lastUpdated"), ("dom-5", "security")):
            if isinstance(meta, dict) and name in meta:
                walk.error("invariant", f"{key}: a contained resource has no meta.{name}", ((where, "meta"), name))
    for missing in sorted(referred - held.keys()):
        walk.error("not-found", f"ref-1: '#{missing[:64]}' names no contained resource", at)


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


def _narrative(resource: Json, at: At, walk: Walk) -> None:
    """txt-1 and txt-2: a narrative is text, never nothing and never something that runs."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if isinstance(div, str):
        where = ((at, "text"), "div")
        if _SCRIPT.search(div):
            walk.error("invariant", "txt-1: the narrative may not hold scripts, forms or active content", where)
        if not div.lstrip().startswith("<div"):
            walk.error("structure", "the narrative must be one XHTML div", where)
        elif blank(div):
            walk.error("invariant", "txt-2: the narrative must say something", where)


# Resources


def _patient(resource: Json, at: At, walk: Walk) -> None:
    """pat-1: a contact has at least one of name, telecom, address, organization."""
    contacts = resource.get("contact")
    for position, contact in enumerate(contacts if isinstance(contacts, list) else ()):
        if isinstance(contact, dict) and not any(contact.get(k) for k in ("name", "telecom", "address", "organization")):
            walk.error("invariant", "pat-1: a contact needs a name, telecom, address or organization", ((at, "contact"), position))


def _observation(resource: Json, at: At, walk: Walk) -> None:
    """obs-6: dataAbsentReason only without a value. obs-7: no value when a component has the same code."""
    if not any(key.startswith("value") for key in resource):
        return
    if "dataAbsentReason" in resource:
        walk.error("invariant", "obs-6: dataAbsentReason may stand only when there is no value", (at, "dataAbsentReason"))
    components, own = resource.get("component"), _coded(resource)
    for position, component in enumerate(components if isinstance(components, list) else ()):
        if isinstance(component, dict) and any(coding in own for coding in _coded(component)):
            walk.error("invariant", "obs-7: a component repeats the code of an observation that has a value", ((at, "component"), position))


def _coded(holder: Json) -> list[Any]:
    code = holder.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    return codings if isinstance(codings, list) else []


_TIMELESS: Final = ("proposed", "cancelled", "waitlist")
_CALLED_OFF: Final = ("cancelled", "noshow")


def _appointment(resource: Json, at: At, walk: Walk) -> None:
    """app-2: start and end come together. app-3: only what is proposed, cancelled or waited for has neither. app-4: why it was called off, only then."""
    status = resource.get("status")
    if ("start" in resource) != ("end" in resource):
        walk.error("invariant", "app-2: start and end must both stand, or neither", at)
    if "start" not in resource and status not in _TIMELESS:
        walk.error("invariant", "app-3: only a proposed, cancelled or wait-listed appointment may be without start and end", at)
    if "cancelationReason" in resource and status not in _CALLED_OFF:
        walk.error("invariant", "app-4: a reason for cancelling only for a cancelled appointment or a no-show", (at, "cancelationReason"))


# bdl-1, bdl-2, bdl-3: where these may stand. bdl-7 does not hold for a history.
_TOTALLED: Final = ("searchset", "history")
_WITH_REQUEST: Final = ("transaction", "batch", "history")
_WITH_RESPONSE: Final = ("batch-response", "transaction-response", "history")
_WITHOUT_REQUEST: Final = ("document", "message", "collection", "searchset")
# bdl-11 and bdl-12: what a Bundle of a kind starts with.
_STARTS_WITH: Final = {"document": ("bdl-11", "Composition"), "message": ("bdl-12", "MessageHeader")}


def _bundle(resource: Json, at: At, walk: Walk) -> None:
    """bdl-1 to 5 and 7 to 12: what may stand in which kind of Bundle."""
    kind, entries = resource.get("type"), resource.get("entry")
    if kind == "document":
        identifier = resource.get("identifier")
        if not isinstance(identifier, dict) or not identifier.get("system") or not identifier.get("value"):
            walk.error("invariant", "bdl-9: a document has an identifier with system and value", (at, "identifier"))
        if "timestamp" not in resource:
            walk.error("invariant", "bdl-10: a document has a timestamp", (at, "timestamp"))
    if "total" in resource and kind not in _TOTALLED:
        walk.error("invariant", "bdl-1: total only in a searchset or history", (at, "total"))
    seen: set[tuple[str, str]] = set()
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            where = ((at, "entry"), position)
            _entry(entry, kind, where, walk)
            _full_url(entry, kind, where, walk, seen)
    if isinstance(kind, str) and kind in _STARTS_WITH:
        key, wanted = _STARTS_WITH[kind]
        first = entries[0] if isinstance(entries, list) and entries else None
        inner = first.get("resource") if isinstance(first, dict) else None
        if not isinstance(inner, dict) or inner.get("resourceType") != wanted:
            walk.error("invariant", f"{key}: a {kind} starts with a {wanted}", ((at, "entry"), 0))


def _entry(entry: Json, kind: Any, at: At, walk: Walk) -> None:
    if kind in _WITH_REQUEST and "request" not in entry:
        walk.error("required", f"bdl-3: an entry of a {kind} needs a request", (at, "request"))
    if kind in _WITHOUT_REQUEST and "request" in entry:
        walk.error("invariant", f"bdl-3: an entry of a {kind} may not have a request", (at, "request"))
    if ("response" in entry) != (kind in _WITH_RESPONSE) and isinstance(kind, str):
        said = "needs a response" if kind in _WITH_RESPONSE else "may not have a response"
        walk.error("invariant", f"bdl-4: an entry of a {kind} {said}", (at, "response"))
    if "search" in entry and kind != "searchset":
        walk.error("invariant", "bdl-2: search only in a searchset", (at, "search"))
    if not any(key in entry for key in ("resource", "request", "response")):
        walk.error("invariant", "bdl-5: an entry needs a resource, a request or a response", at)


def _full_url(entry: Json, kind: Any, at: At, walk: Walk, seen: set[tuple[str, str]]) -> None:
    url, inner = entry.get("fullUrl"), entry.get("resource")
    if not isinstance(url, str):
        return
    meta = inner.get("meta") if isinstance(inner, dict) else None
    version = str(meta.get("versionId", "")) if isinstance(meta, dict) else ""
    if "/_history/" in url:
        walk.error("invariant", "bdl-8: fullUrl may not name a version", (at, "fullUrl"))
    if (url, version) in seen and kind != "history":
        walk.error("duplicate", "bdl-7: fullUrl stands twice", (at, "fullUrl"))
    seen.add((url, version))


RESOURCES: Final[dict[str, Rule]] = {"Patient": _patient, "Observation": _observation, "Appointment": _appointment, "Bundle": _bundle}


# Datatypes


def _reference(value: Json, _at: At, walk: Walk) -> None:
    """ref-1 is judged when the whole resource has been walked."""
    text = value.get("reference")
    if isinstance(text, str) and text[:1] == "#":
        walk.fragments.append(text)


def _extension(value: Json, at: At, walk: Walk) -> None:
    """ext-1: a value or extensions, not both, not neither."""
    if not value.get("url"):
        walk.error("required", "Extension.url is required", (at, "url"))
    has_value = False
    for key in value:
        if key[:5] == "value" or key[:6] == "_value":
            has_value = True
    if has_value == ("extension" in value):
        text = "an extension has a value or extensions of its own, not both" if has_value else "an extension needs a value or extensions of its own"
        walk.error("invariant", f"ext-1: {text}", at)


def _period(value: Json, at: At, walk: Walk) -> None:
    """per-1, judged on the precision both ends share."""
    if before(value.get("end"), value.get("start")):
        walk.error("invariant", "per-1: a period may not end before it starts", at)


def _quantity(value: Json, at: At, walk: Walk) -> None:
    """qty-3: a code needs a system."""
    if "code" in value and "system" not in value:
        walk.error("invariant", "qty-3: a Quantity with a code needs its system", (at, "system"))


def _measured(rule: Rule) -> Rule:
    """What is a Quantity with a rule of its own."""

    def both(value: Json, at: At, walk: Walk) -> None:
        _quantity(value, at, walk)
        rule(value, at, walk)

    return both


def _identifier(value: Json, at: At, walk: Walk) -> None:
    """Identifier.system: an absolute URI (datatypes.html#Identifier)."""
    system = value.get("system")
    if isinstance(system, str) and not _ABSOLUTE.match(system):
        walk.error("value", "an identifier's system must be an absolute URI", (at, "system"))


DATATYPES: Final[dict[str, Rule]] = {
    "Extension": _extension,
    "Reference": _reference,
    "Period": _period,
    "Identifier": _identifier,
    "Quantity": _quantity,
    **RULES,
    **{name: _measured(RULES[name]) for name in ("Age", "Count", "Distance", "Duration")},
}
"""Rules by the name of a shape, wherever it stands: datatypes, backbone elements, and resources for what needs no more than their own elements."""
