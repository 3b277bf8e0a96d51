"""Values of search parameters as search rows, one function per kind of parameter.

Shapes are told apart by their fields (CodeableConcept has `coding`, Identifier `value`, Coding `code`), so one function serves every datatype of its kind.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from math import inf
from typing import Any, Final, NamedTuple

from fhir_gateway.store.search import dates
from fhir_gateway.store.search.references import local
from fhir_gateway.store.text import fit


class Token(NamedTuple):
    """system: None where the element implies it (code, boolean, uri), "" where there is none. code "" where there is only a text. text: folded, of
    the code, of the concept or of the identifier's type; None where there is none. element: see `composites.Meeting`.
    """

    system: str | None
    code: str
    text: str | None = None
    element: int | None = None


class Text(NamedTuple):
    """folded: for comparing; exact: as written."""

    folded: str
    exact: str


class Measure(NamedTuple):
    """A number or quantity as the range it may lie in. system, code, unit: None for a number, "" for what was not said. element: see `composites.Meeting`."""

    low: float
    high: float
    system: str | None = None
    code: str | None = None
    unit: str | None = None
    element: int | None = None


class Target(NamedTuple):
    """type "": not a resource of this server (an absolute address, a canonical), `target` being the whole text. element: see `composites.Meeting`."""

    type: str
    target: str
    element: int | None = None


# ContactPoint.system is a code of the standard, not an identifier system (telecom, phone, email: search.html#token).
_CONTACT_SYSTEMS: Final = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})
# HumanName and Address parts that a string parameter on the whole searches (patient.html#search, search.html#string).
_NAME_PARTS: Final = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country")


def tokens(value: Any) -> Iterator[Token]:
    """code, boolean, string, Coding, CodeableConcept, Identifier, ContactPoint → tokens."""
    if isinstance(value, bool):
        yield Token(None, "true" if value else "false")
    elif isinstance(value, str):
        yield Token(None, fit(value))
    elif isinstance(value, dict):
        text = _text(value.get("text"))
        if isinstance(codings := value.get("coding"), list):
            for coding in codings:
                yield from (token._replace(text=token.text or text) for token in tokens(coding))
            if text is not None and not any(_text(c.get("display")) == text for c in codings if isinstance(c, dict)):
                yield Token("", "", text)
            return
        code = value.get("code", value.get("value"))
        system = value.get("system")
        if isinstance(code, str):
            implied = isinstance(system, str) and system in _CONTACT_SYSTEMS and "code" not in value
            kind = value.get("type")
            named = _text(value.get("display") or (kind.get("text") if isinstance(kind, dict) else None))
            yield Token(None if implied else fit(system) if isinstance(system, str) else "", fit(code), named)
        elif text is not None:
            yield Token("", "", text)


def typed(identifier: Any) -> Iterator[Token]:
    """An Identifier by each code of its type: system of the type, `code|value` (`:of-type`)."""
    if isinstance(identifier, dict) and isinstance(value := identifier.get("value"), str) and isinstance(kind := identifier.get("type"), dict):
        codings = kind.get("coding")
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and isinstance(code := coding.get("code"), str):
                system = coding.get("system")
                yield Token(fit(system) if isinstance(system, str) else "", fit(f"{code}|{value}"))


def measures(value: Any) -> Iterator[Measure]:
    """decimal, integer, Quantity, Money, Range → measures. A quantity with a comparator is open at one end."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        yield Measure(float(value), float(value))
    elif isinstance(value, dict) and ("low" in value or "high" in value):
        ends: list[dict[str, Any]] = [found if isinstance(found := value.get(end), dict) else {} for end in ("low", "high")]
        low, high = (_number(end.get("value")) for end in ends)
        if low is not None or high is not None:
            yield Measure(-inf if low is None else low, inf if high is None else high, *_unit({**ends[1], **ends[0]}))
    elif isinstance(value, dict) and (number := _number(value.get("value"))) is not None:
        before, after = _COMPARATORS.get(str(value.get("comparator")), (None, None))
        yield Measure(number if before is None else before, number if after is None else after, *_unit(value))


# Comparator → the ends the quantity has instead of its number; None for the number itself.
_COMPARATORS: Final = {"<": (-inf, None), "<=": (-inf, None), ">": (None, inf), ">=": (None, inf)}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None


def _unit(value: dict[str, Any]) -> tuple[str, str, str]:
    system = "urn:iso:std:iso:4217" if "currency" in value else value.get("system")
    parts = (system, value.get("code", value.get("currency")), value.get("unit"))
    return tuple(fit(part) if isinstance(part, str) else "" for part in parts)  # type: ignore[return-value]  # three parts


def _text(value: Any) -> str | None:
    return fit(fold(value)) if isinstance(value, str) and value else None


def strings(value: Any) -> Iterator[Text]:
    """string, HumanName, Address → texts."""
    if isinstance(value, str):
        yield Text(fit(fold(value)), fit(value))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for part in _NAME_PARTS:
            if part in value:
                yield from strings(value[part])


def targets(value: Any) -> Iterator[Target]:
    """Reference, canonical, uri → targets. Contained resources are not searched; a canonical is found with and without its version."""
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str) or text.startswith("#"):
        return
    here = local(text)
    if here is not None:
        yield Target(*here)
        return
    yield Target("", fit(text))
    if "|" in text:
        yield Target("", fit(text.partition("|")[0]))


def ranges(value: Any) -> Iterator[dates.Range]:
    """date, dateTime, instant, Period, Timing → ranges."""
    if isinstance(value, str):
        found = dates.range_of(value)
    elif isinstance(value, dict) and ("event" in value or "repeat" in value):
        yield from _timing(value)
        return
    elif isinstance(value, dict):
        found = dates.period(value)
    else:
        found = None
    if found is not None:
        yield found


def fold(text: str) -> str:
    """Text without case and accents: `Müller` and `MULLER` are the same name."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    if decomposed.isascii():
        return decomposed
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _timing(value: dict[str, Any]) -> Iterator[dates.Range]:
    events = value.get("event")
    for event in events if isinstance(events, list) else ():
        yield from ranges(event)
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if isinstance(bounds, dict):
        yield from ranges(bounds)
