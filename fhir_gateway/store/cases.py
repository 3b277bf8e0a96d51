"""Cases as projections: opened for a referral, kept in step with its last evaluation, asked for by worklists.

What a case is judged from (`records_of`) follows from the stored resources alone; see `fhir_gateway.store.records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Executable, Row, Select, and_, bindparam, delete, func, or_, select, update

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import attachment, compartment, identities, orphans, tables
from fhir_gateway.store.attachment import RecordOf
from fhir_gateway.store.errors import AmbiguousCaseError, NotFoundError
from fhir_gateway.store.links import referral_keys
from fhir_gateway.store.search.dates import moment, range_of
from fhir_gateway.store.stored import Json, Stored, milliseconds
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

_C: Final = tables.case
_I: Final = tables.case_item
_K: Final = tables.case_key
_SEEN: Final = {reach: compartment.cases(reach) for reach in compartment.SCOPES}
_LIST_COLUMNS: Final = [column for column in _C.c if column.name not in ("resource", "urgency", "evaluation")]
_COLUMNS: Final = [*_LIST_COLUMNS, _C.c.evaluation]
_NO_DUE: Final = date.max
_BATCH: Final = 500
# Gap statuses that are still to be closed (DEQM; PRODUCT.md, "What $completeness answers").
_OPEN_GAPS: Final = frozenset({"open-gap", "prospective-gap"})


@dataclass(frozen=True, slots=True)
class Case:
    """One case as last judged. evaluation: the flat answer of `$completeness`; None in lists and before the first judgement."""

    service_request_id: str
    task_id: str | None
    patient_id: str | None
    owner: str
    opened_at: datetime
    state: str
    closed: bool
    confirmed: bool
    checklist: str
    tumour_group: str
    due: date | None
    appointment: datetime | None
    decide_by: date | None
    next_change: datetime | None
    evaluated_at: datetime | None
    open_items: int
    self_pay: bool | None
    gates: Json | None
    evaluation: Json | None = None

    @property
    def cursor(self) -> str:
        """Where a list goes on after this case."""
        return f"{self.due or _NO_DUE}|{self.service_request_id}"


@dataclass(frozen=True, slots=True)
class CaseItem:
    """One item of one case, as worklists by item or by state show it."""

    service_request_id: str
    item_id: str
    state: str
    reason: str
    urgency: date
    good_until: date | None

    @property
    def due(self) -> date | None:
        """When it has to be there."""
        return None if self.urgency == _NO_DUE else self.urgency


class Cases:
    """The cases one principal sees: those whose referral it sees. To judge a case from all of its records, act on behalf of the gateway."""

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work = work
        self._scope = compartment.scope(principal)
        self._values = compartment.values(principal)

    def open(
        self,
        service_request: Json,
        *,
        task_id: str | None,
        patient_id: str | None,
        state: str,
        confirmed: bool,
        checklist: str = "",
        tumour_group: str = "",
    ) -> Case:
        """Open a case for a stored referral; again for one that has a case: its keys, patient and Task are brought up to date.

        Holds the patient and the referral's names until the transaction ends, so that a record arriving at once is not missed.
        Raises NotFoundError when the ServiceRequest is not stored.
        """
        work, id = self._work, service_request["id"]
        work.cases.update((f"ServiceRequest/{id}", f"Task/{task_id}"))
        work.flush()
        keys = referral_keys(service_request)
        work.lock([*([f"patient:{patient_id}"] if patient_id else []), *(f"referral:{key}" for key in keys)])
        identities.hold(work, [patient_id] if patient_id else [])
        referral = work.execute(_REFERRAL, {"id": id}).first()
        if referral is None:
            raise NotFoundError("ServiceRequest", id)
        row = {
            "service_request_id": id,
            "resource": referral.pk,
            "task_id": task_id,
            "patient_id": patient_id,
            "owner": referral.owner,
            "opened_at": milliseconds(work.now),
            "state": state,
            "closed": False,
            "confirmed": confirmed,
            "checklist": checklist,
            "tumour_group": tumour_group,
            "urgency": _NO_DUE,
            "open_items": 0,
        }
        held_on = {"task_id": task_id, "patient_id": patient_id}
        made = work.insert(_C).on_conflict_do_update(index_elements=[_C.c.service_request_id], set_=held_on).returning(*_COLUMNS)
        opened = _case(work.execute(made, row).one())
        work.execute(delete(_K).where(_K.c.service_request_id == id, _K.c.key.not_in(keys)))
        name = work.known("new names of a case", lambda: work.insert(_K).on_conflict_do_nothing())
        work.execute(name, [{"service_request_id": id, "key": key} for key in sorted(keys)])
        attachment.take_in(work, id, patient_id)
        return opened

    def save(
        self,
        service_request_id: str,
        answer: Json,
        *,
        closed: bool = False,
        confirmed: bool | None = None,
        tumour_group: str | None = None,
        self_pay: bool | None = None,
    ) -> None:
        """Keep a judgement: the flat answer of `$completeness`. A closed case is not judged again by time. Raises NotFoundError."""
        case, items = answer["case"], answer["items"]
        due = _date(case.get("due"))
        values: dict[str, Any] = {
            "state": case["state"],
            "closed": closed,
            "checklist": case.get("checklist") or "",
            "due": due,
            "urgency": due or _NO_DUE,
            "appointment": _instant(case.get("appointment")),
            "decide_by": _date(case.get("decideBy")),
            "next_change": None if closed else _instant(case.get("nextChange")),
            "evaluated_at": _instant(case.get("asOf")),
            "open_items": sum(item.get("gapStatus") in _OPEN_GAPS for item in items),
            "gates": answer["gates"],
            "evaluation": answer,
        }
        if confirmed is not None:
            values["confirmed"] = confirmed
        if tumour_group is not None:
            values["tumour_group"] = tumour_group
        if self_pay is not None:
            values["self_pay"] = self_pay
        self._work.now  # noqa: B018 - a snapshot keeps nothing
        if self._work.change_row(_C.c.service_request_id, service_request_id, values) == 0:
            raise NotFoundError("case of ServiceRequest", service_request_id)
        self._save_items(service_request_id, {item["id"]: _item_row(service_request_id, item) for item in items})

    def get(self, name: str, *, lock: bool = False) -> Case | None:
        """One case by `ServiceRequest/id`, `Task/id`, either id alone, or an identifier of the referral (`value` or `system|value`).

        lock: nobody else judges it until the transaction ends. Raises AmbiguousCaseError when an identifier names several.
        """
        self._work.flush()
        type, _, id = name.rpartition("/")
        if self._work.no_case_yet(type, id):
            return None
        if type in ("ServiceRequest", ""):
            found = self._by("service_request_id", id)
            if found or type:
                return self._first(found, lock)
        if type in ("Task", ""):
            found = self._by("task_id", id)
            if found or type:
                return self._first(found, lock)
        key = fit(name if "|" in name else f"|{name}")
        found = self._cases(_C.c.service_request_id.in_(select(_K.c.service_request_id).where(_K.c.key == key)))
        if len(found) > 1:
            raise AmbiguousCaseError([case.service_request_id for case in found])
        return self._first(found, lock)

    def list(
        self,
        *,
        closed: bool = False,
        state: str | None = None,
        confirmed: bool | None = None,
        tumour_group: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Sequence[Case]:
        """The worklist: by due date, then id; cases without a due date last. after: the `cursor` of the last case of the page before."""
        query = select(*_LIST_COLUMNS).where(_SEEN[self._scope]).order_by(_C.c.urgency, _C.c.service_request_id).limit(limit)
        query = query.where(_C.c.closed.is_(closed) if state is None else _C.c.state == state)
        if confirmed is not None:
            query = query.where(_C.c.confirmed.is_(confirmed))
        if tumour_group is not None:
            query = query.where(_C.c.tumour_group == tumour_group)
        if after is not None:
            urgency, _, id = after.partition("|")
            day = date.fromisoformat(urgency)
            query = query.where(_C.c.urgency >= day, or_(_C.c.urgency > day, _C.c.service_request_id > id))
        self._work.flush()
        return [_case(row) for row in self._work.execute(query, self._values)]

    def items(self, *, state: str, item_id: str | None = None, limit: int = 50) -> Sequence[CaseItem]:
        """Items in one state across cases, earliest due first, those without a due date last."""
        query = select(_I).join(_C, _C.c.service_request_id == _I.c.service_request_id).where(_I.c.state == state, _SEEN[self._scope])
        if item_id is not None:
            query = query.where(_I.c.item_id == item_id)
        rows = self._work.execute(query.order_by(_I.c.urgency, _I.c.service_request_id).limit(limit), self._values)
        return [CaseItem(**row._mapping) for row in rows]

    def for_patient(self, ids: Iterable[str]) -> Sequence[Case]:
        """Every case of these patients, under whichever number."""
        self._work.flush()
        people = set().union(*identities.persons(self._work, ids).values())
        query = _OF_PEOPLE[self._scope]
        return [_case(row) for batch in _batches(people) for row in self._work.execute(query, {"people": batch, **self._values})]

    def by_keys(self, keys: Iterable[str]) -> Sequence[Case]:
        """Every case that answers to one of these names (see `fhir_gateway.store.links`)."""
        self._work.flush()
        found = [case for batch in _batches(keys) for case in self._cases(_C.c.service_request_id.in_(_named(batch)))]
        return list({case.service_request_id: case for case in found}.values())

    def touched_by(self, references: Iterable[str]) -> Sequence[Case]:
        """Cases to judge again after a write of these resources (`Type/id`), locked so that two writers do not judge one case from half of its records.

        A record touches the cases of its patient and those it names, also those it belonged to before this transaction; a Patient, referral or
        coordination Task its own; a Task those whose coordination Task it is part of.
        """
        self._work.flush()
        return self._locked(attachment.touched(self._work, [reference.partition("/")[::2] for reference in references]))

    def records_of(self, case: Case, as_of: datetime | None = None) -> Sequence[RecordOf]:
        """What the case is judged from, now or as it stood at a moment: records of its patient that name no other case, and whatever names this one."""
        self._work.flush()
        return attachment.records_of(self._work, self._scope, self._values, case.service_request_id, case.patient_id, as_of)

    def tasks_of(self, case: Case, as_of: datetime | None = None) -> Sequence[Stored]:
        """Tasks that are part of the case's coordination Task."""
        self._work.flush()
        return attachment.tasks_of(self._work, self._scope, self._values, case.task_id, as_of)

    def orphans(self, limit: int = 50, after: int = 0, *, expired: bool = False) -> Sequence[tuple[int, Stored]]:
        """Records no case has taken in, oldest first, each with the number that `after` goes on from: those that wait, or those that were given up."""
        self._work.flush()
        return attachment.orphans(self._work, self._scope, self._values, limit, after, expired=expired)

    def orphans_overdue(self, cutoff: datetime) -> bool:
        """Is there anything that `expire_orphans` would give up?"""
        return orphans.overdue(self._work, cutoff)

    def expire_orphans(self, cutoff: datetime, limit: int = 100) -> Sequence[tuple[str, str]]:
        """Give up records that no case has taken in since before a moment, longest waiting first; (type, id) of each."""
        self._work.flush()
        return orphans.expire(self._work, cutoff, limit)

    def due_for_evaluation(self, now: datetime, limit: int = 100) -> Sequence[Case]:
        """Cases that time alone may have changed, longest overdue first."""
        query = select(*_LIST_COLUMNS).where(_C.c.next_change <= now, _SEEN[self._scope]).order_by(_C.c.next_change).limit(limit)
        return [_case(row) for row in self._work.execute(query, self._values)]

    def call_again(self, tumour_groups: Iterable[str], at: datetime) -> int:
        """Have the open cases of these groups judged again by the worker; how many there are.

        Their answers are out of date from the moment they were given (`at` where none was), so that no other process's clock is behind it.
        """
        self._work.flush()
        groups = sorted(set(tumour_groups))
        since = func.coalesce(_C.c.evaluated_at, milliseconds(at))
        due = update(_C).where(_C.c.closed.is_(False), _C.c.tumour_group.in_(groups)).values(next_change=since)
        return int(self._work.execute(due).rowcount) if groups else 0

    def _save_items(self, id: str, wanted: dict[str, dict[str, Any]]) -> None:
        """Only what changed is written: most judgements move one item."""
        held = {row.item_id: dict(row._mapping) for row in self._work.execute(_ITEMS, {"case": id})}
        gone = held.keys() - wanted.keys()
        if gone:
            self._work.execute(delete(_I).where(_I.c.service_request_id == id, _I.c.item_id.in_(gone)))
        changed = [row for name, row in wanted.items() if held.get(name) != row]
        if changed:
            self._work.execute(self._work.known("items of a case", self._item_insert), changed)

    def _item_insert(self) -> Executable:
        insert = self._work.insert(_I)
        set_ = {name: insert.excluded[name] for name in ("state", "reason", "urgency", "good_until")}
        return insert.on_conflict_do_update(index_elements=[_I.c.service_request_id, _I.c.item_id], set_=set_)

    def _by(self, column: str, id: str) -> Sequence[Case]:
        return [_case(row) for row in self._work.execute(_BY[self._scope, column], {"named": id, **self._values})]

    def _cases(self, condition: Any) -> Sequence[Case]:
        rows = self._work.execute(_ALL[self._scope].where(condition), self._values)
        return [_case(row) for row in rows]

    def _first(self, found: Sequence[Case], lock: bool) -> Case | None:
        if not found or not lock:
            return found[0] if found else None
        return self._locked([found[0].service_request_id])[0]

    def _locked(self, ids: Iterable[str]) -> Sequence[Case]:
        query = (_LOCKED if self._work.writes else _SEVERAL)[self._scope]
        return [_case(row) for batch in _batches(ids) for row in self._work.execute(query, {"ids": batch, **self._values})]


