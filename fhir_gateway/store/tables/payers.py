"""Payers as the clinic has configured them, and whether each can be reached."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, UtcTime


class PayerRow(SQLModel, table=True):
    """One payer's document (JSON text), which overrides the file of the same name."""

    __tablename__ = "payer"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: str = Field(primary_key=True, sa_type=Key)
    document: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=UtcTime)


class CircuitRow(SQLModel, table=True):
    """A payer that has lately failed to answer: how often in a row, and until when it is left alone. Shared by every process."""

    __tablename__ = "payer_circuit"
    __table_args__ = ({"sqlite_with_rowid": False},)

    payer: str = Field(primary_key=True, sa_type=Key)
    failures: int
    rests_until: datetime | None = Field(default=None, sa_type=UtcTime, nullable=True)


class PayerFilesRow(SQLModel, table=True):
    """Whom the payers' files meant when this database was last served. One row."""

    __tablename__ = "payer_files"
    __table_args__ = ({"sqlite_with_rowid": False},)

    digest: str = Field(primary_key=True, sa_type=Key)
