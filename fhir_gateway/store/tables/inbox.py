"""The inbox: everything that arrived, byte for byte, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Bytes, JsonText, Key, Long, UtcTime


class InboxRow(SQLModel, table=True):
    """One message or Bundle. raw: all of it, or its first 64 KiB when it was over a limit (size and content_hash are of the whole).

    id is time-ordered (UUIDv7), so order by id is order of arrival. mapping: edition of the rules and tables it was last mapped with. ledger: how many
    fields went where; report: where each of them went, packed. kept: digest of the set of fields no element took (`kept_field`).
    role, agent: under which role it was sent, and who sent it; None for what came before that was kept.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        Index(
            "uq_inbox_control",
            "sender",
            "control_id",
            "content_hash",
            unique=True,
            sqlite_where=text("control_id IS NOT NULL"),
            postgresql_where=text("control_id IS NOT NULL"),
        ),
        Index("ix_inbox_state", "state", "id"),
        Index("ix_inbox_kept", "kept", "id", sqlite_where=text("kept IS NOT NULL"), postgresql_where=text("kept IS NOT NULL")),
    )

    id: str = Field(primary_key=True, sa_type=Key)
    received_at: datetime = Field(sa_type=UtcTime)
    channel: str = Field(sa_type=Key)
    sender: str = Field(sa_type=Key)
    control_id: str | None = Field(default=None, sa_type=Key)
    message_type: str = Field(sa_type=Key)
    content_hash: str = Field(sa_type=Key)
    size: int = Field(sa_type=Long)
    charset: str = Field(sa_type=Key)
    owner: str = Field(sa_type=Key)
    role: str | None = Field(default=None, sa_type=Key)
    agent: str | None = Field(default=None, sa_type=Key)
    state: str = Field(sa_type=Key)
    attempts: int
    settled_at: datetime | None = Field(default=None, sa_type=UtcTime)
    mapping: str = Field(sa_type=Key)
    findings: Any = Field(default=None, sa_type=JsonText, nullable=True)
    ledger: Any = Field(default=None, sa_type=JsonText, nullable=True)
    report: bytes | None = Field(default=None, sa_type=Bytes)
    kept: str | None = Field(default=None, sa_type=Key)
    answer: bytes | None = Field(default=None, sa_type=Bytes)
    answer_type: str | None = Field(default=None, sa_type=Key)
    raw: bytes = Field(sa_type=Bytes)
