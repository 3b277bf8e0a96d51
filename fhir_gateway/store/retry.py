"""Which database errors mean "another transaction was in the way, start over", on each database."""

from __future__ import annotations

import random
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError

from fhir_gateway.store.errors import TransientConflict

ATTEMPTS: Final = 8
"""Tries before a conflict is reported. With two writers on one key the second try succeeds; the rest is for deadlocks under load."""
# PostgreSQL, appendix A: serialization_failure, deadlock_detected, unique_violation, lock_not_available.
_SQLSTATES: Final = frozenset({"40001", "40P01", "23505", "55P03"})
# sqlite3.h: SQLITE_BUSY, SQLITE_LOCKED and the two unique violations; the primary code is the low byte.
_SQLITE_PRIMARY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_UNIQUE: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def is_transient(error: BaseException) -> bool:
    """Would the same work, done again, be likely to succeed?"""
    if isinstance(error, TransientConflict):
        return True
    if not isinstance(error, DBAPIError):
        return False
    original = error.orig
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return state in _SQLSTATES
    code = getattr(original, "sqlite_errorcode", None)
    return code is not None and (code in _SQLITE_UNIQUE or code & 0xFF in _SQLITE_PRIMARY)


def pause(attempt: int) -> float:
    """Seconds to wait before try number `attempt` (from 1): doubling from 5 ms, with full jitter so that two losers do not meet again."""
    return random.uniform(0, 0.005 * 2**attempt)  # noqa: S311 - not a secret
