"""DT, TM, TS, DTM, DR to date, dateTime, instant, time, Period. Precision stays as sent; an offset is never invented.

A time without offset is in the site's zone when that is configured, daylight saving respected; otherwise only its date can be said in FHIR (a
dateTime with time needs an offset), and the original is kept beside it. Instants exist only with date, time and zone.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from mappers.result import Json
from mappers.v2.context import Context, kept
from mappers.v2.datatypes.text import part, subs
from mappers.v2.message import Repetition
from mappers.v2.paths import Primitive
from mappers.v2.table import takes

_DTM: Final = re.compile(
    r"(?!0000)(\d{4})(?:(0[1-9]|1[0-2])(?:(0[1-9]|[12]\d|3[01])(?:([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d)(\.\d+)?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_TM: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d+)?)?)?(?:[+-]\d{4})?", re.ASCII)


LONGEST: Final = 32
"""Times of more characters are read anew each time; those of a message mostly repeat each other, and are remembered."""


class Moment(NamedTuple):
    """A v2 date or time as FHIR text. date: to the precision sent; time: `hh:mm:ss[.ffff]` or ""; offset: `+hh:mm` or "" when none is known."""

    date: str
    time: str
    offset: str

    @property
    def text(self) -> str:
        return f"{self.date}T{self.time}{self.offset}" if self.time and self.offset else self.date

    @property
    def exact(self) -> bool:
        return bool(self.time and self.offset)


def moment(text: str, zone: ZoneInfo | None) -> Moment | None:
    """Read a DT, TS or DTM value; None when it is not one (month 13, letters, odd digits)."""
    return _moment(text, zone) if len(text) <= LONGEST else _moment.__wrapped__(text, zone)


@lru_cache(maxsize=4096)
def _moment(text: str, zone: ZoneInfo | None) -> Moment | None:
    match = _DTM.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sent = match.groups()
    if day is None:
        return Moment(f"{year}-{month}" if month else year, "", "")
    if day > "28" and int(day) > monthrange(int(year), int(month))[1]:
        return None
    date = f"{year}-{month}-{day}"
    if hour is None:
        return Moment(date, "", "")
    time = f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    if not sent:
        return Moment(date, time, _site_offset(f"{date}T{time[:8]}", zone))
    offset = _offset(sent)
    return None if offset is None else Moment(date, time, offset)


def _offset(sent: str) -> str | None:
    return f"{sent[:3]}:{sent[3:]}" if int(sent[1:3]) <= 14 and int(sent[3:]) < 60 else None


def _site_offset(local: str, zone: ZoneInfo | None) -> str:
    if zone is None:
        return ""
    text = datetime.fromisoformat(local).replace(tzinfo=zone).strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def utc(text: str, zone: ZoneInfo | None) -> str:
    """A v2 time as `YYYYMMDDHHMMSSffffff` UTC, so that text order is time order; "" when it is none. Without any zone it is read as UTC: the order
    of one sender's messages stays right."""
    found = moment(text.strip(), zone)
    if found is None:
        return ""
    year, month, day = [*map(int, found.date.split("-")), 1, 1][:3]
    hour, minute, second = found.time[:8].split(":") if found.time else ("0", "0", "0")
    micro = int((found.time[9:] + "000000")[:6]) if len(found.time) > 8 else 0
    when = datetime(year, month, day, int(hour), int(minute), int(second), micro, UTC)
    try:
        text = (when - _delta(found.offset) if found.offset else when).isoformat(timespec="microseconds")
    except OverflowError:
        return ""
    return text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19] + text[20:26]


def _delta(offset: str) -> timedelta:
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return timedelta(minutes=-minutes if offset[0] == "-" else minutes)


def date_time(text: str, ctx: Context, component: int = 1) -> str | Primitive | None:
    """Text as dateTime; the original goes along when only its date could be said. Not a time: reported (102) and None."""
    found = moment(text, ctx.site.timezone)
    if found is None:
        ctx.find("102", "not a valid date or time", component)
        return None
    if found.time and not found.offset:
        return Primitive(found.date, [kept(ctx.place(), text)])
    return found.text


@takes(1)
def dtm(repetition: Repetition, ctx: Context) -> str | Primitive | None:
    """dateTime."""
    text = part(repetition, 1)
    return date_time(text, ctx) if text else None


@takes(1)
def dt(repetition: Repetition, ctx: Context) -> str | Primitive | None:
    """date; a time sent with it is kept beside it."""
    text = part(repetition, 1)
    if not text:
        return None
    found = moment(text, ctx.site.timezone)
    if found is None:
        ctx.find("102", "not a valid date", 1)
        return None
    return Primitive(found.date, [kept(ctx.place(), text)]) if found.time else found.date


@takes(1)
def instant(repetition: Repetition, ctx: Context) -> str | None:
    """instant: only with time and zone; less is not enough and stays a kept value."""
    text = part(repetition, 1)
    if not text:
        return None
    found = moment(text, ctx.site.timezone)
    if found is None:
        ctx.find("102", "not a valid date or time", 1)
        return None
    return found.text if found.exact else None


@takes(1)
def tm(repetition: Repetition, ctx: Context) -> str | None:
    """time, seconds filled with zero; FHIR's time has no offset, so one sent is lost to `valueTime` and the value is then kept as well."""
    return time_of_day(part(repetition, 1), ctx)


def time_of_day(text: str, ctx: Context) -> str | None:
    if not text:
        return None
    match = _TM.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 59:
        ctx.find("102", "not a valid time", 1)
        return None
    if text[-5:-4] in "+-" and len(text) > 5:
        return None
    return f"{match[1]}:{match[2] or '00'}:{match[3] or '00'}{match[4] or ''}"


def put_period(holder: Json, start: str, end: str, ctx: Context, components: tuple[int, int]) -> None:
    """Set `holder["period"]` from two v2 times; a part that is not a time is reported and left for keeping."""
    period: Json = {}
    for name, text, component in (("start", start, components[0]), ("end", end, components[1])):
        if not text:
            continue
        value = date_time(text, ctx, component)
        if value is None:
            ctx.leave(component)
        else:
            set_primitive(period, name, value)
    if period:
        holder["period"] = period


def set_primitive(holder: Json, name: str, value: Any) -> None:
    """Set an element to a value or a Primitive."""
    if isinstance(value, Primitive):
        if value.value is not None:
            holder[name] = value.value
        if value.extension:
            holder["_" + name] = {"extension": value.extension}
    else:
        holder[name] = value


@takes(1, 2)
def dr(repetition: Repetition, ctx: Context) -> Json | None:
    """Period."""
    holder: Json = {}
    put_period(holder, part(repetition, 1), part(repetition, 2), ctx, (1, 2))
    return holder.get("period")


def dr_part(repetition: Repetition, number: int) -> tuple[str, str]:
    """Start and end of a DR that is a component."""
    inner = subs(repetition, number)
    return part(inner, 1), part(inner, 2)


def elements(name: str, value: Any) -> Json:
    """A value or Primitive as the elements of a resource: `{"effectiveDateTime": ..., "_effectiveDateTime": ...}`."""
    holder: Json = {}
    set_primitive(holder, name, value)
    return holder
