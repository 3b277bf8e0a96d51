"""Reading what people type, the same at every entrance."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from fhir_gateway.errors import UnreadableError


def moment_of(text: str, zone: ZoneInfo, name: str) -> datetime:
    """A date or date and time → an aware moment (UTC); a bare date means the end of that day in the clinic's zone. Raises UnreadableError."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time.max, zone).astimezone(UTC)
        value = datetime.fromisoformat(text.replace(" ", "+"))
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # the second for a moment before the year 1 or after 9999 in UTC
        raise UnreadableError(f"{name} must be a date (2026-03-01) or a date and time with zone (2026-03-01T09:00:00Z)", name) from None
