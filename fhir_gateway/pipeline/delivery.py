"""One thing to carry to a partner, in bytes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Delivery:
    """channel: http (POST to `address`) or mllp (`address` is host:port). headers: of the HTTP request. tls: MLLP over TLS."""

    channel: Literal["http", "mllp"]
    address: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a sending. final: trying again would not help. error: what went wrong, without patient data."""

    good: bool
    error: str = ""
    final: bool = False


class Unsendable(Exception):
    """What is asked can't be sent at all; its words say why, for whoever asked."""
