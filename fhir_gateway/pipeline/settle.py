"""Drafts of one mapped message → resources in the store, inside one transaction: identity, reconciliation, references, writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fhir_gateway.pipeline.reconcile import reconcile
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from mappers.result import Draft, IdentityKey, Json
from profiles.canonical import canonical

RAW_MESSAGE: Final = canonical("StructureDefinition", "raw-message")
"""The mapper's placeholder for "the message this came from"; replaced by `Binary/<inbox id>`."""


@dataclass(slots=True)
class Settled:
    """written: new versions, in draft order. untouched: what an older or equal draft did not change."""

    written: list[Stored] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)


def settle(tx: Transaction, drafts: Sequence[Draft], inbox_id: str) -> Settled:
    """Write what is new in the drafts. May raise the store's TransientConflict, upon which the whole transaction is run again."""
    homes, new = _homes(tx, drafts)
    addresses = {draft.full_url: f"{draft.resource['resourceType']}/{homes[draft.full_url]}" for draft in drafts}
    addresses[RAW_MESSAGE] = f"Binary/{inbox_id}"
    held = tx.resources.read_many(sorted(set(addresses.values()) - new))
    settled = Settled()
    for draft in drafts:
        reference = addresses[draft.full_url]
        before = held.get(reference)
        resource = rewritten(draft.resource, addresses.get)
        moved = Draft(resource, draft.full_url, draft.keys, draft.clock, draft.merge, draft.deletes)
        content = reconcile(before.resource if before else None, before.clock if before else draft.clock, moved)
        if content is None:
            settled.untouched.append(reference)
            continue
        stored = _write(tx, content, reference, before, draft, inbox_id, new)
        new.discard(reference)
        held[reference] = stored
        settled.written.append(stored)
    return settled


def _write(tx: Transaction, content: Json, reference: str, before: Stored | None, draft: Draft, inbox_id: str, new: set[str]) -> Stored:
    identity = reference.partition("/")[2]
    if reference in new:
        return tx.resources.create(content, id=identity, inbox_id=inbox_id, clock=draft.clock)
    clock = max(before.clock, draft.clock) if before and draft.merge == "enrich" else draft.clock
    return tx.resources.update({**content, "id": identity}, inbox_id=inbox_id, clock=clock, known_by_key=True)


def _homes(tx: Transaction, drafts: Sequence[Draft]) -> tuple[dict[str, str], set[str]]:
    """full_url → resource id: the holder of the draft's strongest held key, else a new id that claims all its keys; and which references are new."""
    wanted = [key for draft in drafts for key in draft.keys]
    holders: dict[IdentityKey, str] = {holder.key: holder.id for holder in tx.keys.find(wanted)}
    homes: dict[str, str] = {}
    new: set[str] = set()
    for draft in drafts:
        identity = next((holders[key] for key in draft.keys if key in holders), "")
        if not identity:
            identity = new_id()
            new.add(f"{draft.resource['resourceType']}/{identity}")
        homes[draft.full_url] = identity
        unclaimed = [key for key in draft.keys if key not in holders]
        if unclaimed:
            tx.keys.claim(unclaimed, str(draft.resource["resourceType"]), identity, strict=True)
            holders.update(dict.fromkeys(unclaimed, identity))
    return homes, new
