"""New ids: time-ordered and 128 bits wide (RFC 9562, UUID version 7), so that new rows lie together in every index."""

from __future__ import annotations

import os
import time
from uuid import UUID


def new_id() -> str:
    """A lower-case UUIDv7: 48 bits of milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(UUID(int=value))
