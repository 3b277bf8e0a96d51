"""Which fields of a message no element took, and which of its codes no table translates: kept so that a question about them is a look-up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Serial, UtcTime


class KeptFieldRow(SQLModel, table=True):
    """One field of a set of fields that were kept beside their elements. Messages of one sender leave the same few sets, so a message names its set."""

    __tablename__ = "kept_field"
    __table_args__ = (Index("ix_kept_field_field", "field", "digest"), {"sqlite_with_rowid": False})

    digest: str = Field(primary_key=True, sa_type=Key)
    field: str = Field(primary_key=True, sa_type=Key)


class LocalCodeRow(SQLModel, table=True):
    """One code of one sender that no table translated. map: key of the ConceptMap, or the URI of the sender's code system. task: for whoever resolves it;
    ended: that Task is completed. A row stays when the code is resolved; what waits for it is in `waiting`.
    """

    __tablename__ = "local_code"
    __table_args__ = (UniqueConstraint("sender", "map", "code", name="uq_local_code"),)

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    sender: str = Field(sa_type=Key)
    map: str = Field(sa_type=Key)
    code: str = Field(sa_type=Key)
    display: str = Field(sa_type=Key)
    field: str = Field(sa_type=Key)
    since: datetime = Field(sa_type=UtcTime)
    task: str | None = Field(default=None, sa_type=Key)
    ended: bool


class WaitingRow(SQLModel, table=True):
    """A message in which a code stood untranslated when it was last mapped."""

    __tablename__ = "waiting"
    __table_args__ = (Index("ix_waiting_inbox", "inbox"), {"sqlite_with_rowid": False})

    code: int = Field(primary_key=True, foreign_key="local_code.pk", sa_type=Serial)
    inbox: str = Field(primary_key=True, sa_type=Key)
