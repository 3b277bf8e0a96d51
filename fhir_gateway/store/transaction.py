"""A transaction (or snapshot) as one principal sees it: the store's verbs, grouped by what they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import history
from fhir_gateway.store.audit import Audit
from fhir_gateway.store.cases import Cases
from fhir_gateway.store.codes import Codes
from fhir_gateway.store.compartment import scope
from fhir_gateway.store.identities import Identities
from fhir_gateway.store.inbox import Inbox
from fhir_gateway.store.keys import Keys
from fhir_gateway.store.outbox import Outbox
from fhir_gateway.store.partners import Partners
from fhir_gateway.store.payers import Payers
from fhir_gateway.store.payerview import search as payerview
from fhir_gateway.store.payerview.released import Shares
from fhir_gateway.store.payerview.resources import NoKeys, PayerResources
from fhir_gateway.store.resources import Resources
from fhir_gateway.store.search import Page, SearchQuery, labels, page
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work

T = TypeVar("T")


class lazy(Generic[T]):
    """An attribute made when it is first asked for. `functools.cached_property` takes a lock each time, and a transaction belongs to one thread."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, holder: Any, _owner: type) -> T:
        made = holder.__dict__[self._name] = self._make(holder)
        return made


class Transaction:
    """resources, keys, inbox, codes, cases, identities, outbox, partners, payers, shares, audit: see the class of each, made when it is first asked for.
    Not to be used after its `with` block.
    """

    def __init__(self, work: Work, principal: Principal) -> None:
        self._work = work
        self.principal = principal
        self._payer = principal.role == "payer"

    @lazy
    def resources(self) -> Resources:
        return PayerResources(self._work, self.principal) if self._payer else Resources(self._work, self.principal)

    @lazy
    def keys(self) -> Keys:
        return NoKeys(self._work) if self._payer else Keys(self._work)

    @lazy
    def inbox(self) -> Inbox:
        return Inbox(self._work, self.principal)

    @lazy
    def codes(self) -> Codes:
        return Codes(self._work)

    @lazy
    def cases(self) -> Cases:
        return Cases(self._work, self.principal)

    @lazy
    def identities(self) -> Identities:
        return Identities(self._work, scope(self.principal))

    @lazy
    def outbox(self) -> Outbox:
        return Outbox(self._work)

    @lazy
    def partners(self) -> Partners:
        return Partners(self._work)

    @lazy
    def shares(self) -> Shares:
        return Shares(self._work, self.principal)

    @lazy
    def payers(self) -> Payers:
        return Payers(self._work)

    @lazy
    def audit(self) -> Audit:
        return Audit(self._work, self.principal)

    def on_behalf_of(self, principal: Principal) -> Transaction:
        """The same transaction, seen by another principal: the gateway judges a case from all of its records although a referrer sent the message."""
        return Transaction(self._work, principal)

    def written(self) -> list[Stored]:
        """Every resource this transaction has written so far, each in its latest version, in the order of the first write."""
        return list(self._work.written.values())

    def search(self, type: str, query: SearchQuery) -> Page:
        """One page of a search on a type, as this principal sees it. Raises CursorError, NotOpenError."""
        if query.type != type:
            raise ValueError(f"a query on {query.type} cannot search {type}")
        return payerview.search(self._work, self.principal, query) if self._payer else page.run(self._work, self.principal, query)

    def labels(self, types: Iterable[str]) -> list[labels.Label]:
        """The profiles, tags and security labels in use on resources of these types that this principal sees."""
        return labels.labels(self._work, self.principal, types)

    def history(self, query: history.HistoryQuery) -> history.HistoryPage:
        """One page of what was written, newest first, as this principal sees it. Raises CursorError, NotOpenError."""
        return payerview.history(self._work, self.principal, query) if self._payer else history.run(self._work, self.principal, query)

    def lock(self, name: str) -> None:
        """Hold a name until the transaction ends; another transaction asking for it waits. For conditions no identity key covers."""
        self._work.now  # noqa: B018 - a snapshot holds nothing
        self._work.lock([name])
