"""Walking and rewriting references inside a resource, without touching anything else. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

Json = dict[str, Any]

_HOLDS_ADDRESS: Final = frozenset({"reference", "url", "valueUri", "valueUrl", "fullUrl"})
"""Elements that may name another resource of the same message: Reference.reference, Attachment.url, extension values."""


def references(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every Reference.reference as (FHIRPath, text)."""
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            yield f"{path}.reference", text
        for key, item in value.items():
            if isinstance(item, (dict, list)):
                yield from references(item, f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from references(item, f"{path}[{position}]")


def rewritten(value: Any, new: Callable[[str], str | None]) -> Any:
    """A copy in which every address `new` knows is replaced; parts that hold none are shared with the original, not copied."""
    if isinstance(value, dict):
        made: Json | None = None
        for key, item in value.items():
            changed = item
            if isinstance(item, str):
                if key in _HOLDS_ADDRESS:
                    changed = new(item) or item
            elif isinstance(item, (dict, list)):
                changed = rewritten(item, new)
            if changed is not item:
                if made is None:
                    made = dict(value)
                made[key] = changed
        return value if made is None else made
    if isinstance(value, list):
        items = [rewritten(item, new) if isinstance(item, (dict, list)) else item for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value
