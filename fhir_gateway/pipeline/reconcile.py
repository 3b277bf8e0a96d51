"""Held version against incoming draft: which content stands? Pure; the same two versions give the same answer in either order.

Rules (PRODUCT.md, ARCHITECTURE.md; ADR 0012, 0020, 0021): versions compare by (OBR-22, MSH-7), status rank breaks ties only; a preliminary never
replaces a final, nor a final a correction, unless it reports a later time; people, organisations and coverage are enriched element by element, absent
meaning unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mappers.result import PROMOTED, Clock, Draft, Json
from mappers.v2 import REPLACED_BY
from mappers.v2.messages.results import CONTENT

FINAL_RANK: Final = 50
CORRECTED_RANK: Final = 60
CANCELLED_RANK: Final = 80
RETRACTED_RANK: Final = 90
"""Status ranks from which a result counts as final, corrected, cancelled, taken back (Clock.rank, set by the mapper's status tables)."""
_OWN: Final = ("id", "meta")
_STATUS: Final = ("status", "_status")
_STEPS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "ServiceRequest": (_STATUS, ()),
    "DiagnosticReport": (_STATUS, ()),
    "DocumentReference": ((*_STATUS, "docStatus", "_docStatus", "authenticator"), ("relatesTo", "securityLabel")),
}
"""What of a resource told in steps says how far it is: the newest message's alone; and what stays once said, until it is said anew."""
_PARTS: Final = frozenset({"period", "hospitalization"})
"""Structures whose parts come by separate messages: an admission has the start of a visit, a discharge its end."""


def reconcile(held: Json | None, held_clock: Clock, draft: Draft) -> Json | None:
    """The content the store should hold now, or None when what it holds already stands."""
    if held is None:
        return draft.resource
    if draft.steps:
        return _stepped(held, held_clock, draft)
    if draft.merge == "promote" or _completes_promoted(draft, held_clock):
        return _promoted(held, held_clock, draft)
    newer = is_newer(draft.clock, held_clock)
    if draft.merge == "enrich":
        merged = _enrich(held, draft, newer)
        return None if merged == held else merged
    if not newer and _without_results(held) and not _without_results(draft.resource):
        return {**draft.resource, **held}
    if not newer or _content(held) == _content(draft.resource):
        return None
    return draft.resource


def clock_after(held: Clock, draft: Draft) -> Clock:
    """The clock of what stands once the draft has been weighed and changed something."""
    if draft.steps:
        message, rank = max((held.message, held.rank), (draft.clock.message, draft.clock.rank))
        return Clock(max(held.clinical, draft.clock.clinical), message, rank)
    if draft.merge == "promote":
        return replace(held, rank=PROMOTED)
    if _completes_promoted(draft, held):
        return replace(draft.clock, rank=PROMOTED)
    return draft.clock if draft.merge == "replace" and is_newer(draft.clock, held) else max(held, draft.clock)


def _completes_promoted(draft: Draft, held: Clock) -> bool:
    """A preliminary of something promoted: its content may be newer than what was promoted, its status is not."""
    return held.rank == PROMOTED and draft.merge == "replace" and draft.clock.rank < FINAL_RANK


def _promoted(held: Json, held_clock: Clock, draft: Draft) -> Json | None:
    """`U` makes final whatever preliminary there is or comes, in either order (table 0085); finals and corrections need none."""
    if draft.merge == "promote":
        content, status = held, draft.resource
        if held_clock.rank >= FINAL_RANK:
            return None
    else:
        content, status = draft.resource, held
        if not is_newer(replace(draft.clock, rank=PROMOTED), held_clock):
            return None
    merged = {key: value for key, value in content.items() if key not in _STATUS} | {key: status[key] for key in _STATUS if key in status}
    return None if _content(merged) == _content(held) else merged


def _without_results(resource: Json) -> bool:
    """A report of which only the state was sent (OBR without OBX)."""
    return resource["resourceType"] == "DiagnosticReport" and not any(name in resource for name in CONTENT)


