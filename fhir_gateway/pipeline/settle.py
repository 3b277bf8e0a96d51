"""Drafts of one mapped message → resources in the store, inside one transaction: identity, reconciliation, references, writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fhir_gateway.cases.linkage import pair_of, told
from fhir_gateway.pipeline.merging import bare, key_of
from fhir_gateway.pipeline.reconcile import clock_after, reconcile
from fhir_gateway.pipeline.references import rewritten
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from mappers.result import Clock, Draft, Finding, IdentityKey, Json, Location, Refused
from mappers.v2 import RAW_MESSAGE

ENDED: Final = frozenset({"revoked", "entered-in-error"})


@dataclass(slots=True)
class Settled:
    """written: new versions, in draft order. untouched: what an older or equal draft did not change."""

    written: list[Stored] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Standing:
    """What a resource will hold when every draft that means it has been weighed."""

    content: Json | None
    clock: Clock
    new: bool
    changed: bool = False


def settle(tx: Transaction, drafts: Sequence[Draft], inbox_id: str) -> Settled:
    """Write what is new in the drafts, one version per resource. May raise the store's TransientConflict: the whole transaction is then run again."""
    linkages = [draft for draft in drafts if draft.resource["resourceType"] == "Linkage"]
    homes, new = _homes(tx, [draft for draft in drafts if draft.resource["resourceType"] != "Linkage"])
    addresses = {draft.full_url: f"{draft.resource['resourceType']}/{homes[draft.full_url]}" for draft in drafts if draft.full_url in homes}
    drafts = [*(bare(draft) if linkages else draft for draft in drafts if draft.full_url in homes), *_pairs(tx, linkages, addresses, new)]
    held = tx.resources.read_many(sorted(set(addresses.values()) - new))
    _placers(tx, drafts, addresses, held)
    addresses[RAW_MESSAGE] = f"Binary/{inbox_id}"
    standing: dict[str, Standing] = {}
    for draft in drafts:
        weigh(standing, addresses[draft.full_url], replace(draft, resource=rewritten(draft.resource, addresses.get)), held, new)
    _join(standing)
    settled = Settled()
    for reference, end in standing.items():
        if not end.changed or end.content is None:
            settled.untouched.append(reference)
            continue
        identity = reference.partition("/")[2]
        if end.new:
            stored = tx.resources.create(end.content, id=identity, fresh=True, inbox_id=inbox_id, clock=end.clock)
        else:
            stored = tx.resources.update({**end.content, "id": identity}, inbox_id=inbox_id, clock=end.clock, known_by_key=True)
        settled.written.append(stored)
    return settled


def _placers(tx: Transaction, drafts: Sequence[Draft], addresses: Mapping[str, str], held: Mapping[str, Stored]) -> None:
    """Who withdraws a referral or order must be who placed it. Raises Refused (AE 204): a number of somebody else's is none of the sender's."""
    for draft in drafts:
        if draft.resource["resourceType"] != "ServiceRequest" or not draft.steps or draft.resource.get("status") not in ENDED:
            continue
        stored = held.get(addresses[draft.full_url])
        if stored is not None and stored.owner not in ("", tx.principal.organisation):
            raise Refused([Finding("error", "204", "no referral or order of yours has this number", Location("MSH", 1, 4))], "AE")


def weigh(standing: dict[str, Standing], reference: str, draft: Draft, held: Mapping[str, Stored], new: set[str]) -> None:
    """One draft against what its resource holds by now."""
    end = standing.get(reference)
    if end is None:
        before = held.get(reference)
        end = Standing(before.resource if before else None, before.clock if before else draft.clock, reference in new)
        standing[reference] = end
    content = reconcile(end.content, end.clock, draft)
    if content is not None:
        end.clock = clock_after(end.clock, draft) if end.content is not None else draft.clock
        end.content, end.changed = content, True


def _pairs(tx: Transaction, linkages: Sequence[Draft], addresses: dict[str, str], new: set[str]) -> list[Draft]:
    """The Linkages of two Patients, at home under the pair's name. Two numbers that are one Patient here have nothing to link."""
    kept = []
    for draft in linkages:
        pair = pair_of(rewritten(draft.resource, addresses.get))
        if pair is None:
            addresses[draft.full_url] = addresses[draft.resource["item"][0]["resource"]["reference"]]
            continue
        homes, fresh = _homes(tx, [replace(draft, keys=(key_of(pair.first, pair.second),))])
        addresses[draft.full_url] = f"Linkage/{homes[draft.full_url]}"
        new |= fresh
        kept.append(draft)
    return kept


def _join(standing: Mapping[str, Standing]) -> None:
    """The Patients of every Linkage that was changed are linked, or no longer: the newest word on the pair counts, not the newest message."""
    for end in [end for reference, end in standing.items() if reference.startswith("Linkage/") and end.changed]:
        pair = pair_of(end.content or {})
        for identity in (pair.first, pair.second) if pair else ():
            patient = standing[f"Patient/{identity}"]
            content = told(patient.content or {}, identity, pair) if pair else None
            if content is not None and content != patient.content:
                patient.content, patient.changed = content, True


def _homes(tx: Transaction, drafts: Sequence[Draft]) -> tuple[dict[str, str], set[str]]:
    """full_url → resource id: the holder of the draft's strongest held key, else a new id that claims all its keys; and which references are new."""
    wanted = [key for draft in drafts for key in draft.keys]
    holders: dict[IdentityKey, str] = {holder.key: holder.id for holder in tx.keys.find(wanted)}
    homes: dict[str, str] = {}
    new: set[str] = set()
    for draft in drafts:
        found = list(dict.fromkeys(holders[key] for key in draft.keys if key in holders))
        identity = _survivor(tx, found) if len(found) > 1 and draft.resource["resourceType"] == "Patient" else next(iter(found), "")
        if not identity:
            identity = new_id()
            new.add(f"{draft.resource['resourceType']}/{identity}")
        homes[draft.full_url] = identity
        unclaimed = [key for key in draft.keys if key not in holders]
        if unclaimed:
            tx.keys.claim(unclaimed, str(draft.resource["resourceType"]), identity, strict=True)
            holders.update(dict.fromkeys(unclaimed, identity))
    return homes, new


def _survivor(tx: Transaction, patients: Sequence[str]) -> str:
    """Of several Patients whose numbers a message lists as one person's: the strongest number's that was not merged into another."""
    held = tx.resources.read_many([f"Patient/{identity}" for identity in patients])
    merged = {stored.id for stored in held.values() if any(link.get("type") == "replaced-by" for link in stored.resource.get("link") or ())}
    return next((identity for identity in patients if identity not in merged), patients[0])
