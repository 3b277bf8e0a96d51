"""Counts for `/metrics` and `/readyz`: what waits, never what is done, so each is answered from a short index range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, select

from fhir_gateway.store import tables
from fhir_gateway.store.work import Work


@dataclass(frozen=True, slots=True)
class Statistics:
    """inbox_*: messages in that state. outbox_due: things a worker should have begun; outbox_dead: given up. cases_due: to be judged again."""

    inbox_pending: int
    inbox_failed: int
    inbox_refused: int
    outbox_due: int
    outbox_dead: int
    cases_due: int
    cases_open: int
    orphans: int


def read(work: Work, now: datetime) -> Statistics:
    """The counts at `now`."""
    return Statistics(**{name: work.execute(query, {"now": now} if name in _AT else {}).scalar_one() for name, query in _COUNTS.items()})


def _inbox(state: str) -> Select[Any]:
    return select(func.count()).select_from(tables.inbox).where(tables.inbox.c.state == state)


_NOW: Final = bindparam("now", type_=tables.outbox.c.due_at.type)
_AT: Final = frozenset({"outbox_due", "cases_due"})
_COUNTS: Final[dict[str, Select[Any]]] = {
    "inbox_pending": _inbox("pending"),
    "inbox_failed": _inbox("failed"),
    "inbox_refused": _inbox("refused"),
    "outbox_due": select(func.count()).select_from(tables.outbox).where(tables.outbox.c.state == "pending", tables.outbox.c.due_at <= _NOW),
    "outbox_dead": select(func.count()).select_from(tables.outbox).where(tables.outbox.c.state == "dead"),
    "cases_due": select(func.count()).select_from(tables.case).where(tables.case.c.next_change <= _NOW),
    "cases_open": select(func.count()).select_from(tables.case).where(tables.case.c.closed.is_(False)),
    "orphans": select(func.count()).select_from(tables.record).where(tables.record.c.orphan, tables.record.c.until.is_(None)),
}
