"""Days as the clinic counts them: partial FHIR dates, month ends, business days, and the instant a day begins."""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple

PARTIAL: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")
SATURDAY: Final = 5


class Span(NamedTuple):
    """The days a FHIR date may mean: `2026-03` is 1 to 31 March. Equal ends when the day is known."""

    low: date
    high: date


def span(value: Any, zone: tzinfo) -> Span | None:
    """A FHIR date, dateTime or instant as days in the clinic's zone; None when absent or not a date.

    A time with an offset is moved to the clinic's zone; a time without one is taken as written.
    """
    if not isinstance(value, str):
        return None
    try:
        partial = PARTIAL.match(value)
        if partial:
            return _partial(*(int(part) if part else None for part in partial.groups()))
        moment = datetime.fromisoformat(value)
        day = (moment.astimezone(zone) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        return None
    return Span(day, day)


def _partial(year: int | None, month: int | None, day: int | None) -> Span:
    assert year is not None
    if month is None:
        return Span(date(year, 1, 1), date(year, 12, 31))
    if day is None:
        return Span(date(year, month, 1), month_end(date(year, month, 1)))
    return Span(date(year, month, day), date(year, month, day))


def instant(value: Any) -> datetime | None:
    """A FHIR instant or dateTime with an offset, or None."""
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def month_end(day: date) -> date:
    """The last day of `day`'s month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


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


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant `day` begins in the clinic's zone, in UTC."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return datetime.combine(day, time(), UTC)
