"""The inbox: what arrived is kept, byte for byte, with its state and the answer that was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, select, update

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.errors import InboxStateError, NotFoundError, RaceLostError
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

InboxState = Literal["pending", "processed", "failed", "refused", "discarded"]
Channel = Literal["mllp", "http", "fhir", "payer"]
"""payer: what a payer answered to a question of ours; it is no message and never mapped again."""

# Who may follow whom. A processed message is never taken back; a discarded one was put aside by a person and stays so.
MAY_BECOME: Final[dict[str, frozenset[str]]] = {
    "pending": frozenset({"processed", "failed", "refused", "discarded"}),
    "failed": frozenset({"pending", "processed", "failed", "refused", "discarded"}),
    "refused": frozenset({"pending", "processed", "failed", "refused", "discarded"}),
    "processed": frozenset(),
    "discarded": frozenset(),
}

_I: Final = tables.inbox
_K: Final = tables.kept_field
_W: Final = tables.waiting
_LINE: Final = [column for column in _I.c if column.name not in ("ledger", "report", "kept", "answer", "answer_type", "raw")]
_SEEN: Final = {reach: compartment.owned(reach, _I) for reach in compartment.SCOPES}


@dataclass(frozen=True, slots=True)
class Went:
    """Where the fields of a message went. counts: by fate. report: each of them, packed. kept: digest of the set of fields no element took, "" for none."""

    counts: dict[str, int]
    report: bytes
    kept: str


@dataclass(frozen=True, slots=True)
class InboxLine:
    """What a list says about a message. size and content_hash are of the whole, also where only its beginning is kept."""

    id: str
    received_at: datetime
    channel: str
    sender: str
    control_id: str | None
    message_type: str
    content_hash: str
    size: int
    charset: str
    owner: str
    role: str | None
    agent: str | None
    state: str
    attempts: int
    settled_at: datetime | None
    mapping: str
    findings: Any


@dataclass(frozen=True, slots=True)
class InboxEntry(InboxLine):
    """A message as received, and the answer it was given. ledger, report: where its fields went, in numbers and each of them, as the caller put it.
    kept: digest of the set of fields no element took.
    """

    ledger: Any
    report: bytes | None
    kept: str | None
    answer: bytes | None
    answer_type: str | None
    raw: bytes

    @property
    def complete(self) -> bool:
        """Is all of it kept? (What is over a limit is kept in part.)"""
        return len(self.raw) == self.size


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which messages are meant: all of these hold, None for whatever. ids: these only. code: those that wait for it (`LocalCode.pk`)."""

    since: datetime | None = None
    until: datetime | None = None
    message_type: str | None = None
    sender: str | None = None
    code: int | None = None
    ids: tuple[str, ...] = ()


def content_hash(raw: bytes) -> str:
    """SHA-256 of the bytes received, as hex."""
    return sha256(raw).hexdigest()


