"""What would still be missing if this were sent? The real thing, done in a transaction that is never committed.

Nothing else would be honest: the answer depends on identity, on records held already and on the checklist, so the same code decides. Nothing is
stored, not even in the inbox; the log says only that it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from fhir_gateway.errors import InvalidError
from fhir_gateway.outcomes import issues_of
from fhir_gateway.pipeline import bundles, writes
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.codetables import CodeTables
from fhir_gateway.pipeline.entries import entries_of
from fhir_gateway.pipeline.payerview import closed
from fhir_gateway.pipeline.settle import settle
from fhir_gateway.pipeline.submissions import options
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import validate
from mappers import v2
from mappers.result import Refused

Json = dict[str, Any]
Result = TypeVar("Result")

AS_TRANSACTION: Final = ("transaction", "batch", "collection", "message", "searchset", "document")
"""Kinds of Bundle whose resources can be tried; all but a transaction are taken as if each resource were posted."""


class _Answered(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass(frozen=True, slots=True)
class DryRun:
    """Everything it needs, wired once."""

    store: Store
    casework: Casework
    settings: Settings
    codes: CodeTables
    site: v2.Site
    clock: Callable[[], datetime]

    def bundle(self, raw: bytes, principal: Principal, base: str) -> Json:
        """The GuidanceResponse of the case this Bundle would open or complete. Raises the errors that sending it would raise."""
        closed(principal, "$completeness")
        given = writes.given_object(raw)
        transaction = _as_transaction(given)
        issues = validate(transaction)
        if issues:
            raise InvalidError(issues[0].text, issues=issues)

        def work(tx: Transaction) -> Json:
            entries = entries_of(transaction, self.settings.bundle_entries, base)
            done = bundles.transact(tx, entries, options(base, self.settings, None))
            return self._guidance(tx, done.written)

        return self._undone(principal, work)

    def message(self, raw: bytes, principal: Principal) -> Json:
        """The flat answer of the case this HL7 v2 message would open or complete. Raises InvalidError for what would be refused."""
        try:
            message = v2.read(raw)
            with self.store.snapshot(principal) as tx:
                tables = self.codes.tables(tx, self.site.sender or message.header.sender)
            mapped = v2.map_message(message, tables, self.site)
        except Refused as refusal:
            raise InvalidError(refusal.findings[0].text, issues=issues_of(refusal.findings)) from None

        def work(tx: Transaction) -> Json:
            settled = settle(tx, mapped.drafts, new_id())
            return self.casework.flat(tx, f"ServiceRequest/{self._touched(tx, settled.written)}", None, self.clock())

        return self._undone(principal, work)

    def _guidance(self, tx: Transaction, written: Sequence[Stored]) -> Json:
        return self.casework.guidance(tx, self._touched(tx, written), None, self.clock())

    def _touched(self, tx: Transaction, written: Sequence[Stored]) -> str:
        """The one case these writes would open, or else complete. Raises InvalidError when there is none, or more than one."""
        before = {stored.id for stored in written if stored.type == "ServiceRequest" and tx.cases.get(stored.reference)}
        judged = self.casework.after(tx, written, self.clock()).cases
        opened = [identity for identity in judged if identity not in before and any(s.id == identity for s in written)]
        chosen = opened or list(judged)
        if len(chosen) == 1:
            return chosen[0]
        if not chosen:
            raise InvalidError("There is no referral in this, and it belongs to no case held here", "Bundle.entry")
        raise InvalidError(f"This concerns {len(chosen)} cases; try the records of one case at a time", "Bundle.entry")

    def _undone(self, principal: Principal, work: Callable[[Transaction], Result]) -> Result:
        """The result of work whose every effect is rolled back."""

        def answered(tx: Transaction) -> None:
            raise _Answered(work(tx))

        with translated():
            try:
                self.store.run(principal, self.clock(), answered)
            except _Answered as answer:
                result: Result = answer.value
                return result
        raise AssertionError("unreachable")


def _as_transaction(given: Json) -> Json:
    if given.get("resourceType") != "Bundle":
        raise InvalidError("Only a Bundle can be tried", "resourceType")
    kind = given.get("type")
    if kind == "transaction":
        return given
    if kind not in AS_TRANSACTION:
        raise InvalidError(f"A Bundle of type '{str(kind)[:40]}' can't be tried", "Bundle.type")
    entries = []
    for entry in given.get("entry") or ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            kept = {key: entry[key] for key in ("fullUrl",) if key in entry}
            entries.append({**kept, "resource": resource, "request": {"method": "POST", "url": str(resource.get("resourceType", ""))}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries} if entries else {"resourceType": "Bundle", "type": "transaction"}
