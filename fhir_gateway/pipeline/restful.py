"""FHIR's plain interactions with single resources, by id or by condition: create, update, patch, delete, read, vread, history, search.

Each is one transaction; what the cases make of a write is done in the same one. Whoever reads is noted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from fhir_gateway.errors import GoneError, NotFoundError, UnreadableError
from fhir_gateway.pipeline import interactions, writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.intake import is_brief
from fhir_gateway.pipeline.linking import linked, ours
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.pipeline.results import Written
from fhir_gateway.pipeline.search import matches, searched
from fhir_gateway.pipeline.searchall import searched_over
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction

Json = dict[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RestfulInteractions:
    """Everything they need, wired once. Errors are those of `fhir_gateway.errors`."""

    store: Store
    casework: Casework
    settings: Settings
    clock: Callable[[], datetime]

    def create(self, principal: Principal, type: str, raw: bytes, condition: str | None, base: str = "") -> Written:
        """One new resource; with a condition only when nothing matches it. base: as of `_written`."""
        resource = self._written(raw, type, base)
        body = {key: value for key, value in resource.items() if key != "id"}

        def work(tx: Transaction) -> Written:
            self._check_references(tx, body, type)
            made = writes.create_if_none(tx, body, condition) if condition else writes.create(tx, body)
            return self._after(tx, made)

        return self._run(principal, work, raw)

    def update(self, principal: Principal, type: str, id: str, raw: bytes, expected: Expected | None, base: str = "") -> Written:
        """A new version of one resource, or its first under this id. base: as of `_written`."""
        resource = self._written(raw, type, base)
        if resource.get("id") != id:
            raise UnreadableError("The id of the resource must be the id of the address", f"{type}.id")

        def work(tx: Transaction) -> Written:
            self._check_references(tx, resource, type)
            return self._after(tx, writes.update(tx, resource, id, expected, create_allowed=self.settings.update_as_create))

        return self._run(principal, work, raw)

    def update_where(self, principal: Principal, type: str, condition: str, raw: bytes, expected: Expected | None, base: str = "") -> Written:
        """A new version of the one resource a condition means, or a new resource. base: as of `_written`."""
        resource = self._written(raw, type, base)

        def work(tx: Transaction) -> Written:
            self._check_references(tx, resource, type)
            return self._after(tx, interactions.update_where(tx, resource, condition, expected, create_allowed=self.settings.update_as_create))

        return self._run(principal, work, raw)

    def patch(self, principal: Principal, type: str, id: str | None, condition: str, body: bytes, kind: str, expected: Expected | None) -> Written:
        """A new version made of the current one. id: None for the one resource the condition means. kind: one of `patches.KINDS`."""

        def work(tx: Transaction) -> Written:
            made = interactions.patch(tx, type, id or interactions.meant(tx, type, condition), body, kind, expected)
            self._check_references(tx, made.stored.resource, type)
            return self._after(tx, made)

        return self._run(principal, work, body)

    def delete(self, principal: Principal, type: str, id: str, expected: Expected | None) -> None:
        """Mark one resource deleted. Repeating it is no error."""
        self._run(principal, lambda tx: self._delete(tx, type, id, expected))

    def delete_where(self, principal: Principal, type: str, condition: str, expected: Expected | None) -> None:
        """Mark the one resource a condition means deleted. None is no error."""

        def work(tx: Transaction) -> None:
            found = interactions.where(tx, type, condition)
            if found is not None:
                self._delete(tx, type, found.id, expected)

        self._run(principal, work)

    def _delete(self, tx: Transaction, type: str, id: str, expected: Expected | None) -> None:
        if gone := writes.delete(tx, type, id, expected):
            tx.audit.append("delete", type, id)
            self.casework.after(tx, [gone], self.clock())

    def history(self, principal: Principal, type: str, id: str, pairs: list[tuple[str, str]], base: str) -> Json:
        """The history Bundle of one resource, of a type (id ""), or of everything (type "" too)."""
        asked = interactions.History(type, id, base, pairs, self.settings.zone)
        with translated(), self.store.snapshot(principal) as tx:
            found = asked.bundle(tx, self.settings.page_size, self.settings.page_size_max)
        self._audit(principal, "history", type, id)
        for name in matches(found):
            self._audit(principal, "found", *name)
        return found

    def read(self, principal: Principal, type: str, id: str) -> Stored:
        """The current version."""
        with translated(), self.store.glance(principal) as tx:
            stored = writes.read(tx, type, id)
        self._audit(principal, "read", type, id)
        return stored

    def vread(self, principal: Principal, type: str, id: str, version: int) -> Stored:
        """One version."""
        with translated(), self.store.snapshot(principal) as tx:
            stored = tx.resources.vread(type, id, version)
        if stored is None:
            raise NotFoundError(f"There is no version {version} of {type}/{id[:64]}")
        if stored.deleted:
            raise GoneError(f"{type}/{id} was deleted in version {version}")
        self._audit(principal, "vread", type, id)
        return stored

    def search(
        self,
        principal: Principal,
        type: str,
        pairs: list[tuple[str, str]],
        base: str,
        *,
        lenient: bool = False,
        patient: str | None = None,
        steps: int | None = None,
    ) -> Json:
        """A searchset Bundle; `base` is what its links are built from. Unknown parameters are refused, or named and ignored when lenient.

        type: "" for a search over several. patient: id of the Patient whose compartment alone is searched; type "*" for all of it. steps: for a search that
        takes one query, what it may take of the database (`Store.glance`).
        """
        with translated(), self.store.snapshot(principal) if steps is None else self.store.glance(principal, steps) as tx:
            if type not in ("", "*"):
                found = searched(tx, type, pairs, base, self.settings, lenient=lenient, patient=patient)
            else:
                found = searched_over(tx, pairs, base, self.settings, lenient=lenient, patient=patient)
        self._audit(principal, "search", type, detail=",".join(sorted({name for name, _ in pairs})))
        for name in matches(found):
            self._audit(principal, "found", *name)
        return found

    def _written(self, raw: bytes, type: str, base: str) -> Json:
        """The resource of a write. base: our own address as the client used it; references under it are to what is held here, and are kept so."""
        resource = writes.checked(writes.given_object(raw), type)
        return linked(resource, lambda text: ours(text, base)) if base and base.encode() in raw else resource

    def _check_references(self, tx: Transaction, resource: Json, type: str) -> None:
        if self.settings.strict_references:
            writes.check_references(tx, [(type, resource)], {f"{type}/{resource['id']}"} if "id" in resource else set())

    def _after(self, tx: Transaction, made: Written) -> Written:
        tx.audit.append("create" if made.created else "update", made.stored.type, made.stored.id)
        if not made.changed:
            return made
        after = self.casework.after(tx, [made.stored], self.clock())
        if tx.principal.role == "payer":
            return made  # a hint is about the case
        return replace(made, hint=after.hints.get(made.stored.reference, ""))

    def _run(self, principal: Principal, work: Callable[[Transaction], Result], raw: bytes = b"") -> Result:
        with translated():
            return self.store.run(principal, self.clock(), work, brief=is_brief(raw))

    def _audit(self, principal: Principal, action: str, type: str, id: str = "", detail: str = "") -> None:
        """Note a read. It is committed with others within a moment, so that reading costs no fsync of its own."""
        self.store.audit_later(principal, action, type, id, self.clock(), detail)
