"""What a payer decided about a request for prior authorisation, read from a ClaimResponse whoever made it: HL7 v2, Da Vinci PAS, a payer's own FHIR, a person.

Source: DOMAIN of the X12 278 decision (element 306, HCR01) as Da Vinci PAS puts it into ClaimResponse.item.adjudication; FHIR R4 ClaimResponse.outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from profiles.eligibility import ITEM_NUMBER, ITEM_PERIOD, REVIEW_ACTION, REVIEW_CODE

Decision = Literal["approved", "partly-approved", "denied", "pended", "information-requested", "not-needed", "cancelled", "failed", "unknown"]

REVIEWED: Final[dict[str, Decision]] = {
    "A1": "approved",
    "A2": "partly-approved",
    "A3": "denied",
    "A4": "pended",
    "A6": "partly-approved",
    "C": "cancelled",
    "CT": "pended",
    "NA": "not-needed",
}
"""X12 element 306 (HCR01): certified in total, in part, not certified, pended, modified, cancelled, contact payer, no action required. Any other code is
read by the outcome alone.
"""


def decided(response: Json) -> Decision:
    """The decision of a ClaimResponse with use `preauthorization`. "unknown" is an answer: complete, and neither a decision nor a reference in it.

    "failed" is none: the request could not be processed, and `error` says why (R4 remittance-outcome `error`). Nor is one with a modifierExtension, which
    may say the contrary of what stands beside it (R4 extensibility.html#modifierExtension).
    """
    if response.get("status") == "cancelled":
        return "cancelled"
    if modified(response):
        return "unknown"
    asks = bool(response.get("communicationRequest"))
    found = {REVIEWED[code] for code in reviews(response) if code in REVIEWED}
    if found:
        return _together(found, asks)
    match response.get("outcome"):
        case "queued" | "partial":
            return "information-requested" if asks else "pended"
        case "error":
            return "failed" if response.get("error") else "denied"
    return "approved" if response.get("preAuthRef") else "unknown"


def modified(value: Any) -> bool:
    """Is there a modifierExtension anywhere in it?"""
    if isinstance(value, dict):
        return bool(value.get("modifierExtension")) or any(modified(one) for one in value.values())
    return isinstance(value, list) and any(modified(one) for one in value)


def number(response: Json) -> str:
    """What the payer knows the authorisation by: preAuthRef, else what its items are numbered by (Da Vinci PAS: `number` of the review action)."""
    if response.get("preAuthRef"):
        return str(response["preAuthRef"])
    found = [value for action in _actions(response) for value in _values(action, "number")]
    found += [value for item in _items(response) for value in _values(item, ITEM_NUMBER)]
    return ", ".join(dict.fromkeys(str(value) for value in found))


def periods(response: Json) -> list[Json]:
    """When it is good: preAuthPeriod, else the period of each item that is not refused (Da Vinci PAS, extension-itemPreAuthPeriod)."""
    if isinstance(response.get("preAuthPeriod"), dict):
        return [response["preAuthPeriod"]]
    granted = [item for item in _items(response) if "A3" not in _codes(item)]
    return [value for item in granted for value in _values(item, ITEM_PERIOD) if isinstance(value, dict)]


def wanted(response: Json) -> list[str]:
    """What the payer asks for, in its words: by the name of a CommunicationRequest, or what one says that is contained."""
    inside = {f"#{one.get('id')}": one for one in walk(response, "contained") if isinstance(one, dict)}
    asked = [one for one in walk(response, "communicationRequest") if isinstance(one, dict)]
    said = [[one["display"]] if one.get("display") else walk(inside.get(str(one.get("reference")), {}), "payload.contentString") for one in asked]
    return [str(text) for texts in said for text in texts]


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
    return [code for item in _items(response) for code in _codes(item)]


def _items(response: Json) -> list[Json]:
    return [one for path in ("item", "addItem") for one in walk(response, path) if isinstance(one, dict)]


def _actions(element: Json) -> list[Json]:
    """The review actions of a response, or of one item of it."""
    parts = [part for one in (_items(element) or [element]) for part in walk(one, "adjudication")]
    return [e for part in parts for e in walk(part, "extension") if isinstance(e, dict) and e.get("url") == REVIEW_ACTION]


def _codes(item: Json) -> list[str]:
    concepts = [value for action in _actions(item) for value in _values(action, REVIEW_CODE)]
    return [str(code) for concept in concepts for code in walk(concept, "coding.code")]


def _values(element: Json, url: str) -> list[Any]:
    named = [e for e in walk(element, "extension") if isinstance(e, dict) and e.get("url") == url]
    return [value for e in named for name, value in e.items() if name.startswith("value")]


def _together(found: set[Decision], asks: bool) -> Decision:
    """Of several items: undecided while one is; granted or refused when all are; else in part."""
    if "pended" in found:
        return "information-requested" if asks else "pended"
    found -= {"not-needed"} if len(found) > 1 else set()
    return next(iter(found)) if len(found) == 1 else "partly-approved"
