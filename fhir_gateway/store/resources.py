"""Resources of every type: create, read, update, delete, and how they were before.

Bodies are opaque here but for id and meta; search rows and record rows follow from them through the projections. What a principal may not see does
not exist for it, except under an identity key it holds itself (`known_by_key`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, func, insert, literal_column, select, update

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.errors import IdTakenError, NotFoundError, VersionConflictError
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.pairs import PairLookup
from fhir_gateway.store.stored import Json, Stored, encode, milliseconds, stamp
from fhir_gateway.store.work import Work, Written
from mappers.result import Clock

_R: Final = tables.resource
_V: Final = tables.version
COLUMNS: Final = (
    _R.c.pk,
    _R.c.type,
    _R.c.id,
    _R.c.version,
    _R.c.last_updated,
    _R.c.deleted,
    _R.c.owner,
    _R.c.body,
    _R.c.clock_clinical,
    _R.c.clock_message,
    _R.c.clock_rank,
    _R.c.inbox_id,
)
"""What `stored_of` needs of a row of `resource`."""
OLDER_COLUMNS: Final = (
    _R.c.pk,
    _R.c.type,
    _R.c.id,
    _V.c.version,
    _V.c.last_updated,
    _V.c.deleted,
    _R.c.owner,
    _V.c.body,
    _V.c.clock_clinical,
    _V.c.clock_message,
    _V.c.clock_rank,
    _V.c.inbox_id,
)
_MOVED: Final = ("version", "last_updated", "deleted", "inbox_id", "clock_clinical", "clock_message", "clock_rank", "body")

_ONE: Final = and_(_R.c.type == bindparam("type"), _R.c.id == bindparam("id"))
_READ: Final = {reach: select(*COLUMNS).where(_ONE, compartment.resources(reach)) for reach in compartment.SCOPES}
_LOCK: Final = {reach: select(*COLUMNS).where(_ONE, compartment.written(reach)).with_for_update(of=_R) for reach in compartment.SCOPES}
_HOLD: Final = select(_R.c.pk).where(_ONE).with_for_update()
_OLDER: Final = {
    reach: select(*OLDER_COLUMNS).join(_V, _V.c.resource == _R.c.pk).where(_ONE, compartment.resources(reach)).order_by(_V.c.version.desc())
    for reach in compartment.SCOPES
}
_ONE_OLDER: Final = {reach: query.where(_V.c.version == bindparam("old_version")) for reach, query in _OLDER.items()}
_MANY: Final = {reach: PairLookup(select(*COLUMNS).where(compartment.resources(reach)), _R.c.type, _R.c.id) for reach in compartment.SCOPES}
_EARLIER: Final = PairLookup(select(*OLDER_COLUMNS).join(_V, _V.c.resource == _R.c.pk), _R.c.type, _R.c.id)
_EXISTS: Final = select(_R.c.pk).where(_ONE)
_MOVE: Final = insert(_V).from_select(
    ["resource", *_MOVED], select(_R.c.pk, *(_R.c[name] for name in _MOVED)).where(_R.c.pk == bindparam("moved_pk"))
)
_CHANGE: Final = update(_R).where(_R.c.pk == bindparam("changed_pk"))
_OWN: Final = _R.c.owner == literal_column("''")  # spelled out: a bound value would not be known to fit the index of the clinic's own
_ANY: Final = select(_R.c.pk).where(_R.c.type == bindparam("type")).limit(1)
_GENERATION: Final = select(func.coalesce(func.sum(_R.c.version), 0)).where(_R.c.type.in_(bindparam("types", expanding=True)), _OWN)
_CLINICS: Final = select(*COLUMNS).where(_R.c.type == bindparam("type"), _OWN, _R.c.deleted.is_(False)).order_by(_R.c.id)
_BATCH: Final = 500


def stored_of(row: Any) -> Stored:
    """A row with `COLUMNS` as a Stored."""
    _pk, type, id, version, last_updated, deleted, owner, body, clinical, message, rank, inbox_id = row
    return Stored(type, id, version, last_updated, deleted, owner, body, Clock(clinical, message, rank), inbox_id)


class Resources:
    """The resources one principal sees, within one transaction or snapshot."""

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work, self._principal = work, principal
        self._scope = compartment.scope(principal)
        self._values = compartment.values(principal)

    def create(self, resource: Json, *, id: str | None = None, fresh: bool = False, inbox_id: str | None = None, clock: Clock = Clock()) -> Stored:  # noqa: B008
        """Store a new resource under a new id, or under `id`. The owner is the principal's organisation.

        fresh: `id` was made by `ids.new_id` for this very resource, so there is no need to look whether it is taken. Raises IdTakenError.
        """
        now = milliseconds(self._work.now)
        type = resource["resourceType"]
        if id is None:
            id = new_id()
        elif self._work.waiting(type, id) or (not fresh and self._work.execute(_EXISTS, {"type": type, "id": id}).first()):
            raise IdTakenError(type, id)
        stamped = stamp(resource, id, 1, now)
        stored = Stored(type, id, 1, now, False, self._principal.organisation, encode(stamped), clock, inbox_id, stamped)
        self._work.add(stored)
        return stored

    def read(self, type: str, id: str) -> Stored | None:
        """The current version; a deleted resource is returned with `deleted` set. None when there is none for this principal."""
        mine = self._work.written.get((type, id))
        if mine is not None and self._sees(mine):
            return mine
        if self._work.waiting(type, id) is not None:
            return None
        if (seen := self._remembered((type, id))) is not None:
            return seen
        row = self._work.execute(_READ[self._scope], {"type": type, "id": id, **self._values}).first()
        return self._remember(stored_of(row)) if row else None

    def hold(self, type: str, id: str) -> None:
        """Wait for whoever is writing this resource, and let nobody else write it until the transaction ends: what is read of it next is what is written over.
        On SQLite writers are serial.
        """
        if self._work.writes and self._work.dialect == "postgresql":
            self._work.execute(_HOLD, {"type": type, "id": id})

    def read_many(self, references: Iterable[str]) -> dict[str, Stored]:
        """Current versions by `Type/id`; what does not exist (or is deleted, or invisible) is left out."""
        wanted = dict.fromkeys(references)
        written, waiting = self._work.written, self._work.waiting
        mine = {name: stored for name in wanted if (stored := written.get(_split(name))) and self._sees(stored)}
        mine |= {name: stored for name in wanted if name not in mine and (stored := self._remembered(_split(name)))}
        found = {name: stored for name, stored in mine.items() if not stored.deleted}
        names = [pair for name in wanted if name not in mine and waiting(*(pair := _split(name))) is None]
        for row in _MANY[self._scope].rows(self._work, names, self._values):
            stored = self._remember(stored_of(row))
            if not stored.deleted:
                found[stored.reference] = stored
        return found

    def update(
        self,
        resource: Json,
        *,
        clock: Clock = Clock(),  # noqa: B008 - immutable
        inbox_id: str | None = None,
        expected_version: int | None = None,
        known_by_key: bool = False,
    ) -> Stored:
        """Store a new version of the resource with this type and id (a deleted one comes back to life).

        known_by_key: the writer named it by an identity key (its own identifier), so it may be written although the compartment hides it; the
        writer becomes a contributor and sees it from now on. Raises NotFoundError, VersionConflictError.
        """
        return self._replace(resource["resourceType"], resource["id"], resource, clock, inbox_id, expected_version, known_by_key)

    def delete(self, type: str, id: str, *, inbox_id: str | None = None, expected_version: int | None = None) -> Stored:
        """Store a version that says it is deleted; its search rows go, its history stays. Raises NotFoundError, VersionConflictError.

        Identity keys are kept: `keys.release` is the caller's choice, since a wrong deletion must not invite a duplicate.
        """
        return self._replace(type, id, None, None, inbox_id, expected_version, False)

    def vread(self, type: str, id: str, version: int) -> Stored | None:
        """One version, current or older; None when there is none for this principal."""
        current = self.read(type, id)
        if current is None or current.version == version:
            return current
        row = self._work.execute(_ONE_OLDER[self._scope], {"type": type, "id": id, "old_version": version, **self._values}).first()
        return stored_of(row) if row else None

    def history(self, type: str, id: str) -> list[Stored]:
        """Every version, newest first; empty when there is none for this principal."""
        current = self.read(type, id)
        if current is None:
            return []
        rows = self._work.execute(_OLDER[self._scope], {"type": type, "id": id, **self._values})
        return [current, *(stored_of(row) for row in rows)]

    def histories(self, references: Iterable[str]) -> dict[str, list[Stored]]:
        """By `Type/id`, every version, oldest first, deleted ones included; for those who see everything."""
        self._work.flush()
        names = [_split(name) for name in dict.fromkeys(references)] if self._scope == "everything" else []
        found: dict[str, list[Stored]] = {}
        for lookup in (_EARLIER, _MANY["everything"]):
            for row in lookup.rows(self._work, names, {}):
                stored = stored_of(row)
                found.setdefault(stored.reference, []).append(stored)
        for versions in found.values():
            versions.sort(key=lambda stored: stored.version)
        return found

    def generation(self, *types: str) -> int | None:
        """A number that grows with every committed write of a resource of these types that is the clinic's own: an answer kept with it is good while
        it stands. None in a transaction that has written such a resource itself and might yet be rolled back: keep nothing then.

        An index range per type and no bodies: for types of which the clinic holds few. What others sent of them costs nothing.
        """
        if not self._work.types.isdisjoint(types):
            return None
        found = self._work.generations.get(types)
        if found is None:
            found = self._work.generations[types] = int(self._work.execute(_GENERATION, {"types": types}).scalar_one())
        return found

    def any(self, type: str) -> bool:
        """Was there ever a resource of this type, whoever may see it? One step in an index, for types of which most installations have none."""
        self._work.flush()
        return self._work.execute(_ANY, {"type": type}).first() is not None

    def clinics_own(self, type: str) -> list[Stored]:
        """The clinic's own resources of a type as they stand, by id; everything of that type, so again for types it holds few of."""
        self._work.flush()
        return [stored_of(row) for row in self._work.execute(_CLINICS, {"type": type})] if self._scope == "everything" else []

    def as_of(self, type: str, ids: Sequence[str], when: datetime) -> dict[str, Stored]:
        """By id, the version that was current at `when`; what did not exist then, or was deleted, is left out."""
        self._work.flush()
        found = self.versions_at(self._work, self._scope, self._values, type, ids, when)
        return {id: stored for id, stored in found.items() if not stored.deleted}

    @staticmethod
    def versions_at(
        work: Work, reach: compartment.Scope, seen: Mapping[str, Any], type: str, ids: Sequence[str], when: datetime
    ) -> dict[str, Stored]:
        """As `as_of`, deleted versions included."""
        found: dict[str, Stored] = {}
        for start in range(0, len(ids), _BATCH):
            values = {"type": type, "ids": list(ids[start : start + _BATCH]), "moment": milliseconds(when), **seen}
            for query in _AS_OF[reach]:
                found.update((row.id, stored_of(row)) for row in work.execute(query, values))
        return found

    def _remembered(self, name: tuple[str, str]) -> Stored | None:
        return self._work.seen.get(name) if self._scope == "everything" and self._work.remembers else None

    def _remember(self, stored: Stored) -> Stored:
        if self._scope == "everything" and self._work.remembers:
            self._work.seen[stored.type, stored.id] = stored
        return stored

    def _sees(self, stored: Stored) -> bool:
        """What this transaction wrote has an owner; of contributors, and of what is published, only the database knows."""
        return self._scope == "everything" or (self._scope == "own" and stored.owner == self._principal.organisation)

    def _replace(
        self, type: str, id: str, resource: Json | None, clock: Clock | None, inbox_id: str | None, expected: int | None, known_by_key: bool
    ) -> Stored:
        work, now = self._work, milliseconds(self._work.now)
        if work.waiting(type, id):
            work.flush()
        values = {"type": type, "id": id} if known_by_key else {"type": type, "id": id, **self._values}
        row = work.execute(_LOCK["everything" if known_by_key else self._scope], values).first()
        if row is None or (resource is None and row.deleted):
            raise NotFoundError(type, id)
        if expected is not None and expected != row.version:
            raise VersionConflictError(type, id, expected, row.version)
        held = stored_of(row)
        stamped = stamp(resource if resource is not None else {"resourceType": type}, id, held.version + 1, now)
        stored = Stored(
            type, id, held.version + 1, now, resource is None, held.owner, encode(stamped), held.clock if clock is None else clock, inbox_id, stamped
        )
        work.execute(_MOVE, {"moved_pk": row.pk})
        work.execute(
            _CHANGE,
            {
                "changed_pk": row.pk,
                "version": stored.version,
                "last_updated": now,
                "deleted": stored.deleted,
                "inbox_id": inbox_id,
                "clock_clinical": stored.clock.clinical,
                "clock_message": stored.clock.message,
                "clock_rank": stored.clock.rank,
                "body": stored.body,
            },
        )
        work.change(Written(row.pk, stored, created=False))
        self._contribute(row.pk, held.owner)
        return stored

    def _contribute(self, pk: int, owner: str) -> None:
        organisation = self._principal.organisation
        if organisation and organisation != owner:
            self._work.execute(self._work.insert(tables.contributor).on_conflict_do_nothing(), {"resource": pk, "organisation": organisation})


def _as_of(reach: compartment.Scope) -> tuple[Select[Any], Select[Any]]:
    """Older versions first, so that a current version that is old enough overwrites them."""
    chosen = and_(_R.c.type == bindparam("type"), _R.c.id.in_(bindparam("ids", expanding=True)), compartment.resources(reach))
    newest = (
        select(func.max(_V.c.version))
        .where(_V.c.resource == _R.c.pk, _V.c.last_updated <= bindparam("moment", type_=_V.c.last_updated.type))
        .correlate(_R)
        .scalar_subquery()
    )
    older = select(*OLDER_COLUMNS).join(_V, _V.c.resource == _R.c.pk).where(chosen, _V.c.version == newest)
    current = select(*COLUMNS).where(chosen, _R.c.last_updated <= bindparam("moment", type_=_R.c.last_updated.type))
    return older, current


_AS_OF: Final = {reach: _as_of(reach) for reach in compartment.SCOPES}


def _split(reference: str) -> tuple[str, str]:
    type, _, id = reference.partition("/")
    return type, id
