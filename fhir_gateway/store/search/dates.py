"""FHIR dates as ranges: `2026-03` is every microsecond of that March. Both ends included, microseconds since 1970 in UTC.

FHIR R4 datatypes date, dateTime, instant, Period; search.html#date. A date without a zone is taken as UTC on both sides of a comparison.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

DAY: Final = 86_400_000_000
START_OF_TIME: Final = -(1 << 62)
END_OF_TIME: Final = 1 << 62
_EPOCH: Final = date(1970, 1, 1).toordinal()
_SECOND: Final = 1_000_000
_FORM: Final = re.compile(
    r"(?P<y>\d{4})(?:-(?P<m>\d\d)(?:-(?P<d>\d\d)(?:T(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d)(?:\.(?P<f>\d+))?)?(?P<z>Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


class Range(NamedTuple):
    """From low to high, both included."""

    low: int
    high: int


def range_of(text: str) -> Range | None:
    """The range a date, dateTime or instant may lie in, by its precision; None when it is none of these (month 13, day 32)."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    try:
        first, days = _days(match)
        if match["H"] is None:
            low = (first - _EPOCH) * DAY
            return Range(low, low + days * DAY - 1)
        return _time(match, (first - _EPOCH) * DAY)
    except ValueError:
        return None


def period(value: dict[str, Any]) -> Range | None:
    """A Period: an absent end is open. None when it has neither end or one that is no date."""
    start, end = value.get("start"), value.get("end")
    if not isinstance(start, str) and not isinstance(end, str):
        return None
    low = range_of(start) if isinstance(start, str) else Range(START_OF_TIME, START_OF_TIME)
    high = range_of(end) if isinstance(end, str) else Range(END_OF_TIME, END_OF_TIME)
    return Range(low.low, high.high) if low and high and low.low <= high.high else None


def moment(microseconds: int) -> datetime:
    """The aware datetime of a range's end, as far as datetimes reach."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if microseconds > 0 else datetime.min.replace(tzinfo=UTC)


def _days(match: re.Match[str]) -> tuple[int, int]:
    year = int(match["y"])
    if match["m"] is None:
        return date(year, 1, 1).toordinal(), 366 if _leap(year) else 365
    month = int(match["m"])
    if match["d"] is None:
        first = date(year, month, 1).toordinal()
        return first, 31 if month == 12 else date(year, month + 1, 1).toordinal() - first
    return date(year, month, int(match["d"])).toordinal(), 1


def _time(match: re.Match[str], day: int) -> Range:
    hour, minute, second = int(match["H"]), int(match["M"]), int(match["S"] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("no such time of day")
    low = day + ((hour * 60 + minute) * 60 + second) * _SECOND - _offset(match["z"])
    if match["S"] is None:
        return Range(low, low + 60 * _SECOND - 1)
    if match["f"] is None:
        return Range(low, low + _SECOND - 1)
    fraction = match["f"][:6]
    low += int(fraction.ljust(6, "0"))
    return Range(low, low + 10 ** (6 - len(fraction)) - 1)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such offset")
    return (1 if zone[0] == "+" else -1) * (hours * 60 + minutes) * 60 * _SECOND


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
