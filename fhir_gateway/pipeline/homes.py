"""Which resource each draft of a message that is mapped again means. Nothing is written here, and no key is claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fhir_gateway.cases.evidence import walk
from fhir_gateway.store import Transaction
from fhir_gateway.store.ids import new_id
from mappers.result import Draft, IdentityKey


@dataclass(slots=True)
class Homes:
    """homes: full_url → `Type/id`, "" for what is left alone. new: those that do not exist yet; claims: the keys they are to hold. notes: (reference or
    type, why nothing is done about it).
    """

    homes: dict[str, str]
    new: set[str] = field(default_factory=set)
    claims: dict[str, list[IdentityKey]] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)


def find_homes(tx: Transaction, drafts: Sequence[Draft]) -> Homes:
    """A draft is the resource its key names if that is one the message made; else the one it made in this place; else whatever the key names. So a number
    that was freed since, and names somebody else by now, moves nothing.
    """
    holders = {holder.key: f"{holder.type}/{holder.id}" for holder in tx.keys.find([key for draft in drafts for key in draft.keys])}
    made = _made(tx, drafts, holders)
    found = Homes({draft.full_url: next((holders[key] for key in draft.keys if holders.get(key) in made), "") for draft in drafts})
    homes = found.homes
    spare = [reference for reference in dict.fromkeys(made) if reference not in homes.values()]
    for type in sorted({str(draft.resource["resourceType"]) for draft in drafts}):
        lost = [draft for draft in drafts if draft.resource["resourceType"] == type and not homes[draft.full_url]]
        left = [reference for reference in spare if reference.startswith(f"{type}/")]
        named = list(dict.fromkeys(draft.keys or (draft.full_url,) for draft in lost))
        if lost and len(named) == len(left):
            homes.update({draft.full_url: left[named.index(draft.keys or (draft.full_url,))] for draft in lost})
            continue
        for draft in lost:
            homes[draft.full_url] = next((holders[key] for key in draft.keys if key in holders), "")
        lost = [draft for draft in lost if not homes[draft.full_url]]
        if lost:
            _new(tx, lost, left, found)
        elif left:
            found.notes += [(reference, "no longer mapped to; it stays as it is") for reference in left if not _gone(tx, reference)]
    return found


def _new(tx: Transaction, lost: Sequence[Draft], left: Sequence[str], found: Homes) -> None:
    """Homes for drafts nothing here is known by; none where one of what the message made was deleted, which must not come back by itself."""
    type = str(lost[0].resource["resourceType"])
    if any(_gone(tx, reference) for reference in left):
        found.notes.append((type, "one that the message made was deleted; none is made anew"))
        return
    named: dict[IdentityKey, str] = {}
    for draft in lost:
        home = next((named[key] for key in draft.keys if key in named), "") or f"{type}/{new_id()}"
        named.update(dict.fromkeys(draft.keys, home))
        found.homes[draft.full_url] = home
        found.claims.setdefault(home, []).extend(draft.keys)
        found.new.add(home)


def _made(tx: Transaction, drafts: Sequence[Draft], holders: Mapping[IdentityKey, str]) -> list[str]:
    """Everything the message made or changed, in the order of its drafts: what its Provenance named first, and has come to name since; and the envelope."""
    envelope = [draft for draft in drafts if draft.resource["resourceType"] in ("MessageHeader", "Provenance")]
    own = [holders[key] for draft in envelope for key in draft.keys if key in holders]
    versions = next(iter(tx.resources.histories([name for name in own if name.startswith("Provenance/")]).values()), [])
    told = [str(name) for stored in (versions[:1] + versions[-1:]) for name in walk(stored.resource, "target.reference")]
    return [*dict.fromkeys(told), *own]


def _gone(tx: Transaction, reference: str) -> bool:
    stored = tx.resources.read(*reference.split("/"))
    return stored is None or stored.deleted
