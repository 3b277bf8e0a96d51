"""The outbox: what is still to be done after the commit, each thing once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import JsonText, Key, Serial, UtcTime


class OutboxRow(SQLModel, table=True):
    """One thing to do. key: its name, unique, so that nothing is queued twice. A worker holds it until lease_until."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_due",
            "due_at",
            "pk",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_outbox_dead",
            "pk",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
        ),
    )

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    kind: str = Field(sa_type=Key)
    key: str = Field(unique=True, sa_type=Key)
    payload: Any = Field(default=None, sa_type=JsonText, nullable=True)
    queued_at: datetime = Field(sa_type=UtcTime)
    due_at: datetime = Field(sa_type=UtcTime)
    attempts: int
    lease_until: datetime | None = Field(default=None, sa_type=UtcTime)
    lease_owner: str | None = Field(default=None, sa_type=Key)
    state: str = Field(sa_type=Key)
    last_error: str | None = Field(default=None, sa_type=Key)
