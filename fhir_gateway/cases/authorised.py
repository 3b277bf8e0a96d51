"""What a payer decided about a request for prior authorisation, read from a ClaimResponse whoever made it: HL7 v2, Da Vinci PAS, a payer's own FHIR, a person.

Source: DOMAIN of the X12 278 decision (element 306, HCR01) as Da Vinci PAS puts it into ClaimResponse.item.adjudication; FHIR R4 ClaimResponse.outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from profiles.eligibility import REVIEW_ACTION, REVIEW_CODE

Decision = Literal["approved", "partly-approved", "denied", "pended", "information-requested", "not-needed", "cancelled", "unknown"]

REVIEWED: Final[dict[str, Decision]] = {
    "A1": "approved",
    "A3": "denied",
    "A4": "pended",
    "A6": "partly-approved",
    "CT": "pended",
    "NA": "not-needed",
}
"""X12 element 306, the codes a decision needs. Any other code is read by the outcome alone."""


def decided(response: Json) -> Decision:
    """The decision of a ClaimResponse with use `preauthorization`. "unknown" is an answer: complete, and neither a decision nor a reference in it."""
    if response.get("status") == "cancelled":
        return "cancelled"
    asks = bool(response.get("communicationRequest"))
    found = {REVIEWED[code] for code in reviews(response) if code in REVIEWED}
    if found:
        return _together(found, asks)
    match response.get("outcome"):
        case "queued" | "partial":
            return "information-requested" if asks else "pended"
        case "error":
            return "denied"
    return "approved" if response.get("preAuthRef") else "unknown"


def of_another_service(held: Mapping[str, Json], referral: str) -> frozenset[str]:
    """Those Claims that were put for another referral, and the ClaimResponses to them. held: by reference; referral: "ServiceRequest/id".

    One that names no referral, or none held as this server's own, may be about this one.
    """
    claims = {name for name, one in held.items() if one.get("resourceType") == "Claim" and _names_another(one, referral)}
    answers = {name for name, one in held.items() if one.get("resourceType") == "ClaimResponse" and claims & set(walk(one, "request.reference"))}
    return frozenset(claims | answers)


def _names_another(claim: Json, referral: str) -> bool:
    named = [str(name) for name in walk(claim, "referral.reference")]
    return bool(named) and referral not in named and all(name.startswith("ServiceRequest/") for name in named)


def reviews(response: Json) -> list[str]:
    """The review actions of its items (HCR01), in order."""
    codes: list[str] = []
    for element in (*walk(response, "item.adjudication"), *walk(response, "addItem.adjudication")):
        for extension in (e for e in walk(element, "extension") if isinstance(e, dict) and e.get("url") == REVIEW_ACTION):
            parts = [e for e in walk(extension, "extension") if isinstance(e, dict) and e.get("url") == REVIEW_CODE]
            codes += [str(code) for part in parts for code in walk(part, "valueCodeableConcept.coding.code")]
    return codes


def _together(found: set[Decision], asks: bool) -> Decision:
    """Of several items: undecided while one is; granted or refused when all are; else in part."""
    if "pended" in found:
        return "information-requested" if asks else "pended"
    found -= {"not-needed"} if len(found) > 1 else set()
    return next(iter(found)) if len(found) == 1 else "partly-approved"
