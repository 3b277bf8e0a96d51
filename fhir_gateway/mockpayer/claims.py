"""Prior authorisation as the script says: a Claim is answered with a ClaimResponse, which may be pended and looked at again.

Source: FHIR R4 Claim/$submit; Da Vinci PAS for `$inquire`, the review action and the request for documents (here a CommunicationRequest beside the answer).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.fhir import UnreadableError, member, one, resources
from fhir_gateway.mockpayer.script import Decision

Json = dict[str, Any]
LOINC: Final = "http://loinc.org"
ADJUDICATION: Final = "http://terminology.hl7.org/CodeSystem/adjudication"
REVIEW_ACTION: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewAction"
REVIEW_CODE: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewActionCode"
REVIEW_CODES: Final = "https://codesystem.x12.org/005010/306"
_CODES: Final = {"approved": "A1", "denied": "A3", "pended": "A4", "more-information": "A4"}
"""HCR01 (element 306): certified, not certified, pended."""


@dataclass(slots=True)
class Claims:
    """What was asked for: by the id of its answer, the member, the Claim and the newest answer."""

    book: Book
    _held: dict[str, tuple[str, Json]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submitted(self, body: Any, now: datetime) -> tuple[Decision, Json]:
        """The decision on a new Claim and the Bundle that answers it. Raises UnreadableError."""
        found = resources(body)
        claim = one(found, "Claim")
        who = member(found) or _member_of(claim)
        with self._lock:
            name = f"authorisation-{len(self._held) + 1}"
            self._held[name] = (who, claim)
        decision = self.book.decision(who, asked="submit", trace=_number(claim))
        return decision, _bundle(name, claim, decision, now)

    def inquired(self, body: Any, now: datetime) -> tuple[Decision, Json]:
        """How it stands with a Claim sent before, by its identifier. Raises UnreadableError."""
        wanted = _number(one(resources(body), "Claim"))
        return self.looked_at(next((name for name, (_, claim) in self._held.items() if _number(claim) == wanted), ""), now)

    def looked_at(self, name: str, now: datetime) -> tuple[Decision, Json]:
        """How it stands with the answer of this id. Raises UnreadableError."""
        if name not in self._held:
            raise UnreadableError("no such authorisation has been asked for")
        who, claim = self._held[name]
        decision = self.book.decision(who, asked="poll", trace=_number(claim))
        return decision, _bundle(name, claim, decision, now)

    def named(self, request: str) -> str:
        """The id of the answer to a Claim by its identifier, "" for none."""
        return next((name for name, (_, claim) in self._held.items() if _number(claim) == request), "")


def response(bundle: Json) -> Json:
    """The ClaimResponse of an answer."""
    return one(resources(bundle), "ClaimResponse")


def _bundle(name: str, claim: Json, decision: Decision, now: datetime) -> Json:
    entries = [_response(name, claim, decision, now)]
    if decision.decision == "more-information":
        entries.append(_wanted(name, claim, decision, now))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now.isoformat(timespec="seconds"),
        "entry": [{"resource": x} for x in entries],
    }


def _response(name: str, claim: Json, decision: Decision, now: datetime) -> Json:
    pended = decision.decision in ("pended", "more-information")
    number = "urn:uuid:00000000-0000-4000-8000-000000000000" if decision.fault == "somebody-else" else _number(claim)
    made: Json = {"resourceType": "ClaimResponse", "id": name, "status": "active", "type": claim.get("type", {"text": "professional"})}
    made |= {"use": "preauthorization", "patient": {"display": "the member asked about"}, "created": now.isoformat(timespec="seconds")}
    made |= {"insurer": {"display": str(claim.get("insurer", {}).get("display", "the payer"))}}
    made["request"] = {"identifier": {"system": "urn:ietf:rfc:3986", "value": number}}
    made["outcome"] = "queued" if pended else "complete"
    if decision.reason:
        made["disposition"] = decision.reason
    if decision.number:
        made["preAuthRef"] = decision.number
    if decision.decision == "approved":
        begins = _created(claim, now)
        made["preAuthPeriod"] = {"start": begins.isoformat(), "end": (begins + timedelta(days=decision.days)).isoformat()}
    made["item"] = [{"itemSequence": 1, "adjudication": [_adjudication(decision)]}]
    if decision.fault == "breaks-specification":
        made |= {"outcome": "perhaps"}
    return made


def _adjudication(decision: Decision) -> Json:
    coding = {"system": REVIEW_CODES, "code": _CODES[decision.decision]}
    action: Json = {"url": REVIEW_ACTION, "extension": [{"url": REVIEW_CODE, "valueCodeableConcept": {"coding": [coding]}}]}
    made: Json = {"extension": [action], "category": {"coding": [{"system": ADJUDICATION, "code": "submitted"}]}}
    return made | ({"reason": {"text": decision.reason}} if decision.reason else {})


def _wanted(name: str, claim: Json, decision: Decision, now: datetime) -> Json:
    payload = [
        {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-contentModifier",
                    "valueCodeableConcept": {"coding": [{"system": LOINC, "code": code}]},
                }
            ],
            "contentString": f"Please send the document {code}.",
        }
        for code in decision.documents
    ]
    return {
        "resourceType": "CommunicationRequest",
        "id": f"{name}-documents",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"{_number(claim)}#documents"}],
        "status": "active",
        "category": [{"text": "documents for the authorisation"}],
        "about": [{"identifier": {"system": "urn:ietf:rfc:3986", "value": _number(claim)}}],
        "authoredOn": now.isoformat(timespec="seconds"),
        "payload": payload,
    }


def _created(claim: Json, now: datetime) -> date:
    """The day the Claim was made, from which an authorisation holds; today where it does not say."""
    try:
        return date.fromisoformat(str(claim.get("created", ""))[:10])
    except ValueError:
        return now.date()


def _number(claim: Json) -> str:
    return next((str(one["value"]) for one in claim.get("identifier", ()) if one.get("value")), "")


def _member_of(claim: Json) -> str:
    return str(claim.get("patient", {}).get("identifier", {}).get("value", ""))
