"""Where every field of a message went, packed for the inbox and unpacked for whoever asks (ADR 0024).

The ledger of a message depends on its shape and the tables, not on what it says: segments told of alike are one group, and messages of one shape are
packed once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from fhir_gateway.store.inbox import Went
from mappers.result import Ledger, LedgerEntry, Location, Told, Unmapped

MOST: Final = 200_000
"""Rows a packed report holds; a message that tells more is told in part, and says how much is left out."""
_SEEN_ALIKE: Final = 2_000
"""Rows up to which a shape is worth remembering."""

NAMED: Final = 12
"""Fields named in one acknowledgement."""

Group = tuple[tuple[Told, ...], tuple[int, ...]]


class _Summed(NamedTuple):
    went: Went
    fields: frozenset[str]


class Report(NamedTuple):
    """A packed report, unpacked. more: rows left out."""

    entries: list[LedgerEntry]
    more: int


def went(ledger: Ledger) -> tuple[Went, frozenset[str]]:
    """The ledger as the inbox keeps it, and the names (`PID-31`) of the fields that were kept beside their elements."""
    groups = _groups(ledger)
    return _summed(groups) if sum(len(rows) for rows, _ in groups) <= _SEEN_ALIKE else _summed.__wrapped__(groups)


def summed_up(fields: Iterable[str], unmapped: Sequence[Unmapped]) -> str:
    """One sentence for the sender: which fields no element took, and whose codes nobody translates; "" when there are none. Never a value."""
    parts = []
    if kept := sorted(fields, key=_in_order):
        parts.append(f"{len(kept)} fields kept beside their elements: {_some(kept)}")
    if places := sorted({one.place for one in unmapped}, key=_in_order):
        parts.append(f"codes kept untranslated in {_some(places)}")
    return "; ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _in_order(name: str) -> tuple[str, int]:
    segment, _, number = name.partition("-")
    return segment, int(number)


def report(packed: bytes) -> Report:
    """The entries of a packed report, segment by segment as they were mapped."""
    read: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed))
    entries = [
        LedgerEntry(Location(segment, sequence, number, repetition, component, sub), fate, target, why)
        for segment, sequences, rows in read["groups"]
        for sequence in sequences
        for number, repetition, component, sub, fate, target, why in rows
    ]
    return Report(entries, read["more"])


def _groups(ledger: Ledger) -> tuple[Group, ...]:
    alike: dict[tuple[Told, ...], list[int]] = {}
    for sequence, rows in ledger.groups:
        if rows:
            alike.setdefault(tuple(rows), []).append(sequence)
    return tuple((rows, tuple(sequences)) for rows, sequences in alike.items())


@lru_cache(maxsize=512)
def _summed(groups: tuple[Group, ...]) -> _Summed:
    counts: dict[str, int] = {}
    fields: set[str] = set()
    for rows, sequences in groups:
        for told in rows:
            counts[told[5]] = counts.get(told[5], 0) + len(sequences)
            if told[5] == "kept":
                fields.add(f"{told[0]}-{told[1]}")
    named = sorted(fields)
    digest = sha256(" ".join(named).encode()).hexdigest()[:32] if named else ""
    return _Summed(Went(counts, _packed(groups), digest), frozenset(fields))


def _packed(groups: Sequence[Group]) -> bytes:
    shown: list[tuple[str, Sequence[int], list[tuple[Any, ...]]]] = []
    room, more = MOST, 0
    for rows, sequences in groups:
        fitting = sequences[: room // len(rows)]
        more += (len(sequences) - len(fitting)) * len(rows)
        if fitting:
            room -= len(fitting) * len(rows)
            shown.append((rows[0][0], fitting, [told[1:] for told in rows]))
    return zlib.compress(msgspec.json.encode({"groups": shown, "more": more}), 1)
