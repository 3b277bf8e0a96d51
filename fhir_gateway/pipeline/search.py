"""A search as a searchset Bundle. The store finds; here the answer is laid out, with links built from the request's own address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from fhir_gateway.errors import UnknownParameterError, operation_outcome
from fhir_gateway.pipeline.checklists import widened
from fhir_gateway.pipeline.looks import Looks, looks_of, shown
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import Page, SearchQuery, at_home, in_compartment, parse_query
from fhir_gateway.validation import Issue
from profiles import searchparameters
from profiles.compartments import PATIENT

Json = dict[str, Any]


def searched(
    tx: Transaction, type: str, pairs: list[tuple[str, str]], base: str, settings: Settings, *, lenient: bool = False, patient: str | None = None
) -> Json:
    """The searchset. patient: id of the Patient whose compartment alone is searched. Raises the store's SearchError for a parameter, modifier or value that
    can't be used; lenient names unknown ones instead.
    """
    pairs = widened(type, pairs)
    looks, used = looks_of(pairs), sized(pairs, settings)
    query = at_home(parse_query(type, used, lenient=lenient), base)
    place = type
    if patient is not None:
        query, place = in_compartment(query, "Patient", patient, compartment_of(type)), f"Patient/{patient}/{type}"
    page = tx.search(type, query)
    given = [(stored, "match") for stored in page.entries] + [(stored, "include") for stored in page.included]
    notes = [
        Issue("warning", "not-supported", f"The search parameter '{name[:64]}' is not known for {type} and was ignored") for name in query.ignored
    ]
    if page.cut:
        notes.append(Issue("warning", "too-costly", "There is more to include than is given here; ask for fewer matches a page"))
    return laid_out(given, notes, page.total, _links(place, query, page, base, pairs), looks, base)


def compartment_of(type: str) -> list[str]:
    """The parameters that put a resource of a type in a Patient's compartment, those that are served. Raises UnknownParameterError when there are none."""
    codes = served_in_compartment(type)
    if not codes:
        raise UnknownParameterError(f"{type} is not in the compartment of a Patient, or can't be searched by what puts it there")
    return codes


def served_in_compartment(type: str) -> list[str]:
    """The same, [] when there are none."""
    served = {parameter.code for parameter in searchparameters.load() if parameter.type == type}
    codes = [code for code in (*PATIENT.get(type, ()), "patient", "subject") if code in served] if type in PATIENT else []
    return list(dict.fromkeys(codes))


def laid_out(
    given: Sequence[tuple[Stored, str]],
    notes: Sequence[Issue],
    total: int | None,
    links: list[Json],
    looks: Looks,
    base: str,
    kind: str = "searchset",
) -> Json:
    """A searchset of (resource, search mode), with what the client should know about it."""
    bundle: Json = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        bundle["total"] = total
    bundle["link"] = links
    entries: list[Json] = [
        {"fullUrl": f"{base}/{stored.reference}", "resource": msgspec.Raw(shown(stored, looks)), "search": {"mode": mode}} for stored, mode in given
    ]
    if notes:
        entries.append({"resource": operation_outcome(notes), "search": {"mode": "outcome"}})
    return bundle | ({"entry": entries} if entries else {})


def matches(bundle: Json) -> list[tuple[str, str]]:
    """(type, id) of every resource a searchset discloses."""
    disclosed = (str(entry["fullUrl"]).rsplit("/", 2)[1:] for entry in bundle.get("entry", ()) if "fullUrl" in entry)
    return [(type, id) for type, id in disclosed]


def sized(pairs: list[tuple[str, str]], settings: Settings) -> list[tuple[str, str]]:
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
    links = [{"relation": "self", "url": address(base, type, [*used, *cursor])}]
    if page.next:
        links.append({"relation": "next", "url": address(base, type, [*used, ("_cursor", page.next)])})
    return links


def address(base: str, type: str, pairs: list[tuple[str, str]]) -> str:
    """The address of a search; type "" for one over several types."""
    place, query = f"{base}/{type}" if type else base, urlencode(pairs)
    return f"{place}?{query}" if query else place
