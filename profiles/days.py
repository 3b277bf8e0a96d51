"""The days a FHIR date, dateTime or instant may mean in a calendar. FHIR R4 datatypes.html#date."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Final, NamedTuple

PARTIAL: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")


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


def month_end(day: date) -> date:
    """The last day of `day`'s month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant `day` begins in a zone, in UTC."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return datetime.combine(day, time(), UTC)


def _partial(year: int | None, month: int | None, day: int | None) -> Span:
    assert year is not None
    if month is None:
        return Span(date(year, 1, 1), date(year, 12, 31))
    if day is None:
        return Span(date(year, month, 1), month_end(date(year, month, 1)))
    return Span(date(year, month, day), date(year, month, day))
