"""The store's errors in the tree the edges know. One table, one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fhir_gateway.errors import ConflictError, GatewayError, InvalidError, NotFoundError, NotOpenError, PreconditionError, UnknownParameterError
from fhir_gateway.store import errors as store

TABLE: Final[tuple[tuple[type[store.StoreError], type[GatewayError]], ...]] = (
    (store.NotFoundError, NotFoundError),
    (store.VersionConflictError, PreconditionError),
    (store.NotOpenError, NotOpenError),
    (store.IdTakenError, ConflictError),
    (store.InboxStateError, ConflictError),
    (store.AmbiguousCaseError, ConflictError),
    (store.ConflictError, ConflictError),
    (store.SearchError, UnknownParameterError),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the gateway's error for the store's, but for those after which the same is done again."""
    try:
        yield
    except (store.TransientConflict, store.StepsSpentError):
        raise
    except store.StoreError as fault:
        for kind, error in TABLE:
            if isinstance(fault, kind):
                raise error(str(fault)) from fault
        raise InvalidError(str(fault)) from fault
