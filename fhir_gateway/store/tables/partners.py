"""Partners: organisations the gateway talks to of its own accord, and how each is reached."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, UtcTime


class PartnerRow(SQLModel, table=True):
    """One organisation, under the name its messages come by (the owner of what it sent)."""

    __tablename__ = "partner"
    __table_args__ = ({"sqlite_with_rowid": False},)

    organisation: str = Field(primary_key=True, sa_type=Key)
    name: str = Field(sa_type=Key)
    fhir_base: str = Field(sa_type=Key)
    mllp_host: str = Field(sa_type=Key)
    mllp_port: int
    mllp_tls: bool
    application: str = Field(sa_type=Key)
    facility: str = Field(sa_type=Key)
    replies: str = Field(sa_type=Key)
    changed_at: datetime = Field(sa_type=UtcTime)
