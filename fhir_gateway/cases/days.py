"""Days as the clinic counts them: partial FHIR dates, month ends and the instant a day begins (`profiles.days`), and business days."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, Final

from profiles.days import Span as Span
from profiles.days import midnight as midnight
from profiles.days import month_end as month_end
from profiles.days import span as span

SATURDAY: Final = 5


def instant(value: Any) -> datetime | None:
    """A FHIR instant or dateTime with an offset, or None; also for one of the first or last year there is, which can't be told in every zone."""
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo and date.min.year < moment.year < date.max.year else None


def plus(day: date, days: int) -> date:
    """`day` moved by `days`, held inside the calendar Python knows (years 1 to 9999)."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min


def business_days_before(day: date, days: int, holidays: Collection[date]) -> date:
    """The day `days` business days before `day`; weekends and `holidays` do not count. 0 gives `day` itself."""
    while days > 0 and day > date.min:
        day = plus(day, -1)
        if day.weekday() < SATURDAY and day not in holidays:
            days -= 1
    return day
