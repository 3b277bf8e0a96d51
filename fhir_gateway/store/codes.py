"""Codes no table translates: one row per sender, table and code, and the messages that wait for somebody to say what it means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, literal, not_, or_, select, update

from fhir_gateway.store import tables
from fhir_gateway.store.text import LONGEST, fit
from fhir_gateway.store.work import Work
from mappers.result import Unmapped

_C: Final = tables.local_code
_W: Final = tables.waiting
_K: Final = tables.kept_field
_KNOWN: Final = select(_C.c.pk, _C.c.map, _C.c.code).where(_C.c.sender == bindparam("sender"), _C.c.code.in_(bindparam("codes", expanding=True)))
_SET: Final = select(_K.c.digest).where(_K.c.digest == bindparam("digest")).limit(1)
_FORGET: Final = delete(_W).where(_W.c.inbox == bindparam("inbox"))
_MESSAGES: Final = select(func.count()).select_from(_W).where(_W.c.code == _C.c.pk).correlate(_C).scalar_subquery().label("messages")
MOST_OF_SENDER: Final = 5_000
"""Codes noted of one sender: more are no codes but text or numbers in a coded field, and nobody will translate them one by one."""
MOST: Final = 100
"""Codes noted of one message; what is beyond was reported to its sender and is kept in the message."""


@dataclass(frozen=True, slots=True)
class LocalCode:
    """One code of one sender. map: key of a ConceptMap, or the URI of the sender's code system. messages: how many wait for it. task: id of its Task."""

    pk: int
    sender: str
    map: str
    code: str
    display: str
    field: str
    since: datetime
    task: str | None
    messages: int


_NAMED: Final = [_C.c[name] for name in LocalCode.__slots__ if name != "messages"]
_COLUMNS: Final = [*_NAMED, _MESSAGES]
_WAITED: Final = select(_W.c.code).where(_W.c.code == _C.c.pk).exists()


class Codes:
    """The clinic's own knowledge of what its senders' codes lack; it belongs to no principal."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def note(self, inbox_id: str, sender: str, found: Sequence[Unmapped], *, again: bool = False) -> list[LocalCode]:
        """What stood untranslated in a message when it was mapped; the codes never met before. again: it was mapped before, and that no longer holds."""
        if again:
            self._work.execute(_FORGET, {"inbox": inbox_id})
        named = {(fit(one.table), one.code): one for one in sorted(found)[:MOST] if len(one.code) <= LONGEST and "\x00" not in one.code}
        if not named:
            return []
        known = self._known(sender, named)
        fresh = [self._row(fit(sender), one) for name, one in named.items() if name not in known]
        made: list[int] = []
        if fresh and self._number(sender) < MOST_OF_SENDER:
            made = list(self._work.execute(self._work.insert(_C).on_conflict_do_nothing().returning(_C.c.pk), fresh).scalars())
            known = self._known(sender, named)
        if known:
            self._work.queue(_W, [{"code": pk, "inbox": inbox_id} for pk in known.values()])
        return self._where(_C.c.pk.in_(made)) if made else []

    def wanted(self) -> list[LocalCode]:
        """As `waiting`, without counting how many messages that are (`messages` is 1): for whoever asks every few seconds."""
        query = select(*_NAMED, literal(1).label("messages")).where(_WAITED).order_by(_C.c.pk)
        return [LocalCode(**row._mapping) for row in self._work.execute(query)]

    def waiting(self, limit: int = 10_000) -> list[LocalCode]:
        """Codes that messages wait for, the most wanted first."""
        self._work.flush()
        query = select(*_COLUMNS).where(_WAITED).order_by(_MESSAGES.desc(), _C.c.pk).limit(limit)
        return [LocalCode(**row._mapping) for row in self._work.execute(query)]

    def find(self, name: str) -> LocalCode | None:
        """A code by its number or the id of its Task."""
        self._work.flush()
        named = _C.c.pk == int(name) if name.isdecimal() and len(name) < 19 else _C.c.task == name
        return next(iter(self._where(named)), None)

    def messages(self, pk: int, limit: int = 50, after: str = "") -> list[str]:
        """Inbox ids of messages that wait for a code, oldest first. after: the last of those before."""
        query = select(_W.c.inbox).where(_W.c.code == pk, _W.c.inbox > after).order_by(_W.c.inbox).limit(limit)
        return list(self._work.execute(query).scalars())

    def of(self, inbox_id: str) -> list[LocalCode]:
        """The codes one message waits for."""
        self._work.flush()
        return self._where(_C.c.pk.in_(select(_W.c.code).where(_W.c.inbox == inbox_id)))

    def open_tasks(self, sender: str) -> int:
        """How many codes of a sender have a Task and messages that wait."""
        return int(self._work.execute(select(func.count()).where(_C.c.sender == fit(sender), _C.c.task.is_not(None), _WAITED)).scalar_one())

    def turned(self) -> list[LocalCode]:
        """Codes whose Task is open although nothing waits for them any more, and those that are wanted again."""
        self._work.flush()
        return self._where(and_(_C.c.task.is_not(None), or_(and_(_C.c.ended.is_(False), not_(_WAITED)), and_(_C.c.ended.is_(True), _WAITED))))

    def end(self, pk: int, ended: bool) -> None:
        """Note that the Task of a code was completed, or opened again."""
        self._work.execute(update(_C).where(_C.c.pk == pk).values(ended=ended))

    def assign(self, pk: int, task: str) -> None:
        """Name the Task of a code."""
        self._work.execute(update(_C).where(_C.c.pk == pk).values(task=task))

    def keep_fields(self, digest: str, fields: Iterable[str]) -> None:
        """Make a set of fields known by its digest."""
        if self._work.execute(_SET, {"digest": digest}).first() is None:
            rows = [{"digest": digest, "field": fit(field)} for field in sorted(fields)]
            self._work.execute(self._work.insert(_K).on_conflict_do_nothing(), rows)

    def _number(self, sender: str) -> int:
        return int(self._work.execute(select(func.count()).where(_C.c.sender == fit(sender))).scalar_one())

    def _known(self, sender: str, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        wanted = set(named)
        rows = self._work.execute(_KNOWN, {"sender": fit(sender), "codes": sorted({code for _, code in wanted})})
        return {(row.map, row.code): row.pk for row in rows if (row.map, row.code) in wanted}

    def _where(self, condition: ColumnElement[bool]) -> list[LocalCode]:
        return [LocalCode(**row._mapping) for row in self._work.execute(select(*_COLUMNS).where(condition).order_by(_C.c.pk))]

    def _row(self, sender: str, one: Unmapped) -> dict[str, Any]:
        return {
            "sender": sender,
            "map": fit(one.table),
            "code": one.code,
            "display": fit(one.display),
            "field": one.place,
            "since": self._work.now,
            "ended": False,
        }
