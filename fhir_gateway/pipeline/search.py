"""A search as a searchset Bundle. The store finds; here the answer is laid out, with links built from the request's own address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from fhir_gateway.errors import operation_outcome
from fhir_gateway.settings import Settings
from fhir_gateway.store import Transaction
from fhir_gateway.store.search import Page, SearchQuery, parse_query
from fhir_gateway.validation import Issue

Json = dict[str, Any]


def searched(tx: Transaction, type: str, pairs: list[tuple[str, str]], base: str, settings: Settings, *, lenient: bool = False) -> Json:
    """The searchset. Raises the store's SearchError for a parameter, modifier or value that can't be used; lenient names unknown ones instead."""
    counted = pairs if any(name == "_count" for name, _ in pairs) else [*pairs, ("_count", str(settings.page_size))]
    query = parse_query(type, counted, lenient=lenient)
    page = tx.search(type, query)
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = _links(type, query, page, base, pairs)
    entries: list[Json] = [
        {"fullUrl": f"{base}/{stored.type}/{stored.id}", "resource": msgspec.Raw(stored.body), "search": {"mode": "match"}} for stored in page.entries
    ]
    if query.ignored:
        issues = [
            Issue("warning", "not-supported", f"The search parameter '{name[:64]}' is not known for {type} and was ignored") for name in query.ignored
        ]
        entries.append({"resource": operation_outcome(issues), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return bundle


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
