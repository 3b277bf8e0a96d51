"""What is worth a person's look although nothing is wrong with any single resource: DetectedIssues about cases. Pure.

two-referrals: two open cases of one patient for one tumour group are shown, never merged; cases-met-by-merge: neither are two that turn out to be one
person's. test-already-held: an incoming order for a test whose
acceptable result is held; each is a test that need not be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

SYSTEM: Final = canonical("CodeSystem", "detected-issue")
HELD: Final = frozenset({"accepted", "expiring"})


def two_referrals(patient: str, first: str, second: str, group: str, now: datetime) -> Json:
    """patient: Patient id. first, second: ServiceRequest ids, the earlier one first."""
    detail = f"Two open referrals for the same patient and tumour group ({group}); they are not merged: one may be a resubmission"
    return _issue("two-referrals", patient, [f"ServiceRequest/{first}", f"ServiceRequest/{second}"], detail, now)


def met_by_merge(patient: str, first: str, second: str, now: datetime) -> Json:
    """patient: Patient id. first, second: ServiceRequest ids, the earlier one first."""
    detail = "The patients of two open cases were found to be one person; the cases are not merged: they may ask the same question"
    return _issue("cases-met-by-merge", patient, [f"ServiceRequest/{first}", f"ServiceRequest/{second}"], detail, now)


def already_held(patient: str, order: str, item: Json, now: datetime) -> Json:
    """order: ServiceRequest id of the incoming order. item: the flat item that holds the result."""
    return _issue("test-already-held", patient, [f"ServiceRequest/{order}", *item["suppliedBy"]], held_in_words(item), now)


def held_in_words(item: Json) -> str:
    """What a sender is told who orders what is held."""
    until = f" until {item['goodUntil']}" if item.get("goodUntil") else ""
    return f"An acceptable result for '{item['title']}' is held already{until}; do not repeat the test"


def held_for(order: Json, items: Iterable[Json], today: date) -> Json | None:
    """The item that already holds what this order asks for, by its codes; None when there is none (any more)."""
    if order.get("status") not in ("active", "draft", "on-hold") or order.get("intent") not in ("order", "original-order", "filler-order"):
        return None
    wanted = {code for concept in walk(order, "code") for code in codings(concept)}
    for item in items:
        codes = {(str(coding.get("system", "")), str(coding.get("code", ""))) for coding in item.get("code") or ()}
        fresh = not item.get("goodUntil") or item["goodUntil"] >= today.isoformat()
        if item["state"] in HELD and fresh and wanted & codes:
            return item
    return None


def _issue(code: str, patient: str, implicated: list[str], detail: str, now: datetime) -> Json:
    return {
        "resourceType": "DetectedIssue",
        "status": "final",
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "severity": "moderate",
        "patient": {"reference": f"Patient/{patient}"},
        "identifiedDateTime": now.isoformat(timespec="seconds"),
        "implicated": [{"reference": reference} for reference in implicated],
        "detail": detail,
    }
