"""A search as asked: parameter names and texts → a typed query. FHIR R4 search.html, sections named at each rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from fhir_gateway.store.errors import SearchValueError, UnknownModifierError, UnknownParameterError
from fhir_gateway.store.search.dates import Range, range_of
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.search.references import local
from fhir_gateway.store.text import beginning, fit
from profiles.searchparameters import SearchParameter

DEFAULT_COUNT: Final = 50
MOST: Final = 1000
"""`_count` above this is cut to it (3.1.1.6: the server may return fewer)."""

# Parameters about the answer's form, which the edge reads itself (3.1.1.5); they do not narrow the search.
FORM: Final = frozenset({"_format", "_pretty", "_elements"})
SORTABLE: Final = ("_id", "_lastUpdated")


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


Value = TokenValue | ReferenceValue | DateValue | str


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter; any of its values will do. Several conditions must all hold."""

    parameter: SearchParameter
    modifier: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """One of SORTABLE; "" is the order of arrival."""

    by: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search on one type. ignored: names left out under lenient handling. used: the pairs that count, for the self link."""

    type: str
    conditions: tuple[Condition, ...] = ()
    count: int = DEFAULT_COUNT
    cursor: str | None = None
    sort: Sort = Sort()
    summary: str = ""
    total: Literal["none", "accurate"] = "none"
    ignored: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = ()

    @property
    def only_count(self) -> bool:
        """Only the number of matches is asked for (3.1.1.5.7; `_count=0` means the same)."""
        return self.summary == "count" or self.count == 0


def parse_query(type: str, pairs: Sequence[tuple[str, str]], *, lenient: bool = False, index: SearchIndex | None = None) -> SearchQuery:
    """The pairs of a query string as a query. Values are decoded text.

    Raises UnknownParameterError and UnknownModifierError (lenient: the pair is left out and named in `ignored`), SearchValueError.
    """
    known = (index or SearchIndex.load()).parameters(type)
    conditions: list[Condition] = []
    control: dict[str, str] = {}
    ignored: list[str] = []
    used: list[tuple[str, str]] = []
    for name, text in pairs:
        if name in _CONTROL or name in FORM:
            control[name] = text
            if name != "_cursor":
                used.append((name, text))
            continue
        try:
            condition = _condition(type, known, name, text)
        except (UnknownParameterError, UnknownModifierError):
            if not lenient:
                raise
            ignored.append(name)
            continue
        used.append((name, text))
        if condition.values:
            conditions.append(condition)
    return SearchQuery(
        type,
        tuple(conditions),
        _count(control.get("_count")),
        control.get("_cursor"),
        _sort(type, control.get("_sort")),
        control.get("_summary", ""),
        _total(control.get("_total")),
        tuple(ignored),
        tuple(used),
    )


_CONTROL: Final = frozenset({"_count", "_cursor", "_sort", "_summary", "_total"})


def _condition(type: str, known: dict[str, SearchParameter], name: str, text: str) -> Condition:
    code, _, modifier = name.partition(":")
    parameter = known.get(code)
    if parameter is None:
        names = get_close_matches(code, [*known, *_CONTROL - {"_cursor"}], n=3, cutoff=0.6)
        raise UnknownParameterError(type, code, names)
    reading = _MODIFIERS[parameter.kind].get(modifier)
    if reading is None and parameter.kind == "reference" and modifier in parameter.targets:
        typed = modifier
        return Condition(parameter, "", tuple(_reference(code, f"{typed}/{part}" if "/" not in part else part) for part in _parts(text)))
    if reading is None:
        raise UnknownModifierError(code, modifier, [allowed for allowed in _MODIFIERS[parameter.kind] if allowed])
    return Condition(parameter, modifier, tuple(reading(code, part) for part in _parts(text)))


def _parts(text: str) -> list[str]:
    r"""Values separated by commas; `\,` is a comma of the value (3.1.1.4.3). Empty values are left out: they ask for nothing."""
    parts, held = [], ""
    escaped = False
    for letter in text:
        if escaped:
            held += letter if letter in ",|$\\" else "\\" + letter
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == ",":
            parts.append(held)
            held = ""
        else:
            held += letter
    return [part for part in [*parts, held + ("\\" if escaped else "")] if part]


def _token(_name: str, text: str) -> Value:
    """3.1.1.4.10: `code`, `system|code`, `|code` (no system), `system|` (any code)."""
    system, bar, code = text.partition("|")
    if not bar:
        return TokenValue(None, fit(text))
    return TokenValue(fit(system), fit(code) if code else None)


def _string(_name: str, text: str) -> Value:
    """3.1.1.4.8: without case and accents."""
    return beginning(fold(text))


def _exact(_name: str, text: str) -> Value:
    return text


def _uri(_name: str, text: str) -> Value:
    return TokenValue(None, fit(text))


def _reference(_name: str, text: str) -> Value:
    """3.1.1.4.12: an id, `Type/id` (with or without a version), or an absolute address."""
    here = local(text)
    if here is not None:
        return ReferenceValue(*here)
    return ReferenceValue("" if "/" in text or ":" in text else None, fit(text))


def _date(name: str, text: str) -> Value:
    """3.1.1.4.7: a date or dateTime of any precision after an optional prefix."""
    prefix = text[:2] if text[:2] in PREFIXES else ""
    # A + in a query string arrives as a space where the sender did not encode it.
    found = range_of(text[len(prefix) :].replace(" ", "+"))
    if found is None:
        raise SearchValueError(
            f"The search parameter {name!r} needs a date (2026, 2026-03, 2026-03-14, 2026-03-14T09:30:00Z) after an optional prefix", name
        )
    return DateValue(prefix or "eq", found)


PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
# Modifier → how a value is read, per kind (3.1.1.4.4). A modifier not here is refused.
_MODIFIERS: Final[dict[str, dict[str, Callable[[str, str], Value]]]] = {
    "token": {"": _token},
    "string": {"": _string, "exact": _exact, "contains": _string},
    "reference": {"": _reference, "identifier": _token},
    "date": {"": _date},
    "uri": {"": _uri},
}


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not text.isascii() or not text.isdigit():
        raise SearchValueError("_count needs a whole number", "_count")
    return min(int(text[:9]), MOST)


def _sort(type: str, text: str | None) -> Sort:
    if not text:
        return Sort()
    by = text.removeprefix("-")
    if by not in SORTABLE:
        raise UnknownParameterError(type, f"_sort={by}", SORTABLE)
    return Sort(by, descending=text.startswith("-"))


def _total(text: str | None) -> Literal["none", "accurate"]:
    """3.1.1.5.3: an estimate may be exact."""
    if text in (None, "none"):
        return "none"
    if text in ("accurate", "estimate"):
        return "accurate"
    raise SearchValueError("_total needs none, estimate or accurate", "_total")
