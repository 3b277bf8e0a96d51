"""Which records belong to which case: SQL for a rule that depends on what is stored and not on the order it came in.

A record belongs to a case when it names it, or when it is about the case's patient and names no other case. The case's patient is every Patient linked
with the one the referral named (`identities`). A strong name counts everywhere. A weak
one (a number without its assigner) may be somebody else's number: it counts between a case and records of its own patient, and for records whose
patient has no case at all; whether such a record is really this patient's is judged later, from names and birth dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, exists, literal, not_, or_, select, union_all, update

from fhir_gateway.store import compartment, identities, tables
from fhir_gateway.store.pairs import PairLookup
from fhir_gateway.store.records import RECORDS
from fhir_gateway.store.resources import COLUMNS, Resources, stored_of
from fhir_gateway.store.stored import Stored, milliseconds
from fhir_gateway.store.work import Work

_R: Final = tables.resource
_T: Final = tables.record
_L: Final = tables.record_link
_C: Final = tables.case
_K: Final = tables.case_key


class RecordOf(NamedTuple):
    """A record of a case. link: "referral" when it names the case, "patient" when it is only about the same patient. received_at: of this version."""

    stored: Stored
    link: Literal["referral", "patient"]
    received_at: datetime


def records_of(
    work: Work, reach: compartment.Scope, seen: Mapping[str, Any], case_id: str, patient_id: str | None, as_of: datetime | None
) -> list[RecordOf]:
    """The records of one case, in order of arrival; at a moment, each in the version of then."""
    people = identities.person(work, patient_id, as_of) if patient_id is not None else frozenset[str]()
    values = {"case_id": case_id, "people": sorted(people), **seen}
    if as_of is not None:
        values["moment"] = milliseconds(as_of)
    links: dict[str, Literal["referral", "patient"]] = {}
    found: dict[str, Stored] = {}
    rows = work.execute(_STATEMENTS[reach, as_of is not None], values).all()
    taken = _elsewhere(work, {row.about for row in rows if row.link == "number"}, as_of)
    for row in rows:
        if row.link == "number" and row.about in taken:
            continue
        stored = stored_of(row[:-2])
        found[stored.reference] = stored
        if links.get(stored.reference) != "referral":
            links[stored.reference] = "patient" if row.link == "patient" else "referral"
    if as_of is not None:
        found = _then(work, reach, seen, found, as_of)
    return [RecordOf(stored, links[name], stored.last_updated) for name, stored in found.items() if not stored.deleted]


def _elsewhere(work: Work, patients: set[str], as_of: datetime | None) -> set[str]:
    """Those of these Patients who have a case under another number: their records are theirs, whatever bare number they name."""
    if not patients:
        return set()
    persons = {id: whole for id, whole in identities.persons(work, patients, as_of).items() if len(whole) > 1}
    opened = _opened(_C, as_of is not None)
    query = select(_C.c.patient_id).where(_C.c.patient_id.in_(sorted(set().union(*persons.values()))), *opened)
    having = set(work.execute(query, {"moment": milliseconds(as_of)} if as_of else {}).scalars()) if persons else set()
    return {id for id, whole in persons.items() if whole & having}


def touched(work: Work, names: Sequence[tuple[str, str]]) -> list[str]:
    """Ids of the cases that a write of these resources may have changed."""
    patients = {id for type, id in names if type == "Patient"}
    referrals = {id for type, id in names if type == "ServiceRequest" and not work.no_case_yet(type, id)}
    tasks = {id for type, id in names if type == "Task"}
    ids: set[str] = set()
    new = [begun for name in names if (begun := work.begun.get(name))]
    older = [name for name in names if name[0] in RECORDS and name not in work.begun]
    about = list(_ABOUT.rows(work, older, {"moment": milliseconds(work.now)}))
    patients.update(row.patient_id for row in about if row.patient_id)
    patients.update(begun.patient_id for begun in new if begun.patient_id)
    for records in _batches({*(begun.pk for begun in new if begun.names), *(row.pk for row in about)}):
        ids.update(work.execute(_NAMED_BY, {"records": records}).scalars())
    patients = identities.lately(work, patients) if patients else patients
    for some in _batches(set(tasks)):
        tasks.update(work.execute(_PART_OF, {"tasks": some}).scalars())
    for statement, wanted in ((_OF_PATIENT, patients), (_OF_REFERRAL, referrals), (_OF_TASK, tasks)):
        for some in _batches(wanted):
            ids.update(work.execute(statement, {"ids": some}).scalars())
    return sorted(ids)


def _batches(values: set[Any]) -> Iterator[list[Any]]:
    ordered = sorted(values)
    return (ordered[start : start + 500] for start in range(0, len(ordered), 500))


def take_in(work: Work, case_id: str, patient_id: str | None) -> None:
    """Records that waited for this case are no orphans any more."""
    work.execute(_TAKE_IN_NAMED, {"case": case_id})
    if patient_id is not None:
        work.execute(_TAKE_IN_OF, {"people": sorted(identities.person(work, patient_id))})


def orphans(
    work: Work, reach: compartment.Scope, seen: Mapping[str, Any], limit: int, after: int, *, expired: bool = False
) -> list[tuple[int, Stored]]:
    """Current records with no case, oldest first: those that wait, or those that were given up."""
    query = (
        select(*COLUMNS, _T.c.pk.label("number"))
        .join(_T, _T.c.resource == _R.c.pk)
        .where(_T.c.orphan, _T.c.until.is_(None), _T.c.pk > after, compartment.resources(reach))
        .where(_T.c.expired.is_not(None) if expired else _T.c.expired.is_(None))
        .order_by(_T.c.pk)
        .limit(limit)
    )
    return [(row.number, stored_of(row[:-1])) for row in work.execute(query, seen)]


def tasks_of(work: Work, reach: compartment.Scope, seen: Mapping[str, Any], task_id: str | None, as_of: datetime | None) -> list[Stored]:
    """Tasks whose partOf is the coordination Task."""
    if task_id is None:
        return []
    rows = work.execute(_PARTS[reach], {"task": task_id, **seen})
    found = {stored.reference: stored for stored in (stored_of(row) for row in rows)}
    if as_of is not None:
        found = _then(work, reach, seen, found, as_of)
    return [stored for stored in found.values() if not stored.deleted]


def _then(work: Work, reach: compartment.Scope, seen: Mapping[str, Any], found: Mapping[str, Stored], moment: datetime) -> dict[str, Stored]:
    """The same resources in the version of a moment; those that did not exist then are left out."""
    late = [stored for stored in found.values() if stored.last_updated > moment]
    by_type: dict[str, list[str]] = {}
    for stored in late:
        by_type.setdefault(stored.type, []).append(stored.id)
    older = {old.reference: old for type, ids in by_type.items() for old in Resources.versions_at(work, reach, seen, type, ids, moment).values()}
    return {
        name: stored if stored.last_updated <= moment else older[name]
        for name, stored in found.items()
        if stored.last_updated <= moment or name in older
    }


def _valid(at_moment: bool) -> ColumnElement[bool]:
    if not at_moment:
        return _T.c.until.is_(None)
    moment = bindparam("moment", type_=_T.c.since.type)
    return and_(_T.c.since <= moment, or_(_T.c.until.is_(None), _T.c.until > moment))


def _no_referral(at_moment: bool) -> ColumnElement[bool]:
    """A referral is a case, not a record of one."""
    return not_(exists().where(_C.c.resource == _T.c.resource, *_opened(_C, at_moment)))


def _opened(cases: Any, at_moment: bool) -> list[ColumnElement[bool]]:
    return [cases.c.opened_at <= bindparam("moment", type_=_C.c.opened_at.type)] if at_moment else []


def _records_statement(reach: compartment.Scope, at_moment: bool) -> Select[Any]:
    case_id: ColumnElement[str] = bindparam("case_id")
    about_us = _T.c.patient_id.in_(bindparam("people", expanding=True))
    other = _C.alias("other")
    # A scalar subquery, since PostgreSQL may answer an EXISTS inside an OR by reading every case into a hash.
    homeless = (
        select(other.c.service_request_id)
        .where(other.c.patient_id == _T.c.patient_id, *_opened(other, at_moment))
        .limit(1)
        .scalar_subquery()
        .is_(None)
    )
    ours = or_(_L.c.strong, about_us, _T.c.patient_id.is_(None))
    # "number": a bare number, of a Patient without a case; whether the person has one is looked up.
    naming = (
        select(_T.c.resource, case((ours, "referral"), else_="number").label("link"), _T.c.patient_id.label("about"))
        .select_from(_K)
        .join(_L, _L.c.key == _K.c.key)
        .join(_T, _T.c.pk == _L.c.record)
        .where(_K.c.service_request_id == case_id, _valid(at_moment), _no_referral(at_moment))
        .where(or_(ours, homeless))
    )
    link, key = _L.alias("other_link"), _K.alias("other_key")
    names_another = exists().where(
        link.c.record == _T.c.pk,
        key.c.key == link.c.key,
        key.c.service_request_id != case_id,
        other.c.service_request_id == key.c.service_request_id,
        or_(link.c.strong, other.c.patient_id.in_(bindparam("people", expanding=True))),
        *_opened(other, at_moment),
    )
    about = select(_T.c.resource, literal("patient").label("link"), _T.c.patient_id.label("about")).where(
        about_us, _valid(at_moment), _no_referral(at_moment), not_(names_another)
    )
    both = union_all(naming, about).subquery("belonging")
    return select(*COLUMNS, both.c.link, both.c.about).join(both, both.c.resource == _R.c.pk).where(compartment.resources(reach)).order_by(_R.c.pk)


_PART: Final = tables.reference
_STATEMENTS: Final = {(reach, past): _records_statement(reach, past) for reach in compartment.SCOPES for past in (False, True)}
_TAKE_IN_NAMED: Final = (
    update(_T)
    .where(_T.c.orphan, _T.c.pk.in_(select(_L.c.record).join(_K, _K.c.key == _L.c.key).where(_K.c.service_request_id == bindparam("case"))))
    .values(orphan=False)
)
_TAKE_IN_OF: Final = update(_T).where(_T.c.orphan, _T.c.patient_id.in_(bindparam("people", expanding=True))).values(orphan=False)
_PARTS: Final = {
    reach: select(*COLUMNS)
    .join(_PART, _PART.c.resource == _R.c.pk)
    .where(_PART.c.param == "Task.part-of", _PART.c.target == bindparam("task"), compartment.resources(reach))
    .order_by(_R.c.pk)
    for reach in compartment.SCOPES
}
# A row that ended in this very transaction still says which case the record has left.
_ABOUT: Final = PairLookup(
    select(_T.c.pk, _T.c.patient_id)
    .join(_R, _R.c.pk == _T.c.resource)
    .where(or_(_T.c.until.is_(None), _T.c.until == bindparam("moment", type_=_T.c.until.type))),
    _R.c.type,
    _R.c.id,
)
_NAMED_BY: Final = select(_K.c.service_request_id).join(_L, _L.c.key == _K.c.key).where(_L.c.record.in_(bindparam("records", expanding=True)))
_OF_PATIENT, _OF_REFERRAL, _OF_TASK = (
    select(_C.c.service_request_id).where(column.in_(bindparam("ids", expanding=True)))
    for column in (_C.c.patient_id, _C.c.service_request_id, _C.c.task_id)
)
_PART_OF: Final = (
    select(_PART.c.target)
    .join(_R, _R.c.pk == _PART.c.resource)
    .where(_R.c.type == "Task", _R.c.id.in_(bindparam("tasks", expanding=True)), _PART.c.param == "Task.part-of", _PART.c.target_type == "Task")
)
