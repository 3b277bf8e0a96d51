"""What a payer is shown: one row per resource and payer, and what staff have released to one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Serial, UtcTime


class PayerShareRow(SQLModel, table=True):
    """This payer is shown this resource. Derived, and rebuilt by reindex. patient_id: the Patient it is about, by whom the rows are kept up."""

    __tablename__ = "payer_share"
    __table_args__ = (Index("ix_payer_share_resource", "resource"), Index("ix_payer_share_patient", "patient_id"), {"sqlite_with_rowid": False})

    payer: str = Field(primary_key=True, sa_type=Key)
    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    patient_id: str = Field(sa_type=Key)


class PayerReleaseRow(SQLModel, table=True):
    """A document released to a payer for a case: on whose word, and when."""

    __tablename__ = "payer_release"
    __table_args__ = (Index("ix_payer_release_resource", "resource"), {"sqlite_with_rowid": False})

    payer: str = Field(primary_key=True, sa_type=Key)
    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    service_request_id: str = Field(primary_key=True, foreign_key="referral_case.service_request_id", sa_type=Key)
    released_by: str = Field(sa_type=Key)
    released_at: datetime = Field(sa_type=UtcTime)