def is_newer(incoming: Clock, held: Clock) -> bool:
    """Does the incoming version replace the held one? Equal clocks: the later arrival stands (a resend with the same times is the same content).

    The report's time decides first (OBR-22). Where it does not, what is further along stands, whenever it was sent: a queue sent again is stamped anew.
    """
    if incoming.clinical and held.clinical and incoming.clinical != held.clinical:
        return incoming.clinical > held.clinical
    levels = _level(incoming.rank), _level(held.rank)
    if levels[0] != levels[1]:
        return levels[0] > levels[1]
    if incoming.message != held.message:
        return incoming.message > held.message
    return incoming.rank >= held.rank


def _level(rank: int) -> int:
    """Preliminary; final, or cancelled; corrected, or taken back."""
    return 0 if rank < FINAL_RANK else 2 if CORRECTED_RANK <= rank < CANCELLED_RANK or rank >= RETRACTED_RANK else 1


def _stepped(held: Json, held_clock: Clock, draft: Draft) -> Json | None:
    """What a record tells and how far it is come apart (a referral: I12, I13 and I14; a document: MDM^T01 to T11): the newest telling is the content,
    the newest message of either kind the steps. That a document's message changed nothing is kept as well, by its time: an older one may come yet.
    """
    kind = draft.resource["resourceType"]
    content = _told(held, held_clock, draft) if kind == "ServiceRequest" else _newest(held, held_clock, draft)
    incoming = (draft.clock.message, draft.clock.rank) >= (held_clock.message, held_clock.rank)
    standing, other = (draft.resource, held) if incoming else (held, draft.resource)
    steps, lasting = _STEPS[kind]
    merged = {key: value for key, value in content.items() if key not in steps} | {key: standing[key] for key in steps if key in standing}
    for key in lasting:
        if value := standing.get(key, other.get(key)):
            merged[key] = value
    if kind == "DocumentReference":
        merged = _superseded(merged, held, draft.resource)
    dated = kind != "ServiceRequest" and clock_after(held_clock, draft) != held_clock
    return None if _content(merged) == _content(held) and not dated else merged


def _superseded(merged: Json, *versions: Json) -> Json:
    """A document that another one replaces stays replaced, whatever is told of it afterwards."""
    marks = {e["valueReference"]["reference"]: e for version in versions for e in version.get("extension", ()) if e.get("url") == REPLACED_BY}
    if not marks:
        return merged
    others = [e for e in merged.get("extension", ()) if e.get("url") != REPLACED_BY]
    status = "superseded" if merged.get("status") == "current" else merged.get("status")
    return {**merged, "status": status, "extension": [*others, *(marks[name] for name in sorted(marks))]}


def _newest(held: Json, held_clock: Clock, draft: Draft) -> Json:
    """A document is one telling, whole; a draft that only names it (the parent of an addendum) tells nothing."""
    return draft.resource if draft.merge == "replace" and draft.clock.clinical >= held_clock.clinical else held


def _told(held: Json, held_clock: Clock, draft: Draft) -> Json:
    """A referral, where who only names it (I14) may say what was not said yet."""
    if draft.merge == "enrich":
        return _enrich(held, draft, newer=False)
    if draft.clock.clinical < held_clock.clinical:
        return held
    only_named = not held_clock.clinical and draft.clock.clinical
    return _enrich(draft.resource, replace(draft, resource=held, deletes=()), newer=False) if only_named else draft.resource


def _content(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in _OWN}


def _enrich(held: Json, draft: Draft, newer: bool) -> Json:
    merged = dict(held)
    for key, value in draft.resource.items():
        name = key.removeprefix("_")
        if name in _OWN or (name in held and (name in draft.defaults or (key != name and not newer))):
            continue
        if key not in merged:
            merged[key] = value
        elif key == "identifier" or key == "extension":
            merged[key] = _union(merged[key], value, newer)
        elif key in _PARTS:
            merged[key] = _joined(merged[key], value) if newer else _joined(value, merged[key])
        elif newer:
            merged[key] = value
        if newer and key == name and f"_{key}" not in draft.resource:
            merged.pop(f"_{key}", None)  # what was said beside the value it replaces
    if newer:
        for path in draft.deletes:
            _delete(merged, path, draft.resource)
    return merged


def _joined(older: Json, newer: Json) -> Json:
    """The parts of both; those the newer one says are its own, with what stands beside them."""
    said = {name.removeprefix("_") for name in newer}
    return {name: value for name, value in older.items() if name.removeprefix("_") not in said} | newer


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
