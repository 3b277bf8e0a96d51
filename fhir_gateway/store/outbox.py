"""The outbox: things to do after the commit (notify, ask, remind), queued in the transaction that makes them necessary.

A worker leases a few, does them, and says done or failed; a worker that dies leaves its leases to run out. Each thing has a name (`key`) and is queued
once, so a message that is worked on twice notifies once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, exists, func, not_, or_, select, update

from fhir_gateway.store import tables
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

_O: Final = tables.outbox


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do. attempts: counts this lease."""

    pk: int
    kind: str
    key: str
    lane: str
    payload: Any
    queued_at: datetime
    due_at: datetime
    attempts: int
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class JobLine:
    """What a list says about a thing to do. state: pending, done or dead (given up)."""

    pk: int
    kind: str
    key: str
    queued_at: datetime
    due_at: datetime
    attempts: int
    state: str
    last_error: str | None


class Outbox:
    """The gateway's own work; it belongs to no principal."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def put(self, kind: str, key: str, payload: Any, due_at: datetime | None = None, *, lane: str = "") -> bool:
        """Queue a thing, now or for later, behind what its lane holds. False when its key was queued before, done or not."""
        row = {
            "kind": kind,
            "key": fit(key),
            "lane": fit(lane),
            "payload": payload,
            "queued_at": self._work.now,
            "due_at": due_at or self._work.now,
            "attempts": 0,
            "state": "pending",
        }
        return self._work.execute(self._work.insert(_O).on_conflict_do_nothing().returning(_O.c.pk), row).first() is not None

    def lease(self, now: datetime, n: int, seconds: float, owner: str, kinds: Sequence[str] = ()) -> list[Job]:
        """Take up to `n` things that are due, oldest first, for `seconds`; nobody else is given them until then. owner: names the worker.

        What waits in a lane behind something that is not due, or is in another worker's hands, is not given out.
        """
        free = or_(_O.c.lease_until.is_(None), _O.c.lease_until <= now)
        ahead = _O.alias("ahead")
        held_up = exists().where(
            ahead.c.state == "pending",
            ahead.c.lane == _O.c.lane,
            ahead.c.pk < _O.c.pk,
            or_(ahead.c.due_at > _O.c.due_at, and_(ahead.c.lease_until.is_not(None), ahead.c.lease_until > now)),
        )
        due = select(_O.c.pk).where(_O.c.state == "pending", _O.c.due_at <= now, free, or_(_O.c.lane == "", not_(held_up)))
        due = due.order_by(_O.c.due_at, _O.c.pk).limit(n)
        if kinds:
            due = due.where(_O.c.kind.in_(kinds))
        taken = [row.pk for row in self._work.execute(due.with_for_update(skip_locked=True))]
        if not taken:
            return []
        lease = {"lease_until": now + timedelta(seconds=seconds), "lease_owner": owner, "attempts": _O.c.attempts + 1}
        self._work.execute(update(_O).where(_O.c.pk.in_(taken)).values(**lease))
        rows = self._work.execute(select(*(_O.c[name] for name in Job.__slots__)).where(_O.c.pk.in_(taken)).order_by(_O.c.due_at, _O.c.pk))
        return [Job(**row._mapping) for row in rows]

    def claim(self, key: str, now: datetime, seconds: float, owner: str) -> Job | None:
        """Take the thing of this name, due or not, to do it at once. None when it is done, or in somebody's hands."""
        free = or_(_O.c.lease_until.is_(None), _O.c.lease_until <= now)
        mine = update(_O).where(_O.c.key == fit(key), _O.c.state == "pending", free)
        lease = {"lease_until": now + timedelta(seconds=seconds), "lease_owner": owner, "attempts": _O.c.attempts + 1}
        row = self._work.execute(mine.values(**lease).returning(*(_O.c[name] for name in Job.__slots__))).first()
        return Job(**row._mapping) if row else None

    def find(self, keys: Sequence[str]) -> Job | None:
        """The thing with one of these names, whatever became of it."""
        named = select(*(_O.c[name] for name in Job.__slots__)).where(_O.c.key.in_([fit(key) for key in keys]))
        row = self._work.execute(named.order_by(_O.c.pk)).first()
        return Job(**row._mapping) if row else None

    def settle(self, pk: int, error: str = "", retry_at: datetime | None = None) -> None:
        """It has been done by other means than its lease, or (with a time) has to be done again then."""
        self._work.now  # noqa: B018 - a snapshot settles nothing
        again = {"state": "pending", "due_at": retry_at, "last_error": fit(error)} if retry_at else {"state": "done", "last_error": None}
        self._work.execute(update(_O).where(_O.c.pk == pk).values(lease_until=None, lease_owner=None, **again))

    def done(self, pk: int, owner: str) -> bool:
        """It is done. False when the lease was lost to another worker."""
        return self._end(pk, owner, {"state": "done", "last_error": None})

    def fail(self, pk: int, owner: str, error: str, retry_at: datetime | None) -> bool:
        """It failed: again at `retry_at`, or never (None). False when the lease was lost. error: without patient data."""
        state = "dead" if retry_at is None else "pending"
        return self._end(pk, owner, {"state": state, "last_error": fit(error), **({} if retry_at is None else {"due_at": retry_at})})

    def reopen(self, pk: int, error: str, retry_at: datetime) -> None:
        """Put a thing that this transaction said is done back: it has to be done again, at `retry_at`."""
        again = {"state": "pending", "last_error": fit(error), "due_at": retry_at}
        self._work.execute(update(_O).where(_O.c.pk == pk, _O.c.state == "done").values(**again))

    def release(self, pk: int, owner: str) -> bool:
        """Give a thing back that was not begun, because what goes before it in its lane has to be tried again. False when the lease was lost."""
        return self._end(pk, owner, {"attempts": _O.c.attempts - 1})

    def list(self, state: str | None = None, limit: int = 100) -> Sequence[JobLine]:
        """The newest first."""
        query = select(*(_O.c[name] for name in JobLine.__slots__)).order_by(_O.c.pk.desc()).limit(limit)
        if state is not None:
            query = query.where(_O.c.state == state)
        return [JobLine(**row._mapping) for row in self._work.execute(query)]

    def retry(self, pk: int) -> bool:
        """Have a thing that was given up tried again from now on. False when there is none such."""
        again = {"state": "pending", "due_at": self._work.now, "queued_at": self._work.now, "attempts": 0, "last_error": None}
        return bool(self._work.execute(update(_O).where(_O.c.pk == pk, _O.c.state == "dead").values(**again)).rowcount)

    def count(self, beginning: str) -> int:
        """How many things with a key that begins so were ever queued: one range of the keys' index."""
        after = beginning[:-1] + chr(ord(beginning[-1]) + 1)
        return int(self._work.execute(select(func.count()).where(_O.c.key >= beginning, _O.c.key < after)).scalar_one())

    def _end(self, pk: int, owner: str, values: dict[str, Any]) -> bool:
        self._work.now  # noqa: B018 - a snapshot ends nothing
        mine = and_(_O.c.pk == pk, _O.c.lease_owner == owner, _O.c.state == "pending")
        ended = self._work.execute(update(_O).where(mine).values(lease_until=None, lease_owner=None, **values))
        return bool(ended.rowcount)
