"""Resources as a payer comes upon them: what is shown to it, as far as it is shown, as it stands now; and the two types it may create."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import tables
from fhir_gateway.store.errors import NotOpenError
from fhir_gateway.store.keys import Holder, Keys
from fhir_gateway.store.pairs import PairLookup
from fhir_gateway.store.payerview.shares import owner_of
from fhir_gateway.store.payerview.views import Around, seen
from fhir_gateway.store.resources import COLUMNS, Resources, stored_of
from fhir_gateway.store.stored import Json, Stored, instant
from fhir_gateway.store.work import Work
from mappers.result import Clock, IdentityKey
from profiles.payerview import VIEWS, WRITTEN

_S: Final = tables.payer_share
_R: Final = tables.resource
_C: Final = tables.case
_PAYER: Final = _S.c.payer == bindparam("payer")
_REF: Final = tables.reference
# By what a Coverage says, not by what is shown about the person, which may be very much.
_COVERAGES: Final = (
    select(*COLUMNS)
    .join(_REF, _REF.c.resource == _R.c.pk)
    .join(_S, _S.c.resource == _R.c.pk)
    .where(_PAYER, _REF.c.param == "Coverage.beneficiary", _REF.c.target.in_(bindparam("people", expanding=True)), _REF.c.target_type == "Patient")
)
_ABOUT: Final = PairLookup(select(_R.c.type, _R.c.id, _S.c.patient_id).join(_S, _S.c.resource == _R.c.pk).where(_PAYER), _R.c.type, _R.c.id)
_BOOKED: Final = select(_C.c.service_request_id, _C.c.appointment).where(_C.c.service_request_id.in_(bindparam("ids", expanding=True)))


class PayerResources(Resources):
    """See Resources. There are no older versions: of those nobody has said that the payer may see them."""

    def __init__(self, work: Work, principal: Principal) -> None:
        super().__init__(work, principal)
        self._owner = owner_of(principal.organisation)

    def create(self, resource: Json, *, id: str | None = None, fresh: bool = False, inbox_id: str | None = None, clock: Clock = Clock()) -> Stored:  # noqa: B008
        """A new resource of a type a payer may create, owned in its name. Raises NotOpenError for any other, and for an id of the payer's own choice."""
        if resource["resourceType"] not in WRITTEN or (id is not None and not fresh):
            raise NotOpenError(f"A payer creates {' and '.join(WRITTEN)}, under an id that is given here, and nothing else")
        as_owner = Resources(self._work, Principal("gateway", self._owner, self._principal.name))
        return as_owner.create(resource, id=id, fresh=fresh, inbox_id=inbox_id, clock=clock)

    def read(self, type: str, id: str) -> Stored | None:
        """What is shown; None for anything else."""
        if type not in VIEWS:
            return None
        self._settled([(type, id)])
        if (shown := self._work.shown.get((self._principal.organisation, type, id))) is not None:
            return shown
        found = super().read(type, id)
        return self._shown([found])[0] if found is not None and not found.deleted else None

    def read_many(self, references: Iterable[str]) -> dict[str, Stored]:
        """See Resources."""
        names = [(type, id) for type, _, id in (name.partition("/") for name in dict.fromkeys(references)) if type in VIEWS]
        self._settled(names)
        payer = self._principal.organisation
        known = {f"{type}/{id}": shown for type, id in names if (shown := self._work.shown.get((payer, type, id))) is not None}
        found = super().read_many(f"{type}/{id}" for type, id in names if f"{type}/{id}" not in known)
        return known | {stored.reference: stored for stored in self._shown(list(found.values()))}

    def vread(self, type: str, id: str, version: int) -> Stored | None:
        """The current version, when it is that one."""
        current = self.read(type, id)
        return current if current is not None and current.version == version else None

    def history(self, type: str, id: str) -> list[Stored]:
        """The current version alone."""
        current = self.read(type, id)
        return [] if current is None else [current]

    def as_of(self, type: str, ids: Sequence[str], when: datetime) -> dict[str, Stored]:
        """Nothing."""
        return {}

    def update(self, resource: Json, **_: Any) -> Stored:
        """Raises NotOpenError."""
        raise NotOpenError("A payer changes nothing")

    def delete(self, type: str, id: str, **_: Any) -> Stored:
        """Raises NotOpenError."""
        raise NotOpenError("A payer deletes nothing")

    def _settled(self, names: Iterable[tuple[str, str]]) -> None:
        """What is shown is in the database: whatever waits and may change it is written first."""
        if self._work.waits_to_show or any(self._work.waiting(*name) for name in names):
            self._work.flush()

    def _shown(self, held: Sequence[Stored]) -> list[Stored]:
        """As `seen`, remembered where nobody else can change it meanwhile."""
        made = self.seen(held)
        if self._work.remembers:
            self._work.shown.update({(self._principal.organisation, stored.type, stored.id): stored for stored in made})
        return made

    def seen(self, held: Sequence[Stored]) -> list[Stored]:
        """Versions that are shown, as far as they are."""
        if not held:
            return []
        payer = self._principal.organisation
        rows = _ABOUT.rows(self._work, [(stored.type, stored.id) for stored in held], {"payer": payer})
        patients = {(row.type, row.id): row.patient_id for row in rows}
        coverages = self._coverages(payer, sorted(set(patients.values())))
        booked = self._appointments([stored.id for stored in held if stored.type == "ServiceRequest"])
        made: list[Stored] = []
        for stored in held:
            mine = coverages.get(patients.get((stored.type, stored.id), ""), ())
            around = Around(payer, {c.reference for c in mine}, {n for c in mine for n in _numbers(c.resource)}, booked.get(stored.id, ""))
            made.append(seen(stored, around))
        return made

    def _coverages(self, payer: str, people: Sequence[str]) -> Mapping[str, list[Stored]]:
        """By Patient, its Coverages with this payer."""
        found: dict[str, list[Stored]] = {id: [] for id in people}
        for row in self._work.execute(_COVERAGES, {"payer": payer, "people": people}) if people else ():
            stored = stored_of(row)
            for id in people:
                if (stored.resource.get("beneficiary") or {}).get("reference") == f"Patient/{id}":
                    found[id].append(stored)
        return found

    def _appointments(self, ids: Sequence[str]) -> dict[str, str]:
        """By ServiceRequest, when its case has its appointment."""
        rows = self._work.execute(_BOOKED, {"ids": ids}) if ids else ()
        return {row.service_request_id: instant(row.appointment) for row in rows if row.appointment is not None}


class NoKeys(Keys):
    """A payer knows nothing by its name, and what it creates takes no name from anybody else."""

    def find(self, keys: Sequence[IdentityKey]) -> list[Holder]:
        """Nobody."""
        return []

    def claim(self, keys: Sequence[IdentityKey], type: str, id: str, strict: bool = True) -> list[Holder]:
        """Nothing is claimed."""
        return []

    def of(self, type: str, id: str) -> list[IdentityKey]:
        """None."""
        return []

    def release(self, type: str, id: str) -> None:
        """Nothing is given up."""


def _numbers(coverage: Json) -> list[str]:
    """The numbers a plan knows its member by."""
    values = [coverage.get("subscriberId"), *(one.get("value") for one in coverage.get("identifier", ()) if isinstance(one, dict))]
    return [value for value in values if isinstance(value, str)]
