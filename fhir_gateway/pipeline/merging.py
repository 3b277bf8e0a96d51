"""Joining two Patients and taking them apart again, by whoever may: a message, staff, a FHIR client, the gateway on a sure match.

Both Patients say so by `link`, and one Linkage per pair keeps what was last said about it, by whom and when (see `cases.linkage`). A case follows by
itself: which Patients are one person is read from their links (`store.identities`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.linkage import Pair, answered, linkage, name_of, pair_of, told
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from mappers.result import Clock, Draft, IdentityKey, Json

NEVER: Final = Clock()
"""The clock of a guess: anything a message or a person says about the pair is newer."""


def key_of(one: str, other: str) -> IdentityKey:
    """The one name of the Linkage of two Patients (ids)."""
    return IdentityKey("Linkage", name_of(one, other))


def bare(draft: Draft) -> Draft:
    """A Patient's draft without what the Linkage beside it says: link and active follow from that."""
    if draft.resource["resourceType"] != "Patient":
        return draft
    return replace(draft, resource={key: value for key, value in draft.resource.items() if key not in ("link", "active")})


def said_at(now: datetime) -> Clock:
    """The clock of what somebody here says now, comparable with MSH-7."""
    return Clock(message=f"{now.astimezone(UTC):%Y%m%d%H%M%S%f}")


def join(tx: Transaction, first: str, second: str, *, active: bool, who: str, now: datetime, clock: Clock) -> list[Stored]:
    """Say of two Patients (ids) that they are one person, or (active False) that they are not; what was written.

    first: the one whose case it is. The transaction is the gateway's: both Patients may belong to senders.
    """
    said = linkage(first, second, active=active, who=who, now=now)
    key = key_of(first, second)
    holder = next(iter(tx.keys.find([key])), None)
    if holder is None:
        identity = new_id()
        tx.keys.claim([key], "Linkage", identity, strict=True)
        written = [tx.resources.create(said, id=identity, fresh=True, clock=clock)]
    else:
        written = [tx.resources.update({**said, "id": holder.id}, clock=clock)]
    pair = pair_of(said)
    assert pair is not None
    return [*written, *_both(tx, pair)]


def parted(tx: Transaction, one: str, other: str) -> bool:
    """Has anybody ever taken the persons of these two Patients apart? Then no guess joins them again."""
    pairs = list(product(sorted(tx.identities.person(one)), sorted(tx.identities.person(other))))
    holders = tx.keys.find([key_of(*pair) for pair in pairs])
    said = tx.resources.read_many([f"Linkage/{holder.id}" for holder in holders]).values()
    return any(stored.resource.get("active") is False for stored in said) or any(tx.identities.parted(*pair) for pair in pairs)


def reciprocate(tx: Transaction, written: Sequence[Stored]) -> list[Stored]:
    """Where a Patient was written with a link, the Patient it names links back; what was written beside.

    Taking a link out of one of the two takes it out of that one only: a client that sends its whole record again, and knows nothing of the link, must
    not undo a merge. The pair is parted when neither names the other.
    """
    done: list[Stored] = []
    for stored in written:
        if stored.type != "Patient" or stored.deleted or "link" not in stored.resource:
            continue
        for link in walk(stored.resource, "link"):
            other = str(next(iter(walk(link, "other.reference")), ""))
            held = tx.resources.read(*other.split("/")) if other.startswith("Patient/") and other != stored.reference else None
            if held is None or held.deleted:
                continue
            content = answered(held.resource, held.id, stored.id, str(link.get("type")))
            if content != held.resource:
                done.append(_write(tx, held, content))
    return done


def _both(tx: Transaction, pair: Pair) -> list[Stored]:
    done = []
    for identity in (pair.first, pair.second):
        held = tx.resources.read("Patient", identity)
        if held is not None and not held.deleted and (content := told(held.resource, identity, pair)) != held.resource:
            done.append(_write(tx, held, content))
    return done


def _write(tx: Transaction, held: Stored, content: Json) -> Stored:
    """A new version that is still its owner's, made of the same message by the same clock."""
    return tx.on_behalf_of(Principal("gateway", held.owner)).resources.update(content, clock=held.clock, inbox_id=held.inbox_id)
