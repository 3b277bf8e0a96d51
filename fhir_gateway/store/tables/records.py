"""Records: which patient a record-type resource is about and which referrals it names, over time.

A projection of the resources, rebuilt by `reindex`. A row holds from `since` until `until` (NULL: still), so a case can be read as it stood on a day.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Serial, UtcTime


class RecordRow(SQLModel, table=True):
    """One stretch of time in which a record was about one patient and named the same referrals. orphan: no case has taken it in yet.

    expired: when an orphan was given up: it is offered to nobody and matched with nobody any more (ADR 0015). SQLite uses a partial index only for
    the very words of its condition, and a boolean is asked for as `= 1` there.
    """

    __tablename__ = "record"
    __table_args__ = (
        Index("ix_record_patient", "patient_id", "resource"),
        Index("ix_record_resource", "resource"),
        Index(
            "ix_record_orphan",
            "pk",
            sqlite_where=text("orphan = 1 AND until IS NULL"),
            postgresql_where=text("orphan AND until IS NULL"),
        ),
        Index(
            "ix_record_waiting",
            "since",
            sqlite_where=text("orphan = 1 AND until IS NULL AND expired IS NULL"),
            postgresql_where=text("orphan AND until IS NULL AND expired IS NULL"),
        ),
    )

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    resource: int = Field(foreign_key="resource.pk", sa_type=Serial)
    patient_id: str | None = Field(default=None, sa_type=Key)
    since: datetime = Field(sa_type=UtcTime)
    until: datetime | None = Field(default=None, sa_type=UtcTime)
    orphan: bool
    expired: datetime | None = Field(default=None, sa_type=UtcTime)


class RecordLinkRow(SQLModel, table=True):
    """One name a record calls a referral by (see `fhir_gateway.store.links`). strong: it can mean one referral only."""

    __tablename__ = "record_link"
    __table_args__ = (Index("ix_record_link_key", "key", "record"), {"sqlite_with_rowid": False})

    record: int = Field(primary_key=True, foreign_key="record.pk", sa_type=Serial)
    key: str = Field(primary_key=True, sa_type=Key)
    strong: bool
