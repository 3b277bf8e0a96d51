"""What a reference points at, read from its text: `Type/id`, an absolute address, a version of either."""

from __future__ import annotations

import re
from typing import Any, Final

_LOCAL: Final = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_TAIL: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.DOTALL)


def local(text: str) -> tuple[str, str] | None:
    """(type, id) of a reference to a resource of this server, its version left out; None for anything else."""
    match = _LOCAL.fullmatch(text)
    return (match[1], match[2]) if match else None


def target_type(reference: dict[str, Any]) -> str | None:
    """The type a Reference points at: by its text, else by its `type` (a reference by identifier only)."""
    text = reference.get("reference")
    if isinstance(text, str):
        match = _TAIL.fullmatch(text)
        if match:
            return match[1]
    named = reference.get("type")
    return named if isinstance(named, str) else None
