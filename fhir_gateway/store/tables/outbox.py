"""The outbox: what is still to be done after the commit, each thing once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import JsonText, Key, Serial, UtcTime


class OutboxRow(SQLModel, table=True):
    """One thing to do. key: its name, unique, so that nothing is queued twice. A worker holds it until lease_until.

    lane: things of one lane are done one after the other, in the order they were queued; "" for things that wait for nothing but their time.
    """

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
            "ix_outbox_lane",
            "lane",
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
    lane: str = Field(default="", sa_type=Key, sa_column_kwargs={"server_default": ""})
    payload: Any = Field(default=None, sa_type=JsonText, nullable=True)
    queued_at: datetime = Field(sa_type=UtcTime)
    due_at: datetime = Field(sa_type=UtcTime)
    attempts: int
    lease_until: datetime | None = Field(default=None, sa_type=UtcTime)
    lease_owner: str | None = Field(default=None, sa_type=Key)
    state: str = Field(sa_type=Key)
    last_error: str | None = Field(default=None, sa_type=Key)
