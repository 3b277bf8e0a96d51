"""What a message would have made by today's rules, carried over to what its resource holds now. Pure.

A resource is looked at in cells: one per element, and one per item of the lists that messages add to (identifier, extension, target). A cell that today's
rules fill otherwise than the message last did is changed where it still holds what that message, or an earlier one, put there. What a later message put
there stands: newer wins. What a person or a FHIR client put there is a conflict, for a person to settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

Json = dict[str, Any]
Cell = tuple[str, str]
"""(element, name of the item or "")."""
Hand = Literal["this", "earlier", "later", "person"]
"""Who wrote a version: the message mapped again, a message before or after it, or somebody who is no message."""

BY_ITEM: Final = ("identifier", "extension", "target")
_OWN: Final = frozenset({"id", "meta", "resourceType"})


class Version(NamedTuple):
    """One version of a resource, and whose hand it is by."""

    content: Json
    hand: Hand


class Change(NamedTuple):
    """One cell. before, after: None for nothing there."""

    cell: Cell
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """The element, and which item of it."""
        element, name = self.cell
        return f"{element}[{name}]" if name else element


@dataclass(frozen=True, slots=True)
class Rebased:
    """content: what the resource should hold. changes: what that changes now. conflicts: what somebody else's edit keeps from changing."""

    content: Json
    changes: tuple[Change, ...]
    conflicts: tuple[Change, ...]


def rebase(versions: Sequence[Version], first: int, expected: Json, ignored: frozenset[str] = frozenset()) -> Rebased:
    """versions: all of the resource, oldest first. first: position of what the message made of it, or of what stood when it changed nothing.

    expected: what it would make by today's rules at that place. ignored: elements that others than the mapping look after.
    """
    rows = [cells(version.content) for version in versions]
    held = rows[-1]
    wanted = cells(expected)
    changes: list[Change] = []
    conflicts: list[Change] = []
    for cell in sorted({*wanted, *(cell for row in rows[first:] for cell in row)}):
        if cell[0] in ignored:
            continue
        given = _last_given(rows, versions, first, cell)
        if given == wanted.get(cell) or held.get(cell) == wanted.get(cell):
            continue
        change = Change(cell, held.get(cell), wanted.get(cell))
        hand = _hand(rows, versions, first, cell)
        if hand == "person":
            conflicts.append(change)
        elif hand != "later":
            changes.append(change)
    return Rebased(applied(versions[-1].content, changes, expected), tuple(changes), tuple(conflicts))


def added(versions: Sequence[Version], merged: Json, ignored: frozenset[str] = frozenset()) -> Rebased:
    """For a resource that did not exist when the message came: what it adds to it now by the ordinary rules (`merged`), a person's elements excepted."""
    rows = [cells(version.content) for version in versions]
    held, wanted = rows[-1], cells(merged)
    changes: list[Change] = []
    conflicts: list[Change] = []
    for cell in sorted({*wanted, *held}):
        if cell[0] in ignored or held.get(cell) == wanted.get(cell):
            continue
        touched = any(cell in row for row in rows) and _hand(rows, versions, 0, cell) == "person"
        (conflicts if touched else changes).append(Change(cell, held.get(cell), wanted.get(cell)))
    return Rebased(applied(versions[-1].content, changes, merged), tuple(changes), tuple(conflicts))


def cells(resource: Json) -> dict[Cell, Any]:
    """A resource by cells. Items of one name are one cell together."""
    out: dict[Cell, Any] = {}
    for element, value in resource.items():
        if element in _OWN:
            continue
        if element in BY_ITEM and isinstance(value, list):
            for item in value:
                out.setdefault((element, _name(item)), []).append(item)
        else:
            out[element, ""] = value
    return out


def applied(resource: Json, changes: Sequence[Change], like: Json | None = None) -> Json:
    """The resource with these cells as they are to be; everything else as it is, in its order. like: whose order a list with the same items takes."""
    wanted = {change.cell: change.after for change in changes}
    if not wanted:
        return resource
    now = cells(resource) | wanted
    touched = {element for element, _ in wanted}
    out: Json = {}
    for element in [*resource, *(element for element in sorted(touched) if element not in resource)]:
        if element not in touched:
            out[element] = resource[element]
            continue
        found = {name: value for (owner, name), value in now.items() if owner == element and value is not None}
        if element in BY_ITEM and found and "" not in found:
            out[element] = _ordered([item for items in found.values() for item in items], (like or {}).get(element))
        elif found:
            out[element] = found[""]
    return out


def _ordered(items: list[Any], like: Any) -> list[Any]:
    same = isinstance(like, list) and len(like) == len(items) and all(item in like for item in items) and all(item in items for item in like)
    return like if same else items


def _last_given(rows: Sequence[Mapping[Cell, Any]], versions: Sequence[Version], first: int, cell: Cell) -> Any:
    """What the message last put into a cell: at its place, or when it was mapped again since."""
    given = rows[first].get(cell)
    for at in range(first + 1, len(rows)):
        if versions[at].hand == "this" and rows[at].get(cell) != rows[at - 1].get(cell):
            given = rows[at].get(cell)
    return given


def _hand(rows: Sequence[Mapping[Cell, Any]], versions: Sequence[Version], first: int, cell: Cell) -> Hand:
    """Whose hand the value a cell holds is by. What stood at the message's own place is the message's word, unless a person made that version."""
    for at in range(len(rows) - 1, first, -1):
        if rows[at].get(cell) != rows[at - 1].get(cell):
            return versions[at].hand
    return "person" if versions[first].hand == "person" else "this"


def _name(item: Any) -> str:
    """What names an item: system and value of an identifier, url and kept field of an extension, the reference of a target."""
    if not isinstance(item, dict):
        return str(item)
    if "url" in item:
        inner = item.get("extension")
        fields = [str(sub.get("valueString", "")) for sub in inner if sub.get("url") == "field"] if isinstance(inner, list) else []
        return " ".join([str(item["url"]), *fields])
    if "reference" in item:
        return str(item["reference"])
    return f"{item.get('system', '')}|{item.get('value', '')}"
