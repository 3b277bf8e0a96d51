"""Held version against incoming draft: which content stands? Pure; the same two versions give the same answer in either order.

Rules (PRODUCT.md, ARCHITECTURE.md): versions compare by (OBR-22, MSH-7), status rank breaks ties only; a preliminary never replaces a
final unless it reports a later time; people, organisations and coverage are enriched element by element, absent meaning unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mappers.result import Clock, Draft, Json

FINAL_RANK: Final = 50
"""Status rank from which a result counts as final (Clock.rank, set by the mapper's status tables)."""
_OWN: Final = ("id", "meta")
_STEP: Final = ("status", "_status")
_PARTS: Final = frozenset({"period", "hospitalization"})
"""Structures whose parts come by separate messages: an admission has the start of a visit, a discharge its end."""


def reconcile(held: Json | None, held_clock: Clock, draft: Draft) -> Json | None:
    """The content the store should hold now, or None when what it holds already stands."""
    if held is None:
        return draft.resource
    if draft.steps:
        return _stepped(held, held_clock, draft)
    newer = is_newer(draft.clock, held_clock)
    if draft.merge == "enrich":
        merged = _enrich(held, draft, newer)
        return None if merged == held else merged
    if not newer or _content(held) == _content(draft.resource):
        return None
    return draft.resource


def clock_after(held: Clock, draft: Draft) -> Clock:
    """The clock of what stands once the draft has been weighed and changed something."""
    if draft.steps:
        return Clock(max(held.clinical, draft.clock.clinical), max(held.message, draft.clock.message), draft.clock.rank)
    return max(held, draft.clock) if draft.merge == "enrich" else draft.clock


def is_newer(incoming: Clock, held: Clock) -> bool:
    """Does the incoming version replace the held one? Equal clocks: the later arrival stands (a resend with the same times is the same content)."""
    demoted = incoming.rank < FINAL_RANK <= held.rank
    if incoming.clinical and held.clinical and incoming.clinical != held.clinical:
        return incoming.clinical > held.clinical
    if demoted:
        return False
    if incoming.message != held.message:
        return incoming.message > held.message
    return incoming.rank >= held.rank


def _stepped(held: Json, held_clock: Clock, draft: Draft) -> Json | None:
    """A referral told (I12, I13) or ended (I14): the newest telling is the content, the newest message of either kind the status."""
    merged = held
    if draft.merge == "replace" and draft.clock.clinical >= held_clock.clinical:
        only_named = not held_clock.clinical and draft.clock.clinical
        merged = _enrich(draft.resource, replace(draft, resource=held, deletes=()), newer=False) if only_named else draft.resource
    elif draft.merge == "enrich":
        merged = _enrich(held, draft, newer=False)
    standing = draft.resource if draft.clock.message >= held_clock.message else held
    merged = {key: value for key, value in merged.items() if key not in _STEP} | {key: standing[key] for key in _STEP if key in standing}
    return None if _content(merged) == _content(held) else merged


def _content(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in _OWN}


def _enrich(held: Json, draft: Draft, newer: bool) -> Json:
    merged = dict(held)
    for key, value in draft.resource.items():
        if key in _OWN:
            continue
        if key not in merged:
            merged[key] = value
        elif key == "identifier" or key == "extension":
            merged[key] = _union(merged[key], value, newer)
        elif key in _PARTS:
            merged[key] = {**merged[key], **value} if newer else {**value, **merged[key]}
        elif newer and key not in draft.defaults:
            merged[key] = value
    if newer:
        for path in draft.deletes:
            _delete(merged, path, draft.resource)
    return merged


def _delete(holder: Json, path: str, said: Json) -> None:
    """Take out an element, a part of one or marked items of a list; what the same message says instead stays."""
    name, _, rest = path.partition(".")
    if "[" not in path and rest:
        inner = holder.get(name)
        if isinstance(inner, dict):
            kept = dict(inner)
            _delete(kept, rest, said.get(name) or {})
            holder[name] = kept
            if not kept:
                del holder[name]
        return
    name, _, mark = path.rstrip("]").partition("[")
    key, _, value = mark.partition("=")
    items = holder.get(name)
    told = said.get(name)
    if not mark and told is None:
        holder.pop(name, None)
        holder.pop("_" + name, None)
    elif mark and isinstance(items, list):
        left = [item for item in items if item.get(key) != value or item in (told or ())]
        holder[name] = left
        if not left:
            del holder[name]


def _union(held: list[Any], incoming: list[Any], newer: bool) -> list[Any]:
    """Both lists by what names an item (system and value of an identifier; url and field of a kept-value extension); the newer item stands."""
    by_name = {_name(item): item for item in held}
    for item in incoming:
        name = _name(item)
        if newer or name not in by_name:
            by_name[name] = item
    return list(by_name.values())


def _name(item: Json) -> tuple[str, ...]:
    if "url" not in item:
        return (str(item.get("system", "")), str(item.get("value", "")))
    inner = item.get("extension")
    if isinstance(inner, list):
        return (str(item["url"]), *(str(sub.get("valueString", "")) for sub in inner if isinstance(sub, dict) and sub.get("url") == "field"))
    return (str(item["url"]),)
