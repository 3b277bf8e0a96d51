"""`Patient/$match`: which Patients held here may be the one described. R4 patient-operation-match.html; graded by `cases.matching`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.matching import SHORTEST, Match, match
from fhir_gateway.errors import InvalidError
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.parameters import named, primitive
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import parse_query

Json = dict[str, Any]
MATCH_GRADE: Final = "http://hl7.org/fhir/StructureDefinition/match-grade"
MOST: Final = 100
"""Matches given at most, and Patients looked at under one name or number."""


def matched(tx: Transaction, given: Json, base: str) -> Json:
    """The searchset, the likeliest first; of the Patients this principal may see. given: Parameters, or the Patient. Raises InvalidError."""
    described, certain, count = _asked(given)
    graded = [(match(described, stored.resource), stored) for stored in _candidates(tx, described)]
    wanted = ("certain",) if certain else ("certain", "probable", "possible")
    found = sorted(((m, stored) for m, stored in graded if m.grade in wanted), key=lambda one: (wanted.index(one[0].grade), -one[0].score, one[1].id))
    if certain and len(found) > 1:
        found = []  # two that are certain make neither of them certain
    entries = [_entry(m, stored, base) for m, stored in found[:count]]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), **({"entry": entries} if entries else {})}


def _asked(given: Json) -> tuple[Json, bool, int]:
    """(who is described, only certain matches?, how many at most)."""
    parameters = given.get("resourceType") == "Parameters"
    described = next((part.get("resource") for part in named(given, "resource")), None) if parameters else given
    if not isinstance(described, dict):
        raise InvalidError("$match needs the parameter `resource`: a Patient with what is known of the person", "Parameters.parameter")
    writes.checked(described, "Patient", "Parameters.parameter.resource" if parameters else "")
    text = primitive(given, "count") or str(MOST)
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if count < 1:
        raise InvalidError("count must be a whole number above 0", "Parameters.parameter")
    return described, primitive(given, "onlyCertainMatches") == "true", min(count, MOST)


def _candidates(tx: Transaction, described: Json) -> list[Stored]:
    """Everyone with one of the numbers, or with a family name and the birth date: without either, no grade is better than `certainly-not`."""
    found: dict[str, Stored] = {}
    for pairs in _searches(described):
        for stored in tx.search("Patient", parse_query("Patient", [*pairs, ("_count", str(MOST))])).entries:
            found.setdefault(stored.id, stored)
    return list(found.values())


def _searches(described: Json) -> Iterator[list[tuple[str, str]]]:
    numbers = {value for value in walk(described, "identifier.value") if isinstance(value, str) and len(value) >= SHORTEST}
    if numbers:
        yield [("identifier", ",".join(_escaped(number) for number in sorted(numbers)))]
    born = described.get("birthDate")
    families = {name for name in walk(described, "name.family") if isinstance(name, str)}
    if families and isinstance(born, str):
        yield [("family", ",".join(_escaped(name) for name in sorted(families))), ("birthdate", born)]


def _escaped(text: str) -> str:
    """search.html#escaping."""
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")


def _entry(found: Match, stored: Stored, base: str) -> Json:
    grade = [{"url": MATCH_GRADE, "valueCode": found.grade}]
    search = {"extension": grade, "mode": "match", "score": found.score}
    return {"fullUrl": f"{base}/{stored.reference}", "resource": stored.resource, "search": search}
