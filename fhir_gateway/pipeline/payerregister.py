"""Payers put, changed and removed by staff, and what each is shown from then on (ADR 0032)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from fhir_gateway.coverage.payer import Payer
from fhir_gateway.pipeline.outgoing import Outgoing
from fhir_gateway.pipeline.payers import Payers
from fhir_gateway.pipeline.payerview import resolver, view_again
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Job, PayerDocument, Store, Transaction

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PayerRegister:
    """Everything it needs, wired once."""

    store: Store
    payers: Payers
    outgoing: Outgoing
    settings: Settings
    clock: Callable[[], datetime]

    def shown(self, documents: Sequence[PayerDocument]) -> Callable[[Sequence[Json]], str | None] | None:
        """Which payers see what is theirs: those the clinic has configured. Where it has none, the ones that come with the program see nothing."""
        if not documents and self.settings.payers is None:
            return None
        return resolver(self.payers.with_documents(documents).values())

    def begin(self) -> None:
        """To be called when the service begins: where the files mean others than when it last ran, nobody is shown anything by the old ones any more, and
        what payers are shown is made anew by the worker. Files are changed while nobody looks; payers in the database say so themselves.
        """
        told = [self.settings.payers is not None, sorted((name, *_named(payer)) for name, payer in self.payers.files.items())]
        digest = sha256(repr(told).encode()).hexdigest()

        def work(tx: Transaction) -> None:
            tx.payers.change()
            before = tx.payers.files()
            if before == digest:
                return
            tx.payers.files(digest)
            if before is not None or tx.resources.any("Coverage"):
                view_again(tx)

        with self.store.snapshot(GATEWAY) as tx:
            same = tx.payers.files() == digest
        if not same:
            self.store.run(GATEWAY, self.clock(), work)

    def put(self, principal: Principal, payer: Payer, document: str) -> None:
        """Configure a payer, or change how it is. document: the text `payer` was read from. Raises ConflictError."""

        def work(tx: Transaction) -> str:
            tx.payers.change()
            before = self.payers.all(tx).get(payer.name) if any(one.name == payer.name for one in tx.payers.list()) else None
            tx.payers.put(payer.name, document)
            tx.audit.append("payer-put", "Organization", payer.name)
            return "" if before is not None and _named(before) == _named(payer) else view_again(tx)

        self._then_shown(principal, work)

    def remove(self, principal: Principal, name: str) -> bool:
        """Forget a payer of the database; False when it holds none of this name. Raises ConflictError."""
        found = False

        def work(tx: Transaction) -> str:
            nonlocal found
            tx.payers.change()
            found = tx.payers.remove(name)
            tx.audit.append("payer-remove", "Organization", name)
            return view_again(tx) if found else ""

        self._then_shown(principal, work)
        return found

    def _then_shown(self, principal: Principal, work: Callable[[Transaction], str]) -> None:
        """What payers are shown made anew here and now; what a crash leaves of it is the worker's."""
        with translated():
            key = self.store.run(principal, self.clock(), work)
            while key and (job := self.outgoing.claim(key)) is not None:
                self.outgoing.prepare(job)
                key = _next(job)


def _next(job: Job) -> str:
    return f"{job.kind}/{job.payload['since']}/{int(job.payload['step']) + 1}"


def _named(payer: Payer) -> tuple[object, ...]:
    """What decides which Coverages are its own."""
    return payer.title, payer.identifiers, payer.names
