"""What a payer's answer says for the money gate: eligibility in force, authorisation on file. DOMAIN 4.1 to 4.3.

"Indeterminate" is an answer and never becomes yes or no.
"""

from __future__ import annotations

from fhir_gateway.cases.evidence import Entry, walk
from fhir_gateway.cases.model import ItemState

Says = tuple[ItemState, str] | None
"""None: the answer is a plain yes."""


def eligibility(entry: Entry) -> Says:
    """CoverageEligibilityResponse: in force, not in force, still queued, or indeterminate (X12 EB01 V, an AAA error, no answer)."""
    outcome = entry.resource.get("outcome")
    if outcome in ("queued", "partial"):
        return "expected", "pended"
    inforce = [value for value in walk(entry.resource, "insurance.inforce") if isinstance(value, bool)]
    if outcome == "error" or not inforce:
        return "received", "indeterminate"
    if not any(inforce):
        return "not-acceptable", "not-in-force"
    return None


def authorisation(entry: Entry) -> Says:
    """ClaimResponse: granted needs a complete outcome and a reference the payer will know it by."""
    resource = entry.resource
    if resource.get("use") != "preauthorization":
        return "not-acceptable", "wrong-type"
    outcome = resource.get("outcome")
    if outcome in ("queued", "partial"):
        return "expected", "pended"
    if outcome == "error":
        return "not-acceptable", "denied"
    return None if resource.get("preAuthRef") else ("received", "indeterminate")
