"""Which Patients are one person: a projection of Patient.link, and what follows from it for locks, candidates and waiting records.

Links hold in both directions and through each other: a Patient merged into one that was linked to a third is all three. Every kind of link counts,
since each says that both resources concern the same person (FHIR R4 patient.html#links).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update

from fhir_gateway.store import compartment, orphans, tables
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.search.dates import range_of
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.references import local
from fhir_gateway.store.stored import Json, Stored, milliseconds
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work, Written

MOST: Final = 1000
"""Patients that may be one person; a chain of links longer than that is followed no further."""
_BATCH: Final = 500
_R: Final = tables.resource
_L: Final = tables.patient_link
_S: Final = tables.string
_D: Final = tables.date
_K: Final = tables.token
_MOMENT: Final = bindparam("moment", type_=_L.c.since.type)
_HELD: Final = select(_L.c.resource, _L.c.patient_id, _L.c.other_id).where(
    _L.c.resource.in_(bindparam("resources", expanding=True)), _L.c.until.is_(None)
)
_END: Final = (
    update(_L)
    .where(_L.c.resource == bindparam("holder"), _L.c.patient_id == bindparam("one"), _L.c.other_id == bindparam("another"), _L.c.until.is_(None))
    .values(until=_MOMENT)
)
_ENDED: Final = select(_L.c.pk).where(_L.c.patient_id == bindparam("one"), _L.c.other_id == bindparam("another"), _L.c.until.is_not(None)).limit(1)

Link = tuple[str, str]
"""(Patient id, the Patient id it names)."""


def _edges(valid: ColumnElement[bool]) -> Any:
    return select(_L.c.patient_id, _L.c.other_id).where(_L.c.patient_id.in_(bindparam("ids", expanding=True)), valid).distinct()


# now; now or until this very transaction; at a moment.
_NOW: Final = _edges(_L.c.until.is_(None))
_LATELY: Final = _edges(or_(_L.c.until.is_(None), _L.c.until == _MOMENT))
_THEN: Final = _edges(and_(_L.c.since <= _MOMENT, or_(_L.c.until.is_(None), _L.c.until > _MOMENT)))


def person(work: Work, id: str, as_of: datetime | None = None) -> frozenset[str]:
    """Every Patient that is the same person as this one, itself included."""
    return persons(work, [id], as_of)[id]


def persons(work: Work, ids: Iterable[str], as_of: datetime | None = None) -> dict[str, frozenset[str]]:
    """By Patient id, every Patient that is the same person, now or at a moment. Remembered by the transaction until it writes a link."""
    wanted = dict.fromkeys(ids)
    if as_of is not None:
        return _components(work, wanted, _THEN, {"moment": milliseconds(as_of)})
    unknown = [id for id in wanted if id not in work.people]
    if unknown:
        work.people.update(_components(work, unknown, _NOW, {}))
    return {id: work.people[id] for id in wanted}


def lately(work: Work, ids: Iterable[str]) -> set[str]:
    """These Patients with all who are, or were until this transaction, the same person."""
    if not work.joined:
        return set().union(*persons(work, ids).values())
    return set().union(*_components(work, ids, _LATELY, {"moment": milliseconds(work.now)}).values())


def hold(work: Work, ids: Iterable[str]) -> None:
    """After locking `patient:<id>` of these: lock those who are the same person as well, so that a record of one and the referral of another see each other."""
    if work.dialect != "postgresql":
        return
    work.people.clear()
    locked = set(ids)
    while rest := set().union(*persons(work, locked).values()) - locked:
        work.lock(f"patient:{id}" for id in rest)
        work.people.clear()
        locked |= rest


def _components(work: Work, ids: Iterable[str], query: Any, values: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    near: dict[str, set[str]] = {id: set() for id in ids}
    wanted, frontier = list(near), list(near)
    while frontier and len(near) < len(wanted) + MOST:
        found: set[str] = set()
        for start in range(0, len(frontier), _BATCH):
            for row in work.execute(query, {"ids": frontier[start : start + _BATCH], **values}):
                near[row.patient_id].add(row.other_id)
                found.add(row.other_id)
        frontier = sorted(found - near.keys())
        near.update((id, set()) for id in frontier)
    done: dict[str, frozenset[str]] = {}
    for id in wanted:
        if id not in done:
            whole = frozenset(_reached(near, id))
            done.update(dict.fromkeys(whole & set(wanted), whole))
    return done


def _reached(near: Mapping[str, Collection[str]], start: str) -> set[str]:
    reached, todo = {start}, [start]
    while todo:
        fresh = set(near.get(todo.pop(), ())) - reached
        reached |= fresh
        todo += fresh
    return reached


class LinkProjection:
    """The link rows of the Patients written. To be kept up before the records: whether one waits depends on who its patient is."""

    def write(self, work: Work, written: Sequence[Written]) -> None:
        """See Projection. Unchanged links keep their rows."""
        patients = [one for one in {one.pk: one for one in written}.values() if one.stored.type == "Patient"]
        wanted = {one.pk: frozenset[Link]() if one.stored.deleted else links_of(one.stored.resource) for one in patients}
        held = _held(work, [one.pk for one in patients if not one.created])
        changed = {pk for pk, links in wanted.items() if links != held.get(pk, frozenset())}
        if not changed:
            return
        touched = {id for pk in changed for link in wanted[pk] ^ held.get(pk, frozenset()) for id in link}
        work.lock(f"patient:{id}" for id in touched)
        work.joined = True
        hold(work, touched)
        work.people.clear()
        before = set().union(*persons(work, touched).values())
        now = milliseconds(work.now)
        for pk in sorted(changed):
            gone, come = held.get(pk, frozenset()) - wanted[pk], wanted[pk] - held.get(pk, frozenset())
            for one, other in gone:
                work.execute(_END, {"holder": pk, "one": one, "another": other, "moment": now})
            if come:
                work.execute(_L.insert(), [row(pk, link, now) for link in sorted(come)])
        work.people.clear()
        for whole in set(persons(work, before | touched).values()):
            orphans.settle(work, whole)


def links_of(patient: Json) -> frozenset[Link]:
    """Both directions of every link to another Patient held here."""
    me, links = patient["id"], patient.get("link")
    found: set[Link] = set()
    for link in links if isinstance(links, list) else ():
        other = link.get("other") if isinstance(link, dict) else None
        text = other.get("reference") if isinstance(other, dict) else None
        here = local(text) if isinstance(text, str) else None
        if here is not None and here[0] == "Patient" and here[1] != me:
            found |= {(me, here[1]), (here[1], me)}
    return frozenset(found)


def row(pk: int, link: Link, since: datetime, until: datetime | None = None) -> dict[str, Any]:
    """A row of the projection. pk: of the Patient whose element it is."""
    return {"resource": pk, "patient_id": link[0], "other_id": link[1], "since": since, "until": until}


def _held(work: Work, resources: list[int]) -> dict[int, frozenset[Link]]:
    found: dict[int, set[Link]] = {}
    for start in range(0, len(resources), _BATCH):
        for held in work.execute(_HELD, {"resources": resources[start : start + _BATCH]}):
            found.setdefault(held.resource, set()).add((held.patient_id, held.other_id))
    return {pk: frozenset(links) for pk, links in found.items()}


_ALIKE: Final = (
    select(*COLUMNS)
    .join(_S, _S.c.resource == _R.c.pk)
    .join(_D, _D.c.resource == _R.c.pk)
    .where(_S.c.param == "Patient.family", _S.c.folded.in_(bindparam("families", expanding=True)))
    .where(_D.c.param == "Patient.birthdate", _D.c.low == bindparam("born"), _R.c.deleted.is_(False))
    .distinct()
    .order_by(_R.c.pk)
    .limit(bindparam("most"))
)
_NUMBERED: Final = (
    select(*COLUMNS)
    .join(_K, _K.c.resource == _R.c.pk)
    .where(_K.c.param == "Patient.identifier", _K.c.code.in_(bindparam("numbers", expanding=True)), _R.c.deleted.is_(False))
    .distinct()
    .order_by(_R.c.pk)
    .limit(bindparam("most"))
)


class Identities:
    """Who is who, across all senders: for the gateway's own work."""

    def __init__(self, work: Work, scope: compartment.Scope) -> None:
        self._work, self._scope = work, scope

    def person(self, id: str, as_of: datetime | None = None) -> frozenset[str]:
        """Every Patient that is the same person as this one, itself included, now or at a moment."""
        self._work.flush()
        return person(self._work, id, as_of)

    @property
    def joined(self) -> bool:
        """Has this transaction written a link between Patients, or ended one?"""
        self._work.flush()
        return self._work.joined

    def parted(self, one: str, other: str) -> bool:
        """Was there a link between these two Patients that has ended?"""
        self._work.flush()
        return self._work.execute(_ENDED, {"one": one, "another": other}).first() is not None

    def alike(self, patient: Json, numbers: Iterable[str] = (), limit: int = 20) -> list[Stored]:
        """Patients, this one left out, with one of its family names and its birth date; and those with one of these identifier values, of any system.

        Empty for those who do not see everything.
        """
        if self._scope != "everything":
            return []
        self._work.flush()
        found = [*self._named(patient, limit), *self._numbered(numbers, limit)]
        return list({stored.id: stored for stored in found if stored.id != patient.get("id")}.values())

    def waiting(self, ids: Iterable[str]) -> list[str]:
        """Those of these Patients who have records that no case has taken in and that have not been given up."""
        self._work.flush()
        return orphans.waiting(self._work, ids)

    def _named(self, patient: Json, limit: int) -> Iterator[Stored]:
        names = [name.get("family") for name in patient.get("name") or () if isinstance(name, dict)]
        families = sorted({fit(fold(name)) for name in names if isinstance(name, str)})
        born = range_of(str(patient.get("birthDate", "")))
        if families and born:
            values = {"families": families, "born": born.low, "most": limit}
            yield from (stored_of(row) for row in self._work.execute(_ALIKE, values))

    def _numbered(self, numbers: Iterable[str], limit: int) -> Iterator[Stored]:
        wanted = sorted({fit(number) for number in numbers})
        if wanted:
            yield from (stored_of(row) for row in self._work.execute(_NUMBERED, {"numbers": wanted, "most": limit}))
