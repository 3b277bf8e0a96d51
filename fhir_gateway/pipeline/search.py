"""A search as a searchset Bundle. The store finds; here the answer is laid out, with links built from the request's own address."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from fhir_gateway.errors import UnknownParameterError, operation_outcome
from fhir_gateway.pipeline.checklists import widened
from fhir_gateway.settings import Settings
from fhir_gateway.store import Transaction
from fhir_gateway.store.search import Page, SearchQuery, parse_query
from fhir_gateway.validation import Issue

Json = dict[str, Any]
_SUMMARIES: Final = ("count", "false", "true", "text", "data")
"""search.html#summary. Only the first two are done; the others are refused rather than ignored."""


def searched(tx: Transaction, type: str, pairs: list[tuple[str, str]], base: str, settings: Settings, *, lenient: bool = False) -> Json:
    """The searchset. Raises the store's SearchError for a parameter, modifier or value that can't be used; lenient names unknown ones instead."""
    pairs = widened(type, pairs)
    used, undone = _formed(pairs, settings)
    if undone and not lenient:
        raise UnknownParameterError(f"{' and '.join(undone)} is not done here yet; leave it out, or ask with Prefer: handling=lenient")
    query = parse_query(type, used, lenient=lenient)
    page = tx.search(type, query)
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = _links(type, query, page, base, pairs)
    entries: list[Json] = [
        {"fullUrl": f"{base}/{stored.type}/{stored.id}", "resource": msgspec.Raw(stored.body), "search": {"mode": "match"}} for stored in page.entries
    ]
    ignored = [*query.ignored, *undone]
    if ignored:
        issues = [
            Issue("warning", "not-supported", f"The search parameter '{name[:64]}' is not known for {type} and was ignored") for name in ignored
        ]
        entries.append({"resource": operation_outcome(issues), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return bundle


def matches(bundle: Json) -> list[tuple[str, str]]:
    """(type, id) of every resource a searchset discloses."""
    disclosed = (str(entry["fullUrl"]).rsplit("/", 2)[1:] for entry in bundle.get("entry", ()) if "fullUrl" in entry)
    return [(type, id) for type, id in disclosed]


def _formed(pairs: list[tuple[str, str]], settings: Settings) -> tuple[list[tuple[str, str]], list[str]]:
    """The pairs with the page's size settled, and what was asked about the answer's form that is not done: ignoring it would go unnoticed.

    Raises UnknownParameterError for a `_summary` that does not exist.
    """
    used: list[tuple[str, str]] = []
    undone: list[str] = []
    for name, value in pairs:
        if name == "_summary" and value not in _SUMMARIES:
            raise UnknownParameterError("_summary needs count, false, true, text or data")
        if name == "_elements" or (name == "_summary" and value not in ("count", "false")):
            undone.append(name if name == "_elements" else f"_summary={value}")
        elif name == "_count" and value.isdecimal() and int(value[:9]) > settings.page_size_max:
            used.append((name, str(settings.page_size_max)))
        else:
            used.append((name, value))
    if not any(name == "_count" for name, _ in used):
        used.append(("_count", str(min(settings.page_size, settings.page_size_max))))
    return used, undone


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
