"""The audit trail: an act, by whom, on what, when. Written with the transaction it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import tables
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

_A: Final = tables.audit


@dataclass(frozen=True, slots=True)
class Act:
    """One act by one principal. action: "read", "search", "create", "update", "delete", "receive" …; detail: never patient data. at: None for the time of
    the transaction that writes it.
    """

    principal: Principal
    action: str
    type: str = ""
    id: str = ""
    inbox_id: str | None = None
    detail: str = ""
    at: datetime | None = None


class Audit:
    """Acts of one principal."""

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work, self._principal = work, principal

    def append(self, action: str, type: str = "", id: str = "", *, inbox_id: str | None = None, detail: str = "") -> None:
        """Note an act; written together with the rest of the transaction."""
        self.append_all([Act(self._principal, action, type, id, inbox_id, detail)])

    def append_all(self, acts: Sequence[Act]) -> None:
        """Note acts of any principals, at the transaction's time."""
        now = self._work.now
        self._work.queue(_A, [_row(act, now) for act in acts])

    def of(self, type: str, id: str) -> Sequence[tuple[datetime, str, str, str]]:
        """Acts on one resource, oldest first: when, organisation, name, action. Empty for those who do not see everything.

        In a transaction, reads of this process that wait to be committed are among them.
        """
        if not self._principal.sees_everything:
            return []
        self._work.flush()
        query = select(_A.c.at, _A.c.organisation, _A.c.name, _A.c.action).where(_A.c.type == type, _A.c.id == id).order_by(_A.c.pk)
        # Before the query: what is committed in between is found twice, and told once.
        acts = [(act.at, fit(act.principal.organisation), fit(act.principal.name), act.action) for act in self._work.acts(type, id)]
        kept = [(row.at, row.organisation, row.name, row.action) for row in self._work.execute(query)]
        return list(dict.fromkeys((*kept, *acts))) if acts else kept


def _row(act: Act, at: datetime) -> dict[str, Any]:
    return {
        "at": act.at or at,
        "role": act.principal.role,
        "organisation": fit(act.principal.organisation),
        "name": fit(act.principal.name),
        "action": act.action,
        "type": fit(act.type),
        "id": fit(act.id),
        "inbox_id": act.inbox_id,
        "detail": fit(act.detail),
    }
