"""Values of search parameters as search rows, one function per kind of parameter.

Shapes are told apart by their fields (CodeableConcept has `coding`, Identifier `value`, Coding `code`), so one function serves every datatype of its kind.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from fhir_gateway.store.search import dates
from fhir_gateway.store.search.references import local
from fhir_gateway.store.text import fit


class Token(NamedTuple):
    """system: None where the element implies it (code, boolean, uri), "" where there is none."""

    system: str | None
    code: str


class Text(NamedTuple):
    """folded: for comparing; exact: as written."""

    folded: str
    exact: str


class Target(NamedTuple):
    """type "": not a resource of this server (an absolute address, a canonical), `target` being the whole text."""

    type: str
    target: str


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
        if isinstance(codings := value.get("coding"), list):
            for coding in codings:
                yield from tokens(coding)
            return
        code = value.get("code", value.get("value"))
        system = value.get("system")
        if isinstance(code, str):
            implied = isinstance(system, str) and system in _CONTACT_SYSTEMS and "code" not in value
            yield Token(None if implied else fit(system) if isinstance(system, str) else "", fit(code))


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
