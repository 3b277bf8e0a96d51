"""When a payer that does not answer is left alone: a circuit breaker as a function of what happened and when.

Closed while it answers; after THRESHOLD failures in a row it rests, then one question is let through to see; each further failure doubles the rest.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

THRESHOLD: Final = 3
FIRST_REST: Final = timedelta(minutes=1)
LONGEST_REST: Final = timedelta(hours=1)


def rests(failures: int, rests_until: datetime | None, now: datetime) -> datetime | None:
    """Until when nothing may be asked; None when a question may go."""
    return rests_until if failures >= THRESHOLD and rests_until is not None and now < rests_until else None


def probing(failures: int) -> bool:
    """Is the next question the one that finds out whether the payer is back? While it is under way no other may go."""
    return failures >= THRESHOLD


def after_failure(failures: int, now: datetime, told: float | None = None) -> tuple[int, datetime | None]:
    """(failures, rests until) once one more question got no answer. told: seconds the payer itself wants to be left alone for (Retry-After)."""
    failures += 1
    if failures < THRESHOLD and not told:
        return failures, None
    failures = max(failures, THRESHOLD)
    rest = min(LONGEST_REST, FIRST_REST * 2 ** min(failures - THRESHOLD, 10))
    return failures, now + (min(LONGEST_REST, max(rest, timedelta(seconds=min(told, 86400)))) if told else rest)
