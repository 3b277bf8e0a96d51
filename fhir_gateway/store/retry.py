"""Which database errors mean "another transaction was in the way, start over", on each database."""

from __future__ import annotations

import random
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError

from fhir_gateway.store.errors import TransientConflict

ATTEMPTS: Final = 8
"""Tries before a conflict is reported. With two writers on one key the second try succeeds; the rest is for deadlocks under load."""
# PostgreSQL, appendix A: serialization_failure, deadlock_detected, unique_violation; lock_not_available after `engine.WAIT_SECONDS`.
_STATES_PASSING: Final = frozenset({"40001", "40P01", "23505"})
_STATE_WAITED: Final = "55P03"
# sqlite3.h: the two unique violations; SQLITE_BUSY after the same time (the primary code is the low byte).
_CODES_PASSING: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_CODES_WAITED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_transient(error: BaseException) -> bool:
    """Would the same work, done again, be likely to succeed?"""
    if isinstance(error, TransientConflict):
        return True
    state, code = _codes(error)
    return state in _STATES_PASSING or code in _CODES_PASSING


def has_waited(error: BaseException) -> bool:
    """Did the database give up after the whole time that a writer waits for others? Doing it again would only wait again."""
    state, code = _codes(error)
    return state == _STATE_WAITED or (code is not None and code & 0xFF in _CODES_WAITED)


def _codes(error: BaseException) -> tuple[str | None, int | None]:
    original = error.orig if isinstance(error, DBAPIError) else None
    return getattr(original, "sqlstate", None), getattr(original, "sqlite_errorcode", None)


def pause(attempt: int) -> float:
    """Seconds to wait before try number `attempt` (from 1): doubling from 5 ms, with full jitter so that two losers do not meet again."""
    return random.uniform(0, 0.005 * 2**attempt)  # noqa: S311 - not a secret
