"""What can go wrong in the store, as types; the edges put each into their own language.

    StoreError
    ├── DatabaseUrlError        a database address the store cannot serve
    ├── ReadOnlyError           a write was asked of a snapshot
    ├── NotFoundError           an update or delete of a resource that does not exist for this principal
    ├── IdTakenError            a create under an id that is held already (visible or not)
    ├── VersionConflictError    the version expected is not the current one (If-Match)
    ├── NotOpenError            what a payer may not ask or do, whatever is held (so that the refusal tells nothing)
    ├── InboxStateError         an inbox entry cannot move from the state it is in
    ├── AmbiguousCaseError      an identifier names several cases
    ├── StepsSpentError         a snapshot for brief work was asked for more than that
    ├── ConflictError           still in conflict with other writers after every retry
    ├── TransientConflict       lost a race; `Store.run` starts over, nobody else sees it
    │   ├── KeyTakenError       another transaction claimed the identity key first
    │   └── RaceLostError       another transaction wrote the same row first
    └── SearchError             a search that cannot be answered as asked
        ├── UnknownParameterError
        ├── UnknownModifierError
        ├── SearchValueError
        └── CursorError

No text here quotes a stored or searched value: values may be about a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mappers.result import IdentityKey


class StoreError(Exception):
    """Anything the store refuses."""


class DatabaseUrlError(StoreError):
    """The database address is of a kind the store does not serve: a SQLite file or PostgreSQL is needed."""


class ReadOnlyError(StoreError):
    """A write was asked of a snapshot: use a transaction."""


class StepsSpentError(StoreError):
    """What was asked of a snapshot takes more of the database than the snapshot was given: ask for it again where it may take its time."""


class NotFoundError(StoreError):
    """No such resource, or none that the principal may know of."""

    def __init__(self, type: str, id: str) -> None:
        super().__init__(f"There is no {type}/{id}")
        self.type, self.id = type, id


class IdTakenError(StoreError):
    """The id is in use for this type, perhaps by a resource the principal may not see."""

    def __init__(self, type: str, id: str) -> None:
        super().__init__(f"The id {type}/{id} is taken")
        self.type, self.id = type, id


class VersionConflictError(StoreError):
    """The resource has moved on since the version the writer saw."""

    def __init__(self, type: str, id: str, expected: int, current: int) -> None:
        super().__init__(f"{type}/{id} is at version {current}, not {expected}")
        self.type, self.id, self.expected, self.current = type, id, expected, current


class NotOpenError(StoreError):
    """What a payer may not ask or do, whatever is held: the refusal depends on the question alone."""


class InboxStateError(StoreError):
    """An inbox entry may not move from the state it is in (a discarded message is not retried, a processed one not discarded)."""

    def __init__(self, id: str, state: str, wanted: str) -> None:
        super().__init__(f"Inbox entry {id} is {state} and cannot become {wanted}")
        self.id, self.state, self.wanted = id, state, wanted


class AmbiguousCaseError(StoreError):
    """An identifier names several cases; `ids` are their ServiceRequests."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(f"The identifier names {len(ids)} cases: say which, by ServiceRequest id")
        self.ids = tuple(ids)


class ConflictError(StoreError):
    """Other writers kept getting in the way; nothing was written and the same request may be sent again."""


class TransientConflict(StoreError):
    """Lost a race against another transaction; starting over will find what the other one wrote."""


class KeyTakenError(TransientConflict):
    """The identity key belongs to another resource."""

    def __init__(self, key: IdentityKey) -> None:
        super().__init__(f"An identity key of kind {key.kind} is taken")
        self.key = key


class RaceLostError(TransientConflict):
    """Another transaction created or changed the row between reading and writing it."""


class SearchError(StoreError):
    """A search that cannot be answered as asked; `parameter` is the name at fault, as sent."""

    def __init__(self, text: str, parameter: str = "") -> None:
        super().__init__(text)
        self.parameter = parameter


class UnknownParameterError(SearchError):
    """No such search parameter on this type; `nearest` are the right names most like it."""

    def __init__(self, type: str, parameter: str, nearest: Sequence[str]) -> None:
        suggestion = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
        super().__init__(f"{type} has no search parameter {parameter!r}{suggestion}", parameter)
        self.type, self.nearest = type, tuple(nearest)


class UnknownModifierError(SearchError):
    """The parameter exists but not with this modifier; `allowed` are those it takes."""

    def __init__(self, parameter: str, modifier: str, allowed: Sequence[str]) -> None:
        names = ", ".join(f":{name}" for name in allowed) or "none"
        super().__init__(f"The search parameter {parameter!r} does not take the modifier {modifier!r} (it takes: {names})", parameter)
        self.modifier, self.allowed = modifier, tuple(allowed)


class SearchValueError(SearchError):
    """A search value that is not of its parameter's kind (a date that is none, a count that is no number)."""


class CursorError(SearchError):
    """A paging cursor that was not made for this search."""
