"""The audit trail: who did what to which resource, and when. Append only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Serial, UtcTime


class AuditRow(SQLModel, table=True):
    """One act. type and id are empty where the act is not on one resource (a search, a refused sign-in)."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_resource", "type", "id", "pk"),)

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    at: datetime = Field(sa_type=UtcTime)
    role: str = Field(sa_type=Key)
    organisation: str = Field(sa_type=Key)
    name: str = Field(sa_type=Key)
    action: str = Field(sa_type=Key)
    type: str = Field(sa_type=Key)
    id: str = Field(sa_type=Key)
    inbox_id: str | None = Field(default=None, sa_type=Key)
    detail: str = Field(sa_type=Key)
