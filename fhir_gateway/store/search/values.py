"""The value of a search parameter as asked: text → typed value, by kind of parameter and modifier. FHIR R4 search.html, sections named at each rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from fhir_gateway.store.errors import SearchValueError
from fhir_gateway.store.search.dates import Range, range_of
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.references import local
from fhir_gateway.store.text import beginning, fit


class TokenValue(NamedTuple):
    """system: None for any, "" for none; code: None for any."""

    system: str | None
    code: str | None


class ReferenceValue(NamedTuple):
    """type: None for any (an id alone)."""

    type: str | None
    target: str


class DateValue(NamedTuple):
    """prefix: eq ne gt lt ge le sa eb ap."""

    prefix: str
    range: Range


class NumberValue(NamedTuple):
    """A number or quantity. low, high: what it stands for by its digits (100 is 99.5 to 100.5). system, code: None for any unit."""

    prefix: str
    exact: float
    low: float
    high: float
    system: str | None = None
    code: str | None = None


class TextValue(NamedTuple):
    """The beginning of a text beside a code (`:text`), folded."""

    folded: str


Value = TokenValue | ReferenceValue | DateValue | NumberValue | TextValue | str
PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_ESCAPED: Final = re.compile(r"\\([,|$\\])")


def parts(text: str) -> list[str]:
    r"""Values separated by commas; `\,` is a comma of the value (3.1.1.4.3). Empty values are left out: they ask for nothing."""
    return [_unescaped(part) for part in _cut(text, ",") if part]


def tuples(text: str) -> list[list[str]]:
    r"""Values of a composite, each in its parts: separated by commas, the parts by dollars; `\$` is a dollar of the part (search.html#composite)."""
    return [[_unescaped(part) for part in _cut(value, "$")] for value in _cut(text, ",") if value]


def _cut(text: str, separator: str) -> list[str]:
    """The text between separators that no backslash stands before, with its backslashes."""
    found, start, escaped = [], 0, False
    for at, letter in enumerate(text):
        if letter == separator and not escaped:
            found.append(text[start:at])
            start = at + 1
        escaped = letter == "\\" and not escaped
    return [*found, text[start:]]


def _unescaped(text: str) -> str:
    """A backslash before a separator or a backslash is left out; before anything else it is a letter of the value."""
    return _ESCAPED.sub(r"\1", text)


def token(_name: str, text: str) -> Value:
    """3.1.1.4.10: `code`, `system|code`, `|code` (no system), `system|` (any code)."""
    system, bar, code = text.partition("|")
    if not bar:
        return TokenValue(None, fit(text))
    return TokenValue(fit(system), fit(code) if code else None)


def string(_name: str, text: str) -> Value:
    """3.1.1.4.8: without case and accents."""
    return beginning(fold(text))


def reference(_name: str, text: str) -> Value:
    """3.1.1.4.12: an id, `Type/id` (with or without a version), or an absolute address."""
    here = local(text)
    if here is not None:
        return ReferenceValue(*here)
    return ReferenceValue("" if "/" in text or ":" in text else None, fit(text))


def _exact(_name: str, text: str) -> Value:
    return text


def _uri(_name: str, text: str) -> Value:
    return TokenValue(None, fit(text))


def _text(_name: str, text: str) -> Value:
    return TextValue(beginning(fold(text)))


def _of_type(name: str, text: str) -> Value:
    """3.1.1.4.10: `[system]|[code]|[value]`, the type of an identifier and its value."""
    system, bar, rest = text.partition("|")
    code, other, value = rest.partition("|")
    if not bar or not other or not code or not value:
        raise SearchValueError(f"{name}:of-type needs the type's system, its code and the value: system|code|value", name)
    return TokenValue(fit(system) if system else None, fit(f"{code}|{value}"))


def _date(name: str, text: str) -> Value:
    """3.1.1.4.7: a date or dateTime of any precision after an optional prefix."""
    prefix, rest = _prefixed(text)
    # A + in a query string arrives as a space where the sender did not encode it.
    found = range_of(rest.replace(" ", "+"))
    if found is None:
        raise SearchValueError(
            f"The search parameter {name!r} needs a date (2026, 2026-03, 2026-03-14, 2026-03-14T09:30:00Z) after an optional prefix", name
        )
    return DateValue(prefix, found)


def _number(name: str, text: str) -> Value:
    """3.1.1.4.5: a number after an optional prefix."""
    prefix, rest = _prefixed(text)
    return _measured(name, prefix, rest)


def _quantity(name: str, text: str) -> Value:
    """3.1.1.4.11: `number`, `number|system|code` or `number||code`, after an optional prefix."""
    prefix, rest = _prefixed(text)
    number, bar, unit = rest.partition("|")
    system, other, code = unit.partition("|")
    if bar and not other:
        raise SearchValueError(f"The search parameter {name!r} needs number|system|code, or number||code, or a number alone", name)
    return _measured(name, prefix, number, fit(system) or None, fit(code) or None)


def _measured(name: str, prefix: str, text: str, system: str | None = None, code: str | None = None) -> NumberValue:
    try:
        number = Decimal(text.strip())
        if not number.is_finite() or abs(number.adjusted()) > 300:
            raise InvalidOperation
    except InvalidOperation:
        raise SearchValueError(f"The search parameter {name!r} needs a number (5.4, 5.40e-3) after an optional prefix", name) from None
    half = Decimal((0, (5,), int(number.as_tuple().exponent) - 1))
    if prefix == "ap":
        half = max(half, abs(number) / 10)  # 3.1.1.4.6: approximately is 10 % of the value
    return NumberValue(prefix, float(number), float(number - half), float(number + half), system, code)


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


# Modifier → how a value is read, per kind (3.1.1.4.4); "" is none. `missing` goes with all of them, and is read by itself. What is not here is refused.
MODIFIERS: Final[dict[str, dict[str, Callable[[str, str], Value]]]] = {
    "token": {"": token, "not": token, "text": _text, "of-type": _of_type},
    "string": {"": string, "exact": _exact, "contains": string},
    "reference": {"": reference, "identifier": token},
    "date": {"": _date},
    "uri": {"": _uri},
    "number": {"": _number},
    "quantity": {"": _quantity},
    "composite": {},  # its parts are read as parameters of their own
}
