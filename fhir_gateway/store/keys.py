"""Identity keys: one row per name a resource is known by, unique by a database constraint.

Two transactions that claim the same key at once end with one resource: the second waits for the first, finds the key taken, and `Store.run` starts it over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, select

from fhir_gateway.store import tables
from fhir_gateway.store.errors import KeyTakenError
from fhir_gateway.store.pairs import PairLookup
from fhir_gateway.store.text import fit
from fhir_gateway.store.work import Work
from mappers.result import IdentityKey

_K: Final = tables.identity_key
_FIND: Final = PairLookup(select(_K.c.kind, _K.c.value, _K.c.type, _K.c.id), _K.c.kind, _K.c.value)
_OF: Final = select(_K.c.kind, _K.c.value).where(_K.c.type == bindparam("type"), _K.c.id == bindparam("id"))
_RELEASE: Final = delete(_K).where(_K.c.type == bindparam("type"), _K.c.id == bindparam("id"))


class Holder(NamedTuple):
    """A key and the resource it names."""

    key: IdentityKey
    type: str
    id: str


class Keys:
    """Identity is the gateway's own knowledge: keys are settled across all senders, whoever asks."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def find(self, keys: Sequence[IdentityKey]) -> list[Holder]:
        """Who holds these keys, in the order asked; keys nobody holds are left out.

        In a transaction, keys nobody holds are waited for if another transaction is about to claim them, and then kept from others until the end: the
        second of two senders finds what the first made instead of losing a race. Ask for all keys of a message at once, so that nobody deadlocks.
        """
        names = {(fit(key.kind), fit(key.value)): key for key in keys}
        if not names:
            return []
        held = self._held(names)
        missing = [name for name in names if name not in held]
        if missing and self._work.writes and self._work.lock(f"key:{kind}\t{value}" for kind, value in missing):
            held.update(self._held(missing))
        return [Holder(key, *held[name]) for name, key in names.items() if name in held]

    def claim(self, keys: Sequence[IdentityKey], type: str, id: str, strict: bool = True) -> list[Holder]:
        """Make the resource the holder of these keys; keys it holds already are left as they are.

        A key held by another resource: KeyTakenError when strict (now, or when the claims are written together), otherwise it stays with its holder.
        Returns the keys others hold.
        """
        self._work.now  # noqa: B018 - a snapshot claims nothing
        if not keys:
            return []
        names = {(fit(key.kind), fit(key.value)): key for key in keys}
        taken = [key for name, key in names.items() if self._work.claims.get(name, (type, id)) != (type, id)]
        if strict:
            if taken:
                raise KeyTakenError(taken[0])
            self._work.claims.update(dict.fromkeys(names, (type, id)))
            self._work.write_claims = self._write
            return []
        self._work.flush()
        refused = self._insert(dict.fromkeys(names, (type, id)))
        return [Holder(names[name], *holder) for name, holder in refused.items()]

    def of(self, type: str, id: str) -> list[IdentityKey]:
        """The keys a resource holds (overlong values as they are indexed)."""
        self._work.flush()
        return [IdentityKey(row.kind, row.value) for row in self._work.execute(_OF, {"type": type, "id": id})]

    def release(self, type: str, id: str) -> None:
        """Give up every key of a resource, so that the next sender of one makes a new resource."""
        self._work.now  # noqa: B018 - a snapshot releases nothing
        self._work.flush()
        self._work.execute(_RELEASE, {"type": type, "id": id})

    def _write(self) -> None:
        """Write the claims that wait, in one order for everyone."""
        claims, self._work.claims = self._work.claims, {}
        refused = self._insert(claims)
        if refused:
            raise KeyTakenError(IdentityKey(*next(iter(refused))))

    def _insert(self, claims: Mapping[tuple[str, str], tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
        """Write these claims; returns those that another resource holds, with that resource."""
        rows = [{"kind": kind, "value": value, "type": type, "id": id} for (kind, value), (type, id) in sorted(claims.items())]
        if not rows:
            return {}
        make = self._work.known("claim keys", lambda: self._work.insert(_K).on_conflict_do_nothing().returning(_K.c.kind, _K.c.value))
        returned = self._work.execute(make, rows)
        made = {(row.kind, row.value) for row in returned}
        refused = self._held([name for name in claims if name not in made])
        return {name: holder for name, holder in refused.items() if holder != claims[name]}

    def _held(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
        waiting = self._work.claims
        held = {name: waiting[name] for name in names if name in waiting} if waiting else {}
        held.update(((row.kind, row.value), (row.type, row.id)) for row in _FIND.rows(self._work, [name for name in names if name not in held]))
        return held
