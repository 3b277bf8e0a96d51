"""The resources of a prior authorisation as the clinic makes them: the Claim that asks, the ClaimResponse that staff enter with its proof. FHIR R4, use
`preauthorization`; the decision of an item as Da Vinci PAS writes it (X12 element 306).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.facts import ICD10
from profiles.eligibility import ASKED_FIRST, REVIEW_ACTION, REVIEW_CODE, REVIEWS, SECOND_SURGICAL_OPINION, SERVICE_TYPES

Json = dict[str, Any]
Entered = Literal["granted", "granted-in-part", "pended", "denied", "cancelled"]

TYPE: Final[Json] = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]}
URN: Final = "urn:ietf:rfc:3986"
PRIORITY: Final = "http://terminology.hl7.org/CodeSystem/processpriority"
ADJUDICATED: Final[Json] = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted"}]}
SERVICE: Final[Json] = {"coding": [{"system": SERVICE_TYPES, "code": ASKED_FIRST, "display": "Second Surgical Opinion"}]}
REVIEW: Final[dict[Entered, str]] = {"granted": "A1", "granted-in-part": "A6", "pended": "A4", "denied": "A3"}
OUTCOME: Final[dict[Entered, str]] = {
    "granted": "complete",
    "granted-in-part": "complete",
    "pended": "queued",
    "denied": "complete",
    "cancelled": "complete",
}
ACT: Final[dict[Entered, str]] = {
    "granted": "grant",
    "granted-in-part": "grant-in-part",
    "pended": "pend",
    "denied": "deny",
    "cancelled": "cancel",
}
"""What was entered → the act of the state table (`authorisation.MOVES`)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a payer told a person. by: who said it, at the payer. ref: its number. said: what was said, in words or verbatim."""

    decision: Entered
    by: str
    said: str
    ref: str = ""
    begins: date | None = None
    until: date | None = None


def claim(referral: Json, coverage: str, payor: Json, *, id: str, clinic: str, now: datetime, day: date | None, fast: bool) -> Json:
    """The Claim that asks a payer for the second opinion of a case. coverage: "Coverage/id" that pays first; day: of the appointment.

    id: of the Claim, by which the payer can name it.
    """
    what = [coding for coding in walk(referral, "code.coding") if isinstance(coding, dict)]
    item: Json = {"sequence": 1, "category": SERVICE, "productOrService": {"coding": what} if what else {"text": "Second opinion"}}
    codes = [(system, code) for concept in walk(referral, "reasonCode") for system, code in codings(concept) if system in ICD10]
    if codes:
        item["diagnosisSequence"] = list(range(1, len(codes) + 1))
    if day is not None:
        item["servicedDate"] = day.isoformat()
    made: Json = {
        "resourceType": "Claim",
        "extension": [{"url": SECOND_SURGICAL_OPINION, "valueBoolean": True}],
        "identifier": [{"system": URN, "value": f"urn:uuid:{id}"}],
        "status": "active",
        "type": TYPE,
        "use": "preauthorization",
        "patient": referral["subject"],
        "created": _stamp(now),
        "insurer": payor,
        "provider": next(iter(referral.get("performer") or ()), {"display": clinic}),
        "priority": {"coding": [{"system": PRIORITY, "code": "stat" if fast else "normal"}]},
        "referral": {"reference": f"ServiceRequest/{referral['id']}"},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": coverage}}],
        "item": [item],
    }
    diagnosis = [
        {"sequence": n, "diagnosisCodeableConcept": {"coding": [{"system": system, "code": code}]}} for n, (system, code) in enumerate(codes, 1)
    ]
    return made | ({"diagnosis": diagnosis} if diagnosis else {})


def answer(told: Told, patient: Json, payor: Json, *, request: str | None, coverage: str | None, surgical: Sequence[Json], now: datetime) -> Json:
    """The ClaimResponse of what a payer told a person. request: "Claim/id"; surgical: the indicator as the Claim carries it."""
    made: Json = {
        "resourceType": "ClaimResponse",
        "status": "cancelled" if told.decision == "cancelled" else "active",
        "type": TYPE,
        "use": "preauthorization",
        "patient": patient,
        "created": _stamp(now),
        "insurer": payor,
        "outcome": OUTCOME[told.decision],
        "processNote": [{"type": "print", "text": told.said}, {"type": "print", "text": f"Said by {told.by}"}],
    }
    if surgical:
        made["extension"] = list(surgical)
    if request:
        made["request"] = {"reference": request}
    if told.ref:
        made["preAuthRef"] = told.ref
    period = {end: day.isoformat() for end, day in (("start", told.begins), ("end", told.until)) if day}
    if period:
        made["preAuthPeriod"] = period
    if told.decision in REVIEW:
        made["item"] = [{"itemSequence": 1, "adjudication": [{"extension": [_review(REVIEW[told.decision])], "category": ADJUDICATED}]}]
    if coverage:
        made["insurance"] = [{"sequence": 1, "focal": True, "coverage": {"reference": coverage}}]
    return made


def number(claim: Json) -> str:
    """What a payer names the Claim by, "" for one that has no number."""
    return next((str(one["value"]) for one in claim.get("identifier") or () if one.get("value")), "")


def indicator(resource: Json) -> list[Json]:
    """The second surgical opinion indicator of a Claim, to be kept on its answer."""
    return [one for one in resource.get("extension") or () if isinstance(one, dict) and one.get("url") == SECOND_SURGICAL_OPINION]


def _review(code: str) -> Json:
    return {"url": REVIEW_ACTION, "extension": [{"url": REVIEW_CODE, "valueCodeableConcept": {"coding": [{"system": REVIEWS, "code": code}]}}]}


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
