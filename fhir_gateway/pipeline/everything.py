"""`Patient/[id]/$everything`: what is held about a patient, and what that refers to. R4 patient-operation-everything.html.

The Patient first, then type by type what is in the compartment; beside each page what its resources refer to outside of it: practitioners, organizations,
locations, medications. One compartment search after the other, so that a page costs no more than a search does.

`start` and `end` are about dates of care (`profiles.compartments.CARE_DATE`). What has none, its type or only itself, is given whatever is asked for:
leaving out a diagnosis because nobody dated it would do harm, a record too many does none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_gateway.errors import UnknownParameterError, UnreadableError
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.looks import PARAMETERS, looks_of
from fhir_gateway.pipeline.references import references
from fhir_gateway.pipeline.search import address, laid_out, served_in_compartment, sized
from fhir_gateway.pipeline.searchall import page_over, resumed
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import SearchQuery, during, in_compartment, parse_query
from fhir_gateway.store.search.dates import END_OF_TIME, START_OF_TIME, Range, range_of
from fhir_gateway.store.search.references import local
from fhir_gateway.validation.types import TYPES
from fhir_gateway.wording import moment_of
from profiles.compartments import CARE_DATE, PATIENT

Json = dict[str, Any]
Pairs = list[tuple[str, str]]
ASKED: Final = ("start", "end", "_since", "_type", "_count", "_cursor", *PARAMETERS)
DEEPEST: Final = 3
"""Steps from what is about the patient to what is given beside it: a PractitionerRole's Organization and what that is part of."""


@dataclass(frozen=True, slots=True)
class Everything:
    """What was asked. types: () for every one. care: the days of care asked for, None for all."""

    id: str
    pairs: Pairs
    types: tuple[str, ...]
    since: str | None
    care: Range | None = None

    @classmethod
    def of(cls, id: str, pairs: Pairs, settings: Settings) -> Everything:
        """Raises UnknownParameterError, UnreadableError."""
        types: list[str] = []
        since: str | None = None
        for name, value in pairs:
            if name not in ASKED:
                raise UnknownParameterError(f"'{name[:64]}' can't be asked of $everything; it takes {', '.join(ASKED)}")
            if name == "_since":
                moment = moment_of(f"{value}T00:00:00" if len(value) == 10 else value, settings.zone, "_since")
                since = moment.isoformat(timespec="milliseconds")
            elif name == "_type":
                types += [part for part in value.split(",") if part]
        for type in types:
            if type not in TYPES:
                raise UnknownParameterError(f"_type: '{type[:64]}' is not a resource type of FHIR R4 known here")
        return cls(id, pairs, tuple(dict.fromkeys(types)), since, _care(dict(pairs)))

    def bundle(self, tx: Transaction, base: str, settings: Settings) -> Json:
        """The searchset. Raises NotFoundError, GoneError for the Patient."""
        writes.read(tx, "Patient", self.id)
        queries = self._queries(settings)
        found = page_over(tx, queries, *resumed(self.pairs, max(len(queries), 1)))
        about = [stored for stored, _ in found.given]
        beside = [(stored, "include") for stored in self._beside(tx, about)]
        place = f"Patient/{self.id}/$everything"
        links = [{"relation": "self", "url": address(base, place, self.pairs)}]
        if found.following:
            kept = [pair for pair in self.pairs if pair[0] != "_cursor"]
            links.append({"relation": "next", "url": address(base, place, [*kept, ("_cursor", found.following)])})
        whole = found.following is None and all(name != "_cursor" for name, _ in self.pairs)
        return laid_out([*found.given, *beside], (), len(about) if whole else None, links, looks_of(self.pairs), base)

    def _queries(self, settings: Settings) -> list[SearchQuery]:
        """The Patient, and a search in the compartment for every type that has one."""
        given = [pair for pair in self.pairs if pair[0] == "_count"] or [("_count", str(settings.page_size_max))]
        asked = [*sized(given, settings), *((("_lastUpdated", f"ge{self.since}"),) if self.since else ())]
        queries = [parse_query("Patient", [*asked, ("_id", self.id)])] if self._wants("Patient") else []
        for type in sorted(PATIENT):
            if self._wants(type) and (codes := served_in_compartment(type)):
                queries += [in_compartment(query, "Patient", self.id, codes) for query in self._dated(type, asked)]
        return [replace(query, count=max(query.count, 1)) for query in queries]

    def _dated(self, type: str, asked: Pairs) -> list[SearchQuery]:
        """The search of a type; where dates of care are asked for and it has them, one for what is of that time and one for what has no date."""
        query, code = parse_query(type, asked), CARE_DATE.get(type)
        if self.care is None or code is None:
            return [query]
        return [during(query, code, self.care), parse_query(type, [*asked, (f"{code}:missing", "true")])]

    def _wants(self, type: str) -> bool:
        return not self.types or type in self.types

    def _beside(self, tx: Transaction, about: Sequence[Stored]) -> Iterator[Stored]:
        """What the resources of a page refer to, and that in turn, outside of every patient's compartment; each once."""
        known: set[str] = set()
        around = list(about)
        for _ in range(DEEPEST):
            wanted = {text for stored in around for _, text in references(stored.resource) if _outside(text)} - known
            known |= wanted
            around = [stored for stored in tx.resources.read_many(sorted(wanted)).values() if not stored.deleted]
            for stored in around:
                if self._wants(stored.type) and (self.since is None or stored.last_updated.isoformat() >= self.since):
                    yield stored


def _care(pairs: dict[str, str]) -> Range | None:
    """From the first day of `start` to the last of `end`, days in UTC as in a search; either may be left out. Raises UnreadableError."""
    ends = {name: range_of(pairs[name]) for name in ("start", "end") if name in pairs}
    for name, found in ends.items():
        if found is None or "T" in pairs[name]:
            raise UnreadableError(f"{name} must be a date (2026, 2026-03, 2026-03-01)", name)
    if not ends:
        return None
    start, end = ends.get("start"), ends.get("end")
    span = Range(start.low if start else START_OF_TIME, end.high if end else END_OF_TIME)
    if span.low > span.high:
        raise UnreadableError("end must not be before start", "end")
    return span


def _outside(text: str) -> bool:
    here = local(text)
    return here is not None and here[0] not in PATIENT
