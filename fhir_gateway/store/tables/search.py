"""Search rows: the values of a resource's search parameters, one table per kind of value.

`resource` and `n` (a running number) are the primary key, so a resource's rows lie together and are removed in one range; the other indexes begin with
the parameter (`Patient.identifier`, which implies the type) and end with the resource, so results come in order without sorting. `element`, NULL for
most: rows of one resource with the same number are of the same repetition of an element in which parts of a composite parameter meet.
"""

from __future__ import annotations

from sqlalchemy import Double, Index, text
from sqlmodel import Field, SQLModel

from fhir_gateway.store.columns import Key, Long, Serial


class TokenRow(SQLModel, table=True):
    """Coded values, identifiers and uris. system: NULL where the element implies it (code, boolean, uri), "" where the sender gave none. text: what stands
    beside the code, folded; without an index, since it is asked for together with something else.
    """

    __tablename__ = "search_token"
    __table_args__ = (
        Index("ix_search_token_code", "param", "code", "resource", "system"),
        Index(
            "ix_search_token_system",
            "param",
            "system",
            "resource",
            sqlite_where=text("system IS NOT NULL"),
            postgresql_where=text("system IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    n: int = Field(primary_key=True)
    param: str = Field(sa_type=Key)
    system: str | None = Field(default=None, sa_type=Key)
    code: str = Field(sa_type=Key)
    text: str | None = Field(default=None, sa_type=Key)
    element: int | None = None


class StringRow(SQLModel, table=True):
    """Text, folded for case and accents; `exact` as written."""

    __tablename__ = "search_string"
    __table_args__ = (Index("ix_search_string_folded", "param", "folded", "resource"), {"sqlite_with_rowid": False})

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    n: int = Field(primary_key=True)
    param: str = Field(sa_type=Key)
    folded: str = Field(sa_type=Key)
    exact: str = Field(sa_type=Key)


class ReferenceRow(SQLModel, table=True):
    """References; target_type is "" for one that names no type (an absolute address elsewhere, a canonical), target then being the whole of it."""

    __tablename__ = "search_reference"
    __table_args__ = (Index("ix_search_reference_target", "param", "target", "resource", "target_type"), {"sqlite_with_rowid": False})

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    n: int = Field(primary_key=True)
    param: str = Field(sa_type=Key)
    target_type: str = Field(sa_type=Key)
    target: str = Field(sa_type=Key)
    element: int | None = None


class DateRow(SQLModel, table=True):
    """Dates, times and periods as the range of microseconds since 1970 (UTC) that they may lie in, both ends included."""

    __tablename__ = "search_date"
    __table_args__ = (
        Index("ix_search_date_low", "param", "low", "resource", "high"),
        Index("ix_search_date_high", "param", "high", "resource", "low"),
        {"sqlite_with_rowid": False},
    )

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    n: int = Field(primary_key=True)
    param: str = Field(sa_type=Key)
    low: int = Field(sa_type=Long)
    high: int = Field(sa_type=Long)


class QuantityRow(SQLModel, table=True):
    """Numbers and quantities as the range they may lie in. system, code, unit: NULL for a number, "" for what was not said."""

    __tablename__ = "search_quantity"
    __table_args__ = (
        Index("ix_search_quantity_low", "param", "low", "resource", "high"),
        Index("ix_search_quantity_high", "param", "high", "resource", "low"),
        {"sqlite_with_rowid": False},
    )

    resource: int = Field(primary_key=True, foreign_key="resource.pk", sa_type=Serial)
    n: int = Field(primary_key=True)
    param: str = Field(sa_type=Key)
    low: float = Field(sa_type=Double)
    high: float = Field(sa_type=Double)
    system: str | None = Field(default=None, sa_type=Key)
    code: str | None = Field(default=None, sa_type=Key)
    unit: str | None = Field(default=None, sa_type=Key)
    element: int | None = None
