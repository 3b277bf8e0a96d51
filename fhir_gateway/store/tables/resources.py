"""Resources: the current version of each, its older versions, who else wrote to it, and the names it is known by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Bytes, Key, Serial, UtcTime


class ResourceRow(SQLModel, table=True):
    """The current version of one resource; a deleted resource keeps its row."""

    __tablename__ = "resource"
    __table_args__ = (
        UniqueConstraint("type", "id", name="uq_resource_type_id"),
        Index("ix_resource_type_last_updated", "type", "last_updated", "pk"),
        Index("ix_resource_clinics_own", "type", "owner", "id", "version", sqlite_where=text("owner = ''"), postgresql_where=text("owner = ''")),
    )

    pk: int | None = Field(default=None, primary_key=True, sa_type=Serial)
    type: str = Field(sa_type=Key)
    id: str = Field(sa_type=Key)
    version: int
    last_updated: datetime = Field(sa_type=UtcTime)
    deleted: bool
    owner: str = Field(sa_type=Key)
    inbox_id: str | None = Field(default=None, sa_type=Key)
    clock_clinical: str = Field(sa_type=Key)
    clock_message: str = Field(sa_type=Key)
    clock_rank: int
    body: bytes = Field(sa_type=Bytes)


class VersionRow(SQLModel, table=True):
    """An older version, moved here when a newer one took its place."""

    __tablename__ = "resource_version"
    __table_args__ = (Index("ix_resource_version_last_updated", "last_updated", "resource", "version"),)

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    version: int = Field(primary_key=True)
    last_updated: datetime = Field(sa_type=UtcTime)
    deleted: bool
    inbox_id: str | None = Field(default=None, sa_type=Key)
    clock_clinical: str = Field(sa_type=Key)
    clock_message: str = Field(sa_type=Key)
    clock_rank: int
    body: bytes = Field(sa_type=Bytes)


class ContributorRow(SQLModel, table=True):
    """An organisation other than the owner that wrote to the resource, and so may see it."""

    __tablename__ = "resource_contributor"
    __table_args__ = ({"sqlite_with_rowid": False},)

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    organisation: str = Field(primary_key=True, sa_type=Key)


class IdentityKeyRow(SQLModel, table=True):
    """One name one resource is known by. The primary key is the promise that no two resources share it."""

    __tablename__ = "identity_key"
    __table_args__ = (Index("ix_identity_key_resource", "type", "id"), {"sqlite_with_rowid": False})

    kind: str = Field(primary_key=True, sa_type=Key)
    value: str = Field(primary_key=True, sa_type=Key)
    type: str = Field(sa_type=Key)
    id: str = Field(sa_type=Key)
