"""Elements → FHIR values: dates, amounts, codings. What can't be read is a finding at its element, never a guess."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from mappers.result import Json
from mappers.x12.place import Finding
from mappers.x12.segment import Segment

_NUMBER: Final = re.compile(r"-?(\d{1,15}(\.\d{0,6})?|\.\d{1,6})")


def extension(url: str, kind: str, value: object) -> Json:
    return {"url": url, f"value{kind}": value}


def coding(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def number(segment: Segment, element: int, findings: list[Finding]) -> Decimal | None:
    """A decimal (X12 type R). None for an empty element; None and a finding for one that holds no number."""
    text = segment.value(element)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        findings.append(Finding("error", "not a number", segment.where(element)))
        return None
    return Decimal(text.rstrip(".") if text.endswith(".") else text)


def money(value: Decimal) -> Json:
    """In US dollars: a 271 has no currency segment, and its guide is one for payers of the United States."""
    return {"value": value, "currency": "USD"}


def day(text: str) -> str | None:
    """CCYYMMDD → YYYY-MM-DD; None for anything that is no day of the calendar."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])).isoformat()
    except ValueError:
        return None


def period(segment: Segment, findings: list[Finding]) -> tuple[str | None, str | None]:
    """DTP02 D8 or RD8, DTP03 → first and last day; for D8 both are that day. (None, None) and a finding for what is no date."""
    parts = segment.value(3).split("-") if segment.value(2) == "RD8" else [segment.value(3)] * 2
    days = [day(part) for part in parts]
    if len(days) != 2 or None in days:
        findings.append(Finding("error", "not a date: expected is D8 with CCYYMMDD or RD8 with CCYYMMDD-CCYYMMDD", segment.where(3)))
        return None, None
    return days[0], days[1]
