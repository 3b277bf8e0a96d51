"""The store: resources, search, identity keys, inbox, cases, outbox, on SQLite and PostgreSQL.

    store = Store("sqlite:///gateway.db")
    store.upgrade()
    with store.transaction(principal, now) as tx:
        stored = tx.resources.create(resource)

No SQL is written above this package, and no FHIR rule lives inside it.
"""

from __future__ import annotations

from fhir_gateway.store.attachment import RecordOf
from fhir_gateway.store.audit import Act
from fhir_gateway.store.cases import Case, CaseItem
from fhir_gateway.store.codes import LocalCode
from fhir_gateway.store.database import Store
from fhir_gateway.store.inbox import InboxEntry, InboxLine, content_hash
from fhir_gateway.store.keys import Holder
from fhir_gateway.store.outbox import Job, JobLine
from fhir_gateway.store.partners import Partner
from fhir_gateway.store.payers import Circuit, PayerDocument
from fhir_gateway.store.statistics import Statistics
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.transaction import Transaction

__all__ = [
    "Act",
    "Case",
    "CaseItem",
    "Circuit",
    "Holder",
    "InboxEntry",
    "InboxLine",
    "Job",
    "JobLine",
    "LocalCode",
    "Partner",
    "PayerDocument",
    "RecordOf",
    "Statistics",
    "Store",
    "Stored",
    "Transaction",
    "content_hash",
]
