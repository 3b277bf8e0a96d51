"""What staff do about payers: a document released to one, or taken back; a case whose billing changed."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import tables
from fhir_gateway.store.errors import NotFoundError
from fhir_gateway.store.payerview.projection import ShareProjection
from fhir_gateway.store.payerview.shares import patient_of
from fhir_gateway.store.resources import COLUMNS, stored_of
from fhir_gateway.store.stored import milliseconds
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work
from profiles.payerview import WRITTEN

_S: Final = tables.payer_share
_REL: Final = tables.payer_release
_R: Final = tables.resource
_ONE: Final = and_(_R.c.type == bindparam("type"), _R.c.id == bindparam("id"))
_READ: Final = select(*COLUMNS).where(_ONE, _R.c.deleted.is_(False))
_SHOWN: Final = select(_S.c.payer).join(_R, _R.c.pk == _S.c.resource).where(_ONE).order_by(_S.c.payer)
_PLANS: Final = (
    select(*COLUMNS)
    .where(_R.c.type.in_(("Coverage", *WRITTEN)), _R.c.deleted.is_(False), _R.c.pk > bindparam("after"))
    .order_by(_R.c.pk)
    .limit(bindparam("size"))
)
_TAKE_BACK: Final = delete(_REL).where(
    _REL.c.payer == bindparam("whom"), _REL.c.resource == bindparam("what"), _REL.c.service_request_id == bindparam("case")
)


class Shares:
    """What payers are shown. Only those who see everything release anything; for others every document is as if absent."""

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work, self._principal = work, principal
        self._projection: ShareProjection = work.shares or ShareProjection()

    def shown_to(self, type: str, id: str) -> list[str]:
        """The payers that are shown a resource. Empty for those who do not see everything."""
        self._work.flush()
        return list(self._work.execute(_SHOWN, {"type": type, "id": id}).scalars()) if self._principal.sees_everything else []

    def release(self, type: str, id: str, payer: str, service_request_id: str) -> None:
        """Show a document to a payer from now on, for one case. Raises NotFoundError. Whether it may be released at all is the caller's to say; one that
        may not be is never shown (`shares.releasable`).
        """
        row = self._document(type, id)
        release = {
            "payer": payer,
            "resource": row.pk,
            "service_request_id": service_request_id,
            "released_by": fit(self._principal.name),
            "released_at": milliseconds(self._work.now),
        }
        self._work.execute(self._work.insert(_REL).on_conflict_do_nothing(), release)
        self.settle(patient_of(stored_of(row).resource))

    def take_back(self, type: str, id: str, payer: str, service_request_id: str) -> bool:
        """End a release; False when there was none. Raises NotFoundError."""
        row = self._document(type, id)
        ended = self._work.execute(_TAKE_BACK, {"whom": payer, "what": row.pk, "case": service_request_id}).rowcount > 0
        self.settle(patient_of(stored_of(row).resource))
        return ended

    def settle(self, patient_id: str | None) -> None:
        """Bring what is shown of this person up to date: a case was opened, or is billed otherwise than before."""
        self._work.flush()
        self._projection.settle(self._work, [patient_id] if patient_id else [])

    def forget(self) -> None:
        """Show nobody anything, until it is settled anew person by person (`settle_next`): what payors mean has changed."""
        self._work.shown.clear()
        self._work.execute(delete(_S))

    def settle_next(self, after: int, size: int) -> int | None:
        """Bring what is shown of the next people up to date who have a plan, or about whom a payer wrote; the key to go on after, None at the end."""
        rows = self._work.execute(_PLANS, {"after": after, "size": size}).all()
        self._projection.settle(self._work, {patient_of(stored_of(row).resource) for row in rows} - {""})
        return rows[-1].pk if rows else None

    def _document(self, type: str, id: str) -> Any:
        self._work.flush()
        row = self._work.execute(_READ, {"type": type, "id": id}).first() if self._principal.sees_everything else None
        if row is None:
            raise NotFoundError(type, id)
        return row