_ALL: Final = {reach: select(*_COLUMNS).where(seen).order_by(_C.c.service_request_id) for reach, seen in _SEEN.items()}
_BY: Final = {
    (reach, name): query.where(_C.c[name] == bindparam("named")) for reach, query in _ALL.items() for name in ("service_request_id", "task_id")
}
_OF_PEOPLE: Final = {reach: query.where(_C.c.patient_id.in_(bindparam("people", expanding=True))) for reach, query in _ALL.items()}
_SEVERAL: Final = {reach: query.where(_C.c.service_request_id.in_(bindparam("ids", expanding=True))) for reach, query in _ALL.items()}
_LOCKED: Final = {reach: query.with_for_update(of=_C) for reach, query in _SEVERAL.items()}
_REFERRAL: Final = select(tables.resource.c.pk, tables.resource.c.owner).where(
    and_(tables.resource.c.type == "ServiceRequest", tables.resource.c.id == bindparam("id"))
)


_ITEMS: Final = select(_I).where(_I.c.service_request_id == bindparam("case"))


def _case(row: Row[Any]) -> Case:
    return Case(**row._mapping)


def _named(keys: Sequence[str]) -> Select[Any]:
    return select(_K.c.service_request_id).where(_K.c.key.in_([fit(key) for key in keys]))


def _item_row(id: str, item: Json) -> dict[str, Any]:
    return {
        "service_request_id": id,
        "item_id": item["id"],
        "state": item["state"],
        "reason": item.get("reason") or "",
        "urgency": _date(item.get("due")) or _NO_DUE,
        "good_until": _date(item.get("goodUntil")),
    }


def _date(text: str | None) -> date | None:
    """A date of the flat answer; a dateTime counts as its date."""
    return date.fromisoformat(text[:10]) if text else None


def _instant(text: str | None) -> datetime | None:
    """A dateTime of the flat answer; a date alone is its beginning in UTC."""
    found = range_of(text) if text else None
    return moment(found.low) if found else None


def _batches(values: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(set(values))
    return (ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH))
