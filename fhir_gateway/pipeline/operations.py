"""Operations of FHIR itself, on behalf of a principal and audited: `$validate`, `$everything`, `$match`, `$meta`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_gateway.pipeline import metas, writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.everything import Everything
from fhir_gateway.pipeline.payerview import closed
from fhir_gateway.pipeline.persons import matched
from fhir_gateway.pipeline.search import matches
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.pipeline.validating import Question, judged
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Transaction
from fhir_gateway.validation import Issue
from fhir_gateway.validation.types import TYPES

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything they need, wired once."""

    store: Store
    casework: Casework
    settings: Settings
    clock: Callable[[], datetime]

    def validate(self, principal: Principal, asked: Question) -> list[Issue]:
        """Every issue there would be. Raises NotFoundError, GoneError for a resource asked about that is not there."""
        with translated(), self.store.snapshot(principal) as tx:
            issues = judged(tx, asked, self.settings)
        self._audit(principal, "validate", asked.type, asked.id)
        return issues

    def everything(self, principal: Principal, id: str, pairs: list[tuple[str, str]], base: str) -> Json:
        """A page of what is held about a patient. Raises NotFoundError, GoneError, UnknownParameterError, UnreadableError; NotOpenError for a payer that asks
        by dates of care, which it may not search by.
        """
        asked = Everything.of(id, pairs, self.settings)
        if asked.care is not None:
            closed(principal, "$everything by dates of care")
        with translated(), self.store.snapshot(principal) as tx:
            found = asked.bundle(tx, base, self.settings)
        self._disclosed(principal, "everything", id, found)
        return found

    def match(self, principal: Principal, given: Json, base: str) -> Json:
        """The Patients that may be the one described. Raises InvalidError, NotOpenError for a payer."""
        closed(principal, "$match")
        with translated(), self.store.snapshot(principal) as tx:
            found = matched(tx, given, base)
        self._disclosed(principal, "match", "", found)
        return found

    def meta(self, principal: Principal, type: str, id: str) -> Json:
        """The meta of one resource. Raises NotFoundError, GoneError."""
        with translated(), self.store.snapshot(principal) as tx:
            stored = writes.read(tx, type, id)
        self._audit(principal, "meta", type, id)
        return metas.meta_of(stored.resource)

    def labels(self, principal: Principal, type: str) -> Json:
        """Every label in use on resources of a type, or of all types (type "")."""
        with translated(), self.store.snapshot(principal) as tx:
            found = metas.metas_of(tx.labels([type] if type else sorted(TYPES)))
        self._audit(principal, "meta", type, "")
        return found

    def change_meta(self, principal: Principal, type: str, id: str, given: Json, *, add: bool) -> Json:
        """The meta after labels were added or taken away. Raises NotFoundError, GoneError, InvalidError."""
        meta = metas.given_meta(given)

        def work(tx: Transaction) -> Json:
            made = metas.changed(tx, type, id, meta, add=add)
            if made.changed:
                tx.audit.append("update", type, id)
                self.casework.after(tx, [made.stored], self.clock())
            return metas.meta_of(made.stored.resource)

        with translated():
            return self.store.run(principal, self.clock(), work)

    def _disclosed(self, principal: Principal, action: str, id: str, found: Json) -> None:
        self._audit(principal, action, "Patient", id)
        for type, identity in matches(found):
            self._audit(principal, "found", type, identity)

    def _audit(self, principal: Principal, action: str, type: str, id: str) -> None:
        self.store.audit_later(principal, action, type, id, self.clock(), "")
