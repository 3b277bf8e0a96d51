"""The ledger of a mapped message as rows a person can read: what became of every field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mappers.result import LedgerEntry, Mapped
from mappers.v2 import dictionary


class Row(NamedTuple):
    """field: `PID[1]-3.9`; name: the dictionary's; fate: mapped, kept, structural or empty; target: the FHIR element; why: for what is kept."""

    field: str
    name: str
    fate: str
    target: str
    why: str


def report(mapped: Mapped) -> list[Row]:
    """One row per ledger entry, in the order of segments and fields."""
    return rows(mapped.ledger, mapped.header.version)


def rows(ledger: Iterable[LedgerEntry], said: str) -> list[Row]:
    """The same of any ledger. said: MSH-12 of its message."""
    version, _ = dictionary.nearest(said)
    made = []
    for entry in ledger:
        where = entry.where
        known = dictionary.field(version, where.segment, where.field) if where.field else None
        made.append(Row(str(where), known.name if known else "", entry.fate, entry.target, entry.why))
    return made
