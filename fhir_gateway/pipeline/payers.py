"""The payers in force: files, and the documents in the database that override them by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import CaseFile
from fhir_gateway.coverage.document import Fault
from fhir_gateway.coverage.payer import Payer, PayerError, payer_of, read, shipped
from fhir_gateway.pipeline.delivery import Outcome
from fhir_gateway.store import PayerDocument, Transaction, content_hash

Json = dict[str, Any]

_PARTY: Final = {"Coverage": "payor", "CoverageEligibilityResponse": "insurer"}


@dataclass(frozen=True, slots=True)
class Payers:
    """files: payers of the configuration folder by name."""

    files: Mapping[str, Payer] = field(default_factory=dict)

    @classmethod
    def from_folder(cls, folder: Path | None) -> Payers:
        """Those of a folder, None for the ones that come with the program. Raises PayerError naming file and member."""
        if folder is None:
            return cls(shipped())
        if not folder.is_dir():
            raise PayerError([Fault("GATEWAY_PAYERS", f"there is no folder {folder}")])
        found: dict[str, Payer] = {}
        for file in sorted(folder.glob("*.json")):
            try:
                payer = read(file.read_bytes())
            except OSError as fault:
                raise PayerError([Fault(file.name, f"can't be read: {fault.strerror or fault}")]) from None
            except PayerError as fault:
                raise PayerError([Fault(f"{file.name}: {one.where}", one.text) for one in fault.faults]) from None
            if payer.name in found:
                raise PayerError([Fault(file.name, f"there is a payer {payer.name} already")])
            found[payer.name] = payer
        return cls(found)

    def all(self, tx: Transaction) -> dict[str, Payer]:
        """By name. A document in the database that an earlier version of the program took and this one does not is left out."""
        return self.with_documents(tx.payers.list())

    def with_documents(self, documents: Iterable[PayerDocument]) -> dict[str, Payer]:
        """As `all`, of documents read already."""
        held = {one.name: _parsed(one.document) for one in documents}
        return {**self.files, **{name: payer for name, payer in held.items() if payer is not None}}

    def of(self, tx: Transaction, coverages: Iterable[Json], insurer: Json | None = None) -> Payer | None:
        """The payer these Coverages mean, or else the insurer of a request; None when nobody has configured it, or it is not clear which is meant."""
        known = list(self.all(tx).values())
        if not known:
            return None
        for payors in (
            [payor for coverage in coverages for payor in walk(coverage, "payor") if isinstance(payor, dict)],
            [insurer] if insurer else [],
        ):
            found = payer_of(known, [*payors, *organizations(tx, payors)])
            if found is not None:
                return found
        return None


def organizations(tx: Transaction, payors: Iterable[Json]) -> list[Json]:
    """The Organizations these References name."""
    names = {str(payor.get("reference")) for payor in payors if str(payor.get("reference", "")).startswith("Organization/")}
    return [stored.resource for stored in tx.resources.read_many(sorted(names)).values() if not stored.deleted] if names else []


@lru_cache(maxsize=1000)
def _parsed(document: str) -> Payer | None:
    try:
        return read(document)
    except PayerError:
        return None


def kept_answer(tx: Transaction, outcome: Outcome, what: str) -> str:
    """The inbox id under which a payer's bytes are kept as they came. what: the kind of message it is listed as."""
    raw = outcome.answer or b""
    return tx.inbox.add(
        channel="payer",
        sender="",
        control_id=None,
        message_type=what,
        raw=raw,
        content_hash=content_hash(raw),
        state="processed",
        answer_type=outcome.answer_type or "application/octet-stream",
    )


def payor_names(tx: Transaction, file: CaseFile) -> dict[str, str]:
    """By "Organization/id", the names of those the Coverages of a case and the answers about them name by reference alone."""
    parties = (
        party
        for record in file.records
        for path in (_PARTY.get(record.resource["resourceType"], ""),)
        for party in (walk(record.resource, path) if path else ())
        if isinstance(party, dict) and "display" not in party
    )
    names = {name for party in parties if (name := str(party.get("reference", ""))).startswith("Organization/")}
    held = tx.resources.read_many(sorted(names)) if names else {}
    return {name: str(stored.resource["name"]) for name, stored in held.items() if stored.resource.get("name")}
