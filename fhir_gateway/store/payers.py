"""Payers in the store: their documents as staff put them, and how each has answered lately. What a document means is not the store's affair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select, text

from fhir_gateway.store import tables
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work

_P: Final = tables.payer
_C: Final = tables.payer_circuit
_F: Final = tables.payer_files


@dataclass(frozen=True, slots=True)
class PayerDocument:
    """document: JSON text as it was put."""

    name: str
    document: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Circuit:
    """failures: in a row. rests_until: the payer is not asked before then; None while it may be."""

    payer: str
    failures: int = 0
    rests_until: datetime | None = None


class Payers:
    """The gateway's own knowledge: read on nobody's behalf, written by staff commands."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def list(self) -> Sequence[PayerDocument]:
        """All of them, by name; read once in a transaction."""
        if self._work.payers is None:
            self._work.payers = [PayerDocument(**row._mapping) for row in self._work.execute(_ALL)]
        return self._work.payers

    def change(self) -> None:
        """To be called first by a transaction that puts or removes one: whoever has read the old ones ends before it goes on, and nobody reads in between, so
        that no row about what payers are shown follows from payers that are no more. Raises ConflictError when others take too long.
        """
        self._work.now  # noqa: B018 - a snapshot changes nothing
        if self._work.dialect == "postgresql":  # on SQLite writers are serial
            self._work.execute(_ALONE)

    def put(self, name: str, document: str) -> None:
        """Configure a payer, or change how it is."""
        self._work.payers = None
        row = {"name": fit(name), "document": document, "changed_at": self._work.now}
        self._work.execute(self._work.insert(_P).on_conflict_do_update(index_elements=[_P.c.name], set_=row), row)

    def remove(self, name: str) -> bool:
        """Forget one; was there any? A file of the same name holds again."""
        self._work.now  # noqa: B018 - a snapshot removes nothing
        self._work.payers = None
        return bool(self._work.execute(_REMOVE, {"name": fit(name)}).rowcount)

    def files(self, digest: str | None = None) -> str | None:
        """Whom the payers' files meant when this database was last served, None when that is not known. digest: whom they mean from now on."""
        held = self._work.execute(_FILES).first()
        if digest is not None:
            self._work.execute(_F.delete())
            self._work.execute(_F.insert(), {"digest": digest})
        return None if held is None else str(held.digest)

    def circuit(self, payer: str) -> Circuit:
        """How it has answered lately."""
        row = self._work.execute(_CIRCUIT, {"payer": fit(payer)}).first()
        return Circuit(**row._mapping) if row else Circuit(payer)

    def answered(self, circuit: Circuit) -> None:
        """Record how it has answered. Of two processes that record at once the last stands: a count that is one short opens one failure later."""
        row = asdict(circuit) | {"payer": fit(circuit.payer)}
        self._work.execute(self._work.insert(_C).on_conflict_do_update(index_elements=[_C.c.payer], set_=row), row)


_ALONE: Final = text("LOCK TABLE payer IN ACCESS EXCLUSIVE MODE")
_ALL: Final = select(_P).order_by(_P.c.name)
_FILES: Final = select(_F)
_REMOVE: Final = delete(_P).where(_P.c.name == bindparam("name"))
_CIRCUIT: Final = select(_C).where(_C.c.payer == bindparam("payer"))
