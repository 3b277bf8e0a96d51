"""Column types: what SQLite and PostgreSQL spell differently, settled once.

Text that is compared or sorted uses code-point order on both (PostgreSQL collation "C"), so prefix ranges are plain index ranges.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, DateTime, Integer, LargeBinary, String, Text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class Serial(TypeDecorator[int]):
    """A 64-bit surrogate key; INTEGER on SQLite, where only that is the rowid."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())


class Long(TypeDecorator[int]):
    """A 64-bit number (microseconds, sizes)."""

    impl = BigInteger
    cache_ok = True


class Key(TypeDecorator[str]):
    """Text that is looked up or sorted: code-point order on both databases."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else String(collation="C"))


class UtcTime(TypeDecorator[datetime]):
    """An aware instant, stored in UTC and read back aware; a naive one is a programming error."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the store takes aware datetimes only")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Any:
        """In one step on SQLite, which holds the text that SQLAlchemy's own two steps would make: a message binds and reads many instants."""
        return _instant_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """As `bind_processor`."""
        return _instant_of if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _instant_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("the store takes aware datetimes only")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _instant_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class JsonText(TypeDecorator[Any]):
    """Any JSON as text; escapes keep it free of the NUL that PostgreSQL text cannot hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _ENCODER.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


class Bytes(TypeDecorator[bytes]):
    """Raw bytes, read back as `bytes` whatever the driver returns."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)