class Inbox:
    """What one principal's organisation sent; staff see all of it."""

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work, self._principal = work, principal
        self._scope = compartment.scope(principal)
        self._values = compartment.values(principal)

    def add(
        self,
        *,
        channel: Channel,
        sender: str,
        control_id: str | None,
        message_type: str,
        raw: bytes,
        content_hash: str,
        id: str | None = None,
        size: int | None = None,
        charset: str = "",
        state: InboxState = "pending",
        mapping: str = "",
        findings: Any = None,
        ledger: Any = None,
        answer: bytes | None = None,
        answer_type: str | None = None,
        attempts: int = 1,
        sent_by: Principal | None = None,
    ) -> str:
        """Keep what arrived; returns its id. The same sender, control id and content twice at once: RaceLostError (`Store.run` starts over and
        `find_same` finds the first). sent_by: under whose rights it is to be worked on again, unless that is who keeps it.
        """
        now = self._work.now
        id = id or new_id()
        sent_by = sent_by or self._principal
        row = {
            "id": id,
            "received_at": now,
            "channel": channel,
            "sender": fit(sender),
            "control_id": None if control_id is None else fit(control_id),
            "message_type": fit(message_type),
            "content_hash": content_hash,
            "size": len(raw) if size is None else size,
            "charset": fit(charset),
            "owner": self._principal.organisation,
            "role": sent_by.role,
            "agent": fit(sent_by.name),
            "state": state,
            "attempts": attempts,
            "settled_at": None if state == "pending" else now,
            "mapping": fit(mapping),
            "findings": findings,
            "ledger": ledger,
            "answer": answer,
            "answer_type": answer_type,
            "raw": raw,
        }
        make = self._work.known("new message", lambda: self._work.insert(_I).on_conflict_do_nothing().returning(_I.c.id))
        made = self._work.execute(make, row).first()
        if made is None:
            raise RaceLostError("the same message arrived twice at once")
        return id

    def find_same(self, sender: str, control_id: str, content_hash: str) -> InboxEntry | None:
        """The entry for this very message from this sender, if it came before (over any connection)."""
        row = self._work.execute(_SAME, {"sender": fit(sender), "control_id": fit(control_id), "content_hash": content_hash}).first()
        return _entry(row) if row else None

    def get(self, id: str) -> InboxEntry | None:
        """One entry, or None when there is none for this principal."""
        row = self._work.execute(_GET[self._scope], {"id": id, **self._values}).first()
        return _entry(row) if row else None

    def list(self, state: InboxState | None = None, limit: int = 50, before: str | None = None) -> Sequence[InboxLine]:
        """Newest first; `before` is the id of the last entry of the page before."""
        query = select(*_LINE).where(_SEEN[self._scope]).order_by(_I.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(_I.c.state == state)
        if before is not None:
            query = query.where(_I.c.id < before)
        return [InboxLine(**row._mapping) for row in self._work.execute(query, self._values)]

    def pending(self, limit: int = 100) -> Sequence[InboxEntry]:
        """Entries accepted but not yet worked on (enhanced mode, recovery), oldest first."""
        query = select(_I).where(_I.c.state == "pending", _SEEN[self._scope]).order_by(_I.c.id).limit(limit)
        return [_entry(row) for row in self._work.execute(query, self._values)]

    def settle(
        self,
        id: str,
        state: InboxState,
        *,
        answer: bytes | None = None,
        answer_type: str | None = None,
        findings: Any = None,
        went: Went | None = None,
        mapping: str = "",
        message_type: str | None = None,
    ) -> None:
        """Record what became of an entry. Raises NotFoundError, InboxStateError (two workers on one entry: the second one's end is refused)."""
        values: dict[str, Any] = {
            "answer": answer,
            "answer_type": answer_type,
            "findings": findings,
            "mapping": fit(mapping),
            **_went(went),
        }
        if message_type is not None:
            values["message_type"] = fit(message_type)
        self._move(id, state, values)

    def remapped(self, id: str, *, findings: Any, went: Went, mapping: str) -> None:
        """Record that a processed message was mapped again. Its state, answer and times stay."""
        self._locked(id)
        self._work.execute(update(_I).where(_I.c.id == id).values(findings=findings, mapping=fit(mapping), **_went(went)))

    def select(self, chosen: Chosen, after: str = "", limit: int = 100) -> Sequence[str]:
        """Ids of the HL7 v2 messages that were processed and are chosen, oldest first."""
        query = select(_I.c.id).where(_chosen(chosen), _I.c.id > after, _SEEN[self._scope]).order_by(_I.c.id).limit(limit)
        return list(self._work.execute(query, self._values).scalars())

    def count(self, chosen: Chosen) -> int:
        """How many there are."""
        return int(self._work.execute(select(func.count()).select_from(_I).where(_chosen(chosen), _SEEN[self._scope]), self._values).scalar_one())

    def unmapped(self, field: str | None = None, code: int | None = None, limit: int = 50) -> Sequence[InboxLine]:
        """Messages, newest first, a field of which (`PID-31`) no element took, or which wait for a code (`LocalCode.pk`)."""
        query = select(*_LINE).where(_SEEN[self._scope]).order_by(_I.c.id.desc()).limit(limit)
        if field is not None:
            query = query.where(_I.c.kept.in_(select(_K.c.digest).where(_K.c.field == fit(field))))
        if code is not None:
            query = query.where(_I.c.id.in_(select(_W.c.inbox).where(_W.c.code == code)))
        return [InboxLine(**row._mapping) for row in self._work.execute(query, self._values)]

    def kept_fields(self, limit: int = 200) -> Sequence[tuple[str, int]]:
        """Fields that were kept beside their elements, and in how many messages, the most frequent first."""
        number = func.count().label("number")
        query = select(_K.c.field, number).join(_I, _I.c.kept == _K.c.digest).where(_SEEN[self._scope])
        rows = self._work.execute(query.group_by(_K.c.field).order_by(number.desc(), _K.c.field).limit(limit), self._values)
        return [(row.field, row.number) for row in rows]

    def channels(self, ids: Iterable[str]) -> dict[str, str]:
        """By which channel entries came, by id; any principal's."""
        rows = self._work.execute(select(_I.c.id, _I.c.channel).where(_I.c.id.in_(bindparam("ids", expanding=True))), {"ids": sorted(set(ids))})
        return {row.id: row.channel for row in rows}

    def claim_for_retry(self, id: str) -> InboxEntry:
        """Lock a failed, refused or pending entry for another try and count it. Raises NotFoundError, InboxStateError."""
        entry = self._locked(id)
        if entry.state not in ("pending", "failed", "refused"):
            raise InboxStateError(id, entry.state, "pending")
        self._work.execute(update(_I).where(_I.c.id == id).values(state="pending", attempts=entry.attempts + 1, settled_at=None))
        claimed = self.get(id)
        assert claimed is not None
        return claimed

    def discard(self, id: str) -> None:
        """Put an entry aside for good; it stays readable. Raises NotFoundError, InboxStateError."""
        self._move(id, "discarded")

    def _move(self, id: str, state: InboxState, values: Mapping[str, Any] = {}) -> None:
        """values: what else is recorded with it."""
        self._work.now  # noqa: B018 - a snapshot changes nothing
        row = self._work.execute(_STATE[self._scope], {"id": id, **self._values}).first()
        if row is None:
            raise NotFoundError("inbox entry", id)
        if state not in MAY_BECOME[row.state]:
            raise InboxStateError(id, row.state, state)
        self._work.change_row(_I.c.id, id, {"state": state, "settled_at": self._work.now, **values})

    def _locked(self, id: str) -> InboxEntry:
        self._work.now  # noqa: B018 - a snapshot changes nothing
        row = self._work.execute(_GET[self._scope].with_for_update(), {"id": id, **self._values}).first()
        if row is None:
            raise NotFoundError("inbox entry", id)
        return _entry(row)


_SAME: Final = select(_I).where(
    _I.c.sender == bindparam("sender"),
    _I.c.control_id == bindparam("control_id"),
    _I.c.content_hash == bindparam("content_hash"),
    _I.c.control_id.is_not(None),
)
_GET: Final = {reach: select(_I).where(_I.c.id == bindparam("id"), seen) for reach, seen in _SEEN.items()}
_STATE: Final = {reach: select(_I.c.state).where(_I.c.id == bindparam("id"), seen).with_for_update() for reach, seen in _SEEN.items()}
"""The state alone: the message itself may be megabytes."""


def _went(went: Went | None) -> dict[str, Any]:
    if went is None:
        return {}
    return {"ledger": {"counts": went.counts}, "report": went.report, "kept": went.kept or None}


def _chosen(chosen: Chosen) -> ColumnElement[bool]:
    """Prefixes of a type will do: `REF` is every referral."""
    conditions: list[ColumnElement[bool]] = [_I.c.state == "processed", _I.c.channel.not_in(("fhir", "payer"))]
    if chosen.since is not None:
        conditions.append(_I.c.received_at >= chosen.since)
    if chosen.until is not None:
        conditions.append(_I.c.received_at < chosen.until)
    if chosen.message_type is not None:
        conditions.append(_I.c.message_type.startswith(fit(chosen.message_type), autoescape=True))
    if chosen.sender is not None:
        conditions.append(_I.c.sender == fit(chosen.sender))
    if chosen.code is not None:
        conditions.append(_I.c.id.in_(select(_W.c.inbox).where(_W.c.code == chosen.code)))
    if chosen.ids:
        conditions.append(_I.c.id.in_(chosen.ids))
    return and_(*conditions)


def _entry(row: Row[Any]) -> InboxEntry:
    return InboxEntry(**row._mapping)
