"""A resource as stored, and its canonical JSON: the text as received or mapped, with id and meta set by the store.

Decimals keep every digit (`0.40` stays `0.40`); key order is kept, resourceType, id and meta come first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from mappers.result import Clock

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)

Json = dict[str, Any]


def encode(value: Any) -> bytes:
    """JSON text with decimals as numbers, digit for digit."""
    return _ENCODER.encode(value)


def decode(body: bytes) -> Json:
    """JSON with every non-integer number as Decimal. Raises msgspec.DecodeError."""
    value: Json = _DECODER.decode(body)
    return value


def instant(moment: datetime) -> str:
    """`meta.lastUpdated`: UTC, to the millisecond (what Java clients can hold)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> datetime:
    """The moment cut to the millisecond, so that the column and `meta.lastUpdated` agree."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def stamp(resource: Json, id: str, version: int, moment: datetime) -> Json:
    """A copy with id, meta.versionId and meta.lastUpdated set and everything else as given."""
    meta: Json = {"versionId": str(version), "lastUpdated": instant(moment)}
    given = resource.get("meta")
    if isinstance(given, dict):
        meta.update((key, value) for key, value in given.items() if key not in meta)
    stamped: Json = {"resourceType": resource["resourceType"], "id": id, "meta": meta}
    stamped.update((key, value) for key, value in resource.items() if key not in stamped)
    return stamped


class Stored:
    """One version of one resource.

    body: canonical JSON text. owner: the organisation that created it ("" for the clinic's own). inbox_id: the message that wrote this
    version, if any. A deleted resource is a version with `deleted` set and no content but type, id and meta.
    """

    __slots__ = ("_resource", "body", "clock", "deleted", "id", "inbox_id", "last_updated", "owner", "type", "version")

    def __init__(
        self,
        type: str,
        id: str,
        version: int,
        last_updated: datetime,
        deleted: bool,
        owner: str,
        body: bytes,
        clock: Clock,
        inbox_id: str | None,
        resource: Json | None = None,
    ) -> None:
        self.type, self.id, self.version, self.last_updated = type, id, version, last_updated
        self.deleted, self.owner, self.body, self.clock, self.inbox_id = deleted, owner, body, clock, inbox_id
        self._resource = resource

    @property
    def resource(self) -> Json:
        """The decoded resource, decoded once. Not to be changed in place: copy what you change."""
        if self._resource is None:
            self._resource = decode(self.body)
        return self._resource

    @property
    def reference(self) -> str:
        """`Type/id`."""
        return f"{self.type}/{self.id}"

    def __repr__(self) -> str:
        return f"Stored({self.type}/{self.id}/_history/{self.version}{', deleted' if self.deleted else ''})"
