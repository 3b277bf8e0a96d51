"""Partners in the store: who is told what, and where. Kept by staff; nobody else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import RowMapping, bindparam, delete, select

from fhir_gateway.store import tables
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

_P: Final = tables.partner

REPLIES: Final = ("rri", "osu", "siu", "opinion", "requests")
"""What a partner may be told by HL7 v2: RRI^I12 or OSU^O51 on a case's state, SIU on its appointment, the opinion, requests for records."""


@dataclass(frozen=True, slots=True)
class Partner:
    """organisation: as it stands as owner of what it sent. fhir_base: "" when it has no FHIR server. mllp_host, mllp_port: "" and 0 when it takes no HL7
    v2. application, facility: its MSH-5 and MSH-6. replies: some of REPLIES.
    """

    organisation: str
    name: str = ""
    fhir_base: str = ""
    mllp_host: str = ""
    mllp_port: int = 0
    mllp_tls: bool = False
    application: str = ""
    facility: str = ""
    replies: frozenset[str] = frozenset()

    def wants(self, reply: str) -> bool:
        """Is it registered for this HL7 v2 reply, and reachable by it?"""
        return bool(self.mllp_host) and reply in self.replies

    @property
    def asked_by_machine(self) -> bool:
        """Can requests for records be sent to it?"""
        return bool(self.fhir_base) or self.wants("requests")


class Partners:
    """The gateway's own knowledge, like identity keys: read on nobody's behalf, written by staff commands."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def get(self, organisation: str) -> Partner | None:
        """One partner, None when nobody has registered it."""
        row = self._work.execute(_GET, {"organisation": fit(organisation)}).first()
        return _partner(row._mapping) if row else None

    def list(self) -> Sequence[Partner]:
        """All of them, by organisation."""
        return [_partner(row._mapping) for row in self._work.execute(_ALL)]

    def put(self, partner: Partner) -> None:
        """Register a partner, or change how it is reached."""
        row = asdict(partner) | {"organisation": fit(partner.organisation), "changed_at": self._work.now}
        row["replies"] = " ".join(sorted(partner.replies))
        statement = self._work.insert(_P).on_conflict_do_update(index_elements=[_P.c.organisation], set_=row)
        self._work.execute(statement, row)

    def remove(self, organisation: str) -> bool:
        """Forget one; was there any?"""
        self._work.now  # noqa: B018 - a snapshot removes nothing
        return bool(self._work.execute(_REMOVE, {"organisation": fit(organisation)}).rowcount)


_GET: Final = select(_P).where(_P.c.organisation == bindparam("organisation"))
_ALL: Final = select(_P).order_by(_P.c.organisation)
_REMOVE: Final = delete(_P).where(_P.c.organisation == bindparam("organisation"))


def _partner(row: RowMapping) -> Partner:
    values = {name: row[name] for name in Partner.__slots__}
    return Partner(**{**values, "replies": frozenset(row["replies"].split())})
