"""Where a converted value goes: paths of a table compiled to functions that put it there.

`gender` sets an element, `identifier[]` adds to a list, `period.start` sets inside a structure, `class[plan].value` sets inside the list element the
segment made from the slice `class[plan]`, `*` merges elements into the resource. The first value of a single element stands; a later different one is
refused, and whoever asked keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from mappers.result import Json
from mappers.v2.context import Context

Put = Callable[[Json, Any, Context], int]
"""Puts a value into a resource: STORED, SAME when an equal value stands there already, or REFUSED."""
REFUSED, STORED, SAME = 0, 1, 2


class Primitive(NamedTuple):
    """A primitive value with extensions; either part may be missing (None, [])."""

    value: Any
    extension: list[Json]


def putter(path: str, slices: Mapping[str, Json]) -> Put:
    """The function for a path. slices: the fixed part of the list elements it may name."""
    if path == "*":
        return _merge
    head, _, rest = path.partition(".")
    if head.endswith("]") and not head.endswith("[]"):
        return _into_slice(head, putter(rest, {}), slices.get(head, {}))
    if rest:
        inner = putter(rest, {})
        return lambda holder, value, ctx: inner(holder.setdefault(head, {}), value, ctx)
    return _append(path[:-2]) if path.endswith("[]") else _set(path)


def _merge(holder: Json, value: Json, ctx: Context) -> int:
    if any(name in holder and holder[name] != found for name, found in value.items()):
        return REFUSED
    holder.update(value)
    return STORED


_SETS: Final = frozenset(
    {"identifier", "name", "telecom", "address", "performer", "basedOn", "participant", "generalPractitioner", "resultsInterpreter", "author"}
)
"""Lists in which the same value twice says nothing more; ORC and OBR, for one, repeat each other."""


def _append(name: str) -> Put:
    unique = name in _SETS

    def append(holder: Json, value: Any, ctx: Context) -> int:
        held = holder.get(name)
        if held is None:
            holder[name] = [value]
        elif unique and value in held:
            return SAME
        else:
            held.append(value)
        return STORED

    return append


def _set(name: str) -> Put:
    shadow = "_" + name

    def put(holder: Json, value: Any, ctx: Context) -> int:
        if type(value) is Primitive:
            if name in holder or shadow in holder:
                return SAME if holder.get(name) == value.value and not value.extension else REFUSED
            if value.value is not None:
                holder[name] = value.value
            if value.extension:
                holder[shadow] = {"extension": value.extension}
            return STORED
        if name in holder:
            return SAME if holder[name] == value else REFUSED
        holder[name] = value
        return STORED

    return put


def _into_slice(head: str, inner: Put, fixed: Json) -> Put:
    name = head.partition("[")[0]

    def put(holder: Json, value: Any, ctx: Context) -> int:
        key = (id(holder), head, ctx.segment.index)
        element = ctx.slices.get(key)
        if element is None:
            element = ctx.slices[key] = {k: _copy(v) for k, v in fixed.items()}
            holder.setdefault(name, []).append(element)
        return inner(element, value, ctx)

    return put


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {k: _copy(v) for k, v in value.items()}
    if type(value) is list:
        return [_copy(v) for v in value]
    return value
