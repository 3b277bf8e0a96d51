"""Records that no case has taken in: which wait, which were given up, and which are taken in or let go when Patients are joined or parted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import and_, bindparam, exists, not_, select, update

from fhir_gateway.store import tables
from fhir_gateway.store.work import Work

_R: Final = tables.resource
_T: Final = tables.record
_L: Final = tables.record_link
_C: Final = tables.case
_OF: Final = and_(_T.c.patient_id.in_(bindparam("people", expanding=True)), _T.c.until.is_(None))
_HAVE_CASE: Final = select(_C.c.service_request_id).where(_C.c.patient_id.in_(bindparam("people", expanding=True))).limit(1)
_NAMED: Final = exists().where(and_(_L.c.record == _T.c.pk, tables.case_key.c.key == _L.c.key))
_TAKE_IN: Final = update(_T).where(_OF, _T.c.orphan).values(orphan=False)
_LET_GO: Final = update(_T).where(_OF, not_(_T.c.orphan), not_(_NAMED)).values(orphan=True)
_WAITING: Final = and_(_T.c.orphan, _T.c.until.is_(None), _T.c.expired.is_(None))
_WAIT: Final = select(_T.c.patient_id).where(_T.c.patient_id.in_(bindparam("people", expanding=True)), _WAITING).distinct()
_OLD: Final = (
    select(_T.c.pk, _R.c.type, _R.c.id)
    .join(_R, _R.c.pk == _T.c.resource)
    .where(_WAITING, _T.c.since <= bindparam("cutoff", type_=_T.c.since.type), _R.c.last_updated <= bindparam("cutoff", type_=_T.c.since.type))
    .order_by(_T.c.since)
    .limit(bindparam("most"))
)
_GIVE_UP: Final = (
    update(_T)
    .where(_T.c.pk.in_(bindparam("records", expanding=True)), _WAITING)
    .values(expired=bindparam("moment", type_=_T.c.expired.type))
    .returning(_T.c.pk)
)


def settle(work: Work, person: Collection[str]) -> None:
    """After links were written: the records of one person (Patient ids) are taken in where any of these Patients has a case, and wait where none has."""
    people = {"people": sorted(person)}
    work.execute(_TAKE_IN if work.execute(_HAVE_CASE, people).first() else _LET_GO, people)


def waiting(work: Work, patients: Iterable[str]) -> list[str]:
    """Those of these Patients who have records that wait."""
    wanted = sorted(set(patients))
    return sorted(work.execute(_WAIT, {"people": wanted}).scalars()) if wanted else []


def overdue(work: Work, cutoff: datetime) -> bool:
    """Is there a record that has waited, unchanged, since before `cutoff`?"""
    return work.execute(_OLD, {"cutoff": cutoff, "most": 1}).first() is not None


def expire(work: Work, cutoff: datetime, limit: int) -> list[tuple[str, str]]:
    """Give up records that have waited, unchanged, since before `cutoff`, longest waiting first; (type, id) of each."""
    found = {row.pk: (row.type, row.id) for row in work.execute(_OLD, {"cutoff": cutoff, "most": limit})}
    if not found:
        return []
    # Another process may have been first, or a case taken one in: what this one marked is what it answers for.
    done = work.execute(_GIVE_UP, {"records": list(found), "moment": work.now}).scalars()
    return [found[pk] for pk in sorted(done)]
