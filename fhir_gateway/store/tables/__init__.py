"""Every table of the store, by what it holds. Importing this package fills `metadata`.

To change a table: edit its class, then add a migration in `fhir_gateway/store/migrations/versions/` (a test compares the two).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, Table
from sqlmodel import SQLModel

from fhir_gateway.store.tables.audit import AuditRow
from fhir_gateway.store.tables.cases import CaseItemRow, CaseKeyRow, CaseRow
from fhir_gateway.store.tables.codes import KeptFieldRow, LocalCodeRow, WaitingRow
from fhir_gateway.store.tables.identities import PatientLinkRow
from fhir_gateway.store.tables.inbox import InboxRow
from fhir_gateway.store.tables.outbox import OutboxRow
from fhir_gateway.store.tables.partners import PartnerRow
from fhir_gateway.store.tables.payers import CircuitRow, PayerFilesRow, PayerRow
from fhir_gateway.store.tables.records import RecordLinkRow, RecordRow
from fhir_gateway.store.tables.resources import ContributorRow, IdentityKeyRow, ResourceRow, VersionRow
from fhir_gateway.store.tables.search import DateRow, QuantityRow, ReferenceRow, StringRow, TokenRow
from fhir_gateway.store.tables.shares import PayerReleaseRow, PayerShareRow


def _table(model: type[SQLModel]) -> Table:
    table: Any = getattr(model, "__table__")  # noqa: B009 - set by SQLModel at class creation, unknown to type checkers
    assert isinstance(table, Table)
    return table


metadata: MetaData = SQLModel.metadata

resource = _table(ResourceRow)
version = _table(VersionRow)
contributor = _table(ContributorRow)
identity_key = _table(IdentityKeyRow)
token = _table(TokenRow)
string = _table(StringRow)
reference = _table(ReferenceRow)
date = _table(DateRow)
quantity = _table(QuantityRow)
record = _table(RecordRow)
record_link = _table(RecordLinkRow)
patient_link = _table(PatientLinkRow)
inbox = _table(InboxRow)
kept_field = _table(KeptFieldRow)
local_code = _table(LocalCodeRow)
waiting = _table(WaitingRow)
case = _table(CaseRow)
case_item = _table(CaseItemRow)
case_key = _table(CaseKeyRow)
outbox = _table(OutboxRow)
audit = _table(AuditRow)
partner = _table(PartnerRow)
payer_share = _table(PayerShareRow)
payer_release = _table(PayerReleaseRow)
payer = _table(PayerRow)
payer_circuit = _table(CircuitRow)
payer_files = _table(PayerFilesRow)
