"""Text made fit for an index: no NUL (PostgreSQL refuses it) and no longer than an index entry may be, without losing uniqueness."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LONGEST: Final = 400
"""Characters kept as they are. Four bytes each at worst, and two such columns stay below PostgreSQL's 2,704 bytes per index entry with the rest of the key."""
_KEPT: Final = 300


def fit(value: str) -> str:
    """The value itself, or for an overlong one its beginning with a hash of the whole; the same value always gives the same text."""
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
    if len(value) <= LONGEST:
        return value
    return f"{value[:_KEPT]}#{sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"


def beginning(value: str) -> str:
    """As much of the value as an overlong one keeps: what its `fit` begins with."""
    return value.replace("\x00", "\ufffd")[:_KEPT]
