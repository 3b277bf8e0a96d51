"""The value of a search parameter as asked: text → typed value, by kind of parameter and modifier. FHIR R4 search.html, sections named at each rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from math import inf, nextafter
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
    """A number or quantity. low, high: what it stands for by its digits (100 is 99.5 to just below 100.5). system, code: None for any unit."""

    prefix: str
    exact: float
    low: float
    high: float
    system: str | None = None
    code: str | None = None


class UriValue(NamedTuple):
    """Addresses, any of which will do, and all those that begin so ("" for none)."""

    exact: tuple[str, ...]
    begins: str


class TextValue(NamedTuple):
    """The beginning of a text beside a code (`:text`), folded."""

    folded: str


Single = TokenValue | ReferenceValue | DateValue | NumberValue | TextValue | str
Value = Single | UriValue
PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


# Up to a separator that no backslash precedes: a backslash takes the character after it along.
_UP_TO: Final = {mark: re.compile(rf"(?:[^{re.escape(mark)}\\]|\\.|\\\Z)*", re.DOTALL) for mark in ",$|"}
_ESCAPED: Final = re.compile(r"\\([,|$\\])")


def parts(text: str) -> list[str]:
    """Values separated by commas that no backslash precedes (3.1.1.4.3), with their escapes. Empty values are left out: they ask for nothing."""
    return [part for part in _cut(text, ",") if part]


def tuples(text: str) -> list[list[str]]:
    """Values of a composite, each in its parts with their escapes: separated by commas, the parts by dollars (search.html#composite)."""
    return [_cut(value, "$") for value in parts(text)]


def _cut(text: str, mark: str) -> list[str]:
    if "\\" not in text:
        return text.split(mark)
    found, mark_follows = list[str](), mark
    while mark_follows:
        before, mark_follows, text = _halves(text, mark)
        found.append(before)
    return found


def _halves(text: str, mark: str = "|") -> tuple[str, str, str]:
    """What stands before the first such mark that no backslash precedes, the mark, and what stands after it, with their escapes."""
    if "\\" not in text:
        return text.partition(mark)
    before = _UP_TO[mark].match(text)
    end = before.end() if before else 0
    return text[:end], text[end : end + 1], text[end + 1 :]


def plain(text: str) -> str:
    """A value without its escapes (3.1.1.4.3); before anything else a backslash is a letter of the value."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def token(_name: str, text: str) -> Value:
    """3.1.1.4.10: `code`, `system|code`, `|code` (no system), `system|` (any code)."""
    system, bar, code = _halves(text)
    if not bar:
        return TokenValue(None, fit(plain(text)))
    return TokenValue(fit(plain(system)), fit(plain(code)) if code else None)


def string(_name: str, text: str) -> Value:
    """3.1.1.4.8: without case and accents."""
    return beginning(fold(plain(text)))


def reference(_name: str, text: str) -> Value:
    """3.1.1.4.12: an id, `Type/id` (with or without a version), or an absolute address."""
    text = plain(text)
    here = local(text)
    if here is not None:
        return ReferenceValue(*here)
    return ReferenceValue("" if "/" in text or ":" in text else None, fit(text))


def _exact(_name: str, text: str) -> Value:
    return plain(text)


def _uri(name: str, text: str) -> Value:
    """3.1.1.4.14. A profile asked for without a version is meant in any version, as other canonical addresses are (3.1.1.4.12)."""
    address = plain(text)
    if name == "_profile" and "|" not in address:
        return UriValue((fit(address),), beginning(f"{address}|"))
    return TokenValue(None, fit(address))


def _below(_name: str, text: str) -> Value:
    """3.1.1.4.4 `:below`: every address that begins so."""
    return UriValue((), beginning(plain(text)))


def _above(_name: str, text: str) -> Value:
    """3.1.1.4.4 `:above`: the address itself and those it lies under, each with or without a slash at its end."""
    places = list(accumulate(plain(text).rstrip("/").split("/"), "{}/{}".format))
    return UriValue(tuple(fit(each) for place in places for each in (place, f"{place}/") if place), "")


def _text(_name: str, text: str) -> Value:
    return TextValue(beginning(fold(plain(text))))


def _of_type(name: str, text: str) -> Value:
    """3.1.1.4.10: `[system]|[code]|[value]`, the type of an identifier and its value."""
    system, bar, rest = _halves(text)
    code, other, value = (plain(half) for half in _halves(rest))
    if not bar or not other or not code or not value:
        raise SearchValueError(f"{name}:of-type needs the type's system, its code and the value: system|code|value", name)
    return TokenValue(fit(plain(system)) if system else None, fit(f"{code}|{value}"))


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
    number, bar, unit = _halves(rest)
    system, other, code = (plain(half) for half in _halves(unit))
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
    return NumberValue(prefix, float(number), *_span(number, prefix), system, code)


def _span(number: Decimal, prefix: str) -> tuple[float, float]:
    """What a number stands for by its digits (3.1.1.4.5): half a unit of its last place, the upper end left out. Of `1e2` the standard says 95 to 105."""
    exponent = int(number.as_tuple().exponent)
    half = Decimal((0, (5,), exponent - (2 if exponent > 0 else 1)))
    if prefix == "ap":
        half = max(half, abs(number) / 10)  # 3.1.1.4.6: approximately is 10 % of the value
        return float(number - half), float(number + half)
    high = float(number + half)
    return float(number - half), nextafter(high, -inf) if high > float(number) else high


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


# Modifier → how a value is read, per kind (3.1.1.4.4); "" is none. `missing` goes with all of them, and is read by itself. What is not here is refused.
MODIFIERS: Final[dict[str, dict[str, Callable[[str, str], Value]]]] = {
    "token": {"": token, "not": token, "text": _text, "of-type": _of_type},
    "string": {"": string, "exact": _exact, "contains": string},
    "reference": {"": reference, "identifier": token},
    "date": {"": _date},
    "uri": {"": _uri, "below": _below, "above": _above},
    "number": {"": _number},
    "quantity": {"": _quantity},
    "composite": {},  # its parts are read as parameters of their own
}
