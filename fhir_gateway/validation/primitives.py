"""The primitive types of FHIR R4: which JSON type each takes and which text it allows (R4 datatypes page, "Primitive Types")."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

_YEAR = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

TEXT: Final[dict[str, re.Pattern[str]]] = {
    "id": re.compile(r"[A-Za-z0-9\-.]{1,64}"),
    "code": re.compile(r"[^\s]+(\s[^\s]+)*"),
    "uri": re.compile(r"\S+"),
    "url": re.compile(r"\S+"),
    "canonical": re.compile(r"\S+"),
    "oid": re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "uuid": re.compile(r"urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
    "date": re.compile(rf"{_YEAR}(-(0[1-9]|1[0-2])|-{_DAY})?"),
    "dateTime": re.compile(rf"{_YEAR}(-(0[1-9]|1[0-2])|-{_DAY}(T{_CLOCK}{_ZONE})?)?"),
    "instant": re.compile(rf"{_YEAR}-{_DAY}T{_CLOCK}{_ZONE}"),
    "time": re.compile(_CLOCK),
    "base64Binary": re.compile(r"[0-9A-Za-z+/=\s]*"),
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""R4, string: no characters below U+0020 but tab, line feed and carriage return."""
_WHOLE: Final = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}


def fault(kind: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with `value` as a primitive of that kind: (issue code, text), or None. `true` is not "true" and 1 is not "1"."""
    if isinstance(value, str):
        if kind in _NOT_TEXT:
            return "structure", _NOT_TEXT[kind]
        return _text_fault(kind, value)
    if kind == "boolean":
        return None if isinstance(value, bool) else ("structure", _NOT_TEXT[kind])
    if kind == "decimal":
        return None if isinstance(value, (int, Decimal, float)) and not isinstance(value, bool) else ("structure", _NOT_TEXT[kind])
    if bounds := _WHOLE.get(kind):
        if not isinstance(value, int) or isinstance(value, bool):
            return "structure", _NOT_TEXT[kind]
        return None if bounds[0] <= value <= bounds[1] else ("value", f"must lie between {bounds[0]} and {bounds[1]}")
    return "structure", "must be JSON text"


_NOT_TEXT: Final = {
    "boolean": "must be true or false, not text or a number",
    "decimal": "must be a JSON number",
    **dict.fromkeys(_WHOLE, "must be a whole JSON number"),
}


def _text_fault(kind: str, value: str) -> tuple[str, str] | None:
    if not value:
        return "value", "must not be empty text; leave the element out instead"
    pattern = TEXT.get(kind)
    if pattern is None:
        if value.isspace():
            return "value", "must not be blank"
    elif not pattern.fullmatch(value):
        return "value", f"is not a valid {kind}"
    elif kind in ("date", "dateTime", "instant") and len(value) >= 10 and not _on_calendar(value[:10]):
        return "value", f"is not a valid {kind}: there is no such day"
    if not value.isprintable() and _CONTROL.search(value):
        return "value", "must not hold control characters"
    return None


def _on_calendar(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
