"""A search over several types (`_type`), or over every type there is. R4 http.html#search: by what all types have alone.

One type after the other, each in its own order, so that a page costs no more than a search on one type; a cursor says in which type it goes on, and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_gateway.errors import UnknownParameterError
from fhir_gateway.pipeline.looks import looks_of
from fhir_gateway.pipeline.search import address, compartment_of, laid_out, served_in_compartment, sized
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import SearchQuery, at_home, in_compartment, parse_query
from fhir_gateway.validation import Issue
from fhir_gateway.validation.types import TYPES
from profiles.compartments import PATIENT

Json = dict[str, Any]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """given: (resource, search mode). following: the mark of the next page, None at the end."""

    given: list[tuple[Stored, str]]
    following: str | None


def searched_over(tx: Transaction, pairs: Pairs, base: str, settings: Settings, *, lenient: bool = False, patient: str | None = None) -> Json:
    """The searchset. patient: id of the Patient whose compartment alone is searched, every type of it (`Patient/[id]/*`).

    Raises UnknownParameterError, and the store's SearchError for a parameter that not every type has.
    """
    types, place = _types(pairs) or sorted(TYPES), ""
    if patient is not None:
        types, place = _types(pairs) or [type for type in sorted(PATIENT) if served_in_compartment(type)], f"Patient/{patient}/*"
    asked = [(name, value) for name, value in pairs if name not in ("_type", "_cursor")]
    looks, used = looks_of(asked), sized(asked, settings)
    queries = [at_home(parse_query(type, used, lenient=lenient), base) for type in types]
    if patient is not None:
        queries = [in_compartment(query, "Patient", patient, compartment_of(query.type)) for query in queries]
    first = queries[0]
    total = sum(tx.search(query.type, replace(query, summary="count", includes=())).total or 0 for query in queries) if _counted(first) else None
    found = Found([], None) if first.only_count else page_over(tx, queries, *resumed(pairs, len(types)))
    notes = [Issue("warning", "not-supported", f"The search parameter '{name[:64]}' is not known and was ignored") for name in first.ignored]
    kept = [pair for pair in pairs if pair[0] == "_type" or pair in first.used]
    here = [pair for pair in pairs if pair[0] == "_cursor"]
    links = [{"relation": "self", "url": address(base, place, [*kept, *here])}]
    links += [{"relation": "next", "url": address(base, place, [*kept, ("_cursor", found.following)])}] if found.following else []
    return laid_out(found.given, notes, total, links, looks, base)


def _types(pairs: Pairs) -> list[str]:
    """The types named by `_type`."""
    named = [part for name, value in pairs if name == "_type" for part in value.split(",") if part]
    for type in named:
        if type not in TYPES:
            raise UnknownParameterError(f"_type: '{type[:64]}' is not a resource type of FHIR R4 known here")
    return list(dict.fromkeys(named))


def _counted(query: SearchQuery) -> bool:
    return query.only_count or query.total == "accurate"


def page_over(tx: Transaction, queries: Sequence[SearchQuery], position: int, cursor: str | None) -> Found:
    """One search after the other, from a position in their list on, until the page is full; the one with what comes next is looked into for one more."""
    given: list[tuple[Stored, str]] = []
    matched = 0
    for at in range(position, len(queries)):
        room = queries[at].count - matched
        page = tx.search(queries[at].type, replace(queries[at], count=max(room, 1), cursor=cursor))
        if room < 1:
            if page.entries:
                return Found(given, f"{at}.")
            continue
        given += [(stored, "match") for stored in page.entries] + [(stored, "include") for stored in page.included]
        matched += len(page.entries)
        if page.next:
            return Found(given, f"{at}.{page.next}")
        cursor = None
    return Found(given, None)


def resumed(pairs: Pairs, searches: int) -> tuple[int, str | None]:
    """Where it goes on: the position of the search among several, and the cursor in it. Raises UnknownParameterError."""
    mark = next((value for name, value in pairs if name == "_cursor"), "0.")
    position, _, cursor = mark.partition(".")
    if not (position.isascii() and position.isdigit() and len(position) < 5 and int(position) < searches):
        raise UnknownParameterError("this page address was not made for this search: start from the first page")
    return int(position), cursor or None
