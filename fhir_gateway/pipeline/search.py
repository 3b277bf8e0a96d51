"""A search as a searchset Bundle. The store finds; here the answer is laid out, with links built from the request's own address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from fhir_gateway.errors import operation_outcome
from fhir_gateway.pipeline.checklists import widened
from fhir_gateway.pipeline.looks import looks_of, shown
from fhir_gateway.settings import Settings
from fhir_gateway.store import Transaction
from fhir_gateway.store.search import Page, SearchQuery, parse_query
from fhir_gateway.validation import Issue

Json = dict[str, Any]


def searched(tx: Transaction, type: str, pairs: list[tuple[str, str]], base: str, settings: Settings, *, lenient: bool = False) -> Json:
    """The searchset. Raises the store's SearchError for a parameter, modifier or value that can't be used; lenient names unknown ones instead."""
    pairs = widened(type, pairs)
    looks, used = looks_of(pairs), _sized(pairs, settings)
    query = parse_query(type, used, lenient=lenient)
    page = tx.search(type, query)
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = _links(type, query, page, base, pairs)
    entries: list[Json] = [
        {"fullUrl": f"{base}/{stored.type}/{stored.id}", "resource": msgspec.Raw(shown(stored, looks)), "search": {"mode": "match"}}
        for stored in page.entries
    ]
    if query.ignored:
        issues = [
            Issue("warning", "not-supported", f"The search parameter '{name[:64]}' is not known for {type} and was ignored") for name in query.ignored
        ]
        entries.append({"resource": operation_outcome(issues), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return bundle


def matches(bundle: Json) -> list[tuple[str, str]]:
    """(type, id) of every resource a searchset discloses."""
    disclosed = (str(entry["fullUrl"]).rsplit("/", 2)[1:] for entry in bundle.get("entry", ()) if "fullUrl" in entry)
    return [(type, id) for type, id in disclosed]


def _sized(pairs: list[tuple[str, str]], settings: Settings) -> list[tuple[str, str]]:
    """The pairs with the page's size settled."""
    used: list[tuple[str, str]] = []
    for name, value in pairs:
        over = name == "_count" and value.isdecimal() and int(value[:9]) > settings.page_size_max
        used.append((name, str(settings.page_size_max)) if over else (name, value))
    if not any(name == "_count" for name, _ in used):
        used.append(("_count", str(min(settings.page_size, settings.page_size_max))))
    return used


def _links(type: str, query: SearchQuery, page: Page, base: str, pairs: list[tuple[str, str]]) -> list[Json]:
    """self names exactly what was searched; next is there only when there is more."""
    used = [pair for pair in query.used if pair in pairs]
    cursor = [("_cursor", query.cursor)] if query.cursor else []
    links = [{"relation": "self", "url": _address(base, type, [*used, *cursor])}]
    if page.next:
        links.append({"relation": "next", "url": _address(base, type, [*used, ("_cursor", page.next)])})
    return links


def _address(base: str, type: str, pairs: list[tuple[str, str]]) -> str:
    query = urlencode(pairs)
    return f"{base}/{type}?{query}" if query else f"{base}/{type}"
