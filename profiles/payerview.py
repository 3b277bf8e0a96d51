"""What a payer may see of each type of resource, element by element, and what it may search by. A type that is not here does not exist for a payer.

Source: 45 CFR 164.502(b) and 164.514(d), minimum necessary for disclosures that are not for treatment; ADR 0032. A parameter is listed only where the
whole of its element is shown: whoever can search by an element can read it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from profiles import eligibility


class View(NamedTuple):
    """elements: those shown, a choice by each of its names. parameters: what may be searched by, beside `_id` and `_lastUpdated`."""

    elements: frozenset[str]
    parameters: frozenset[str] = frozenset()


def _view(elements: str, parameters: str = "") -> View:
    return View(frozenset(elements.split()), frozenset(parameters.split()))


VIEWS: Final[dict[str, View]] = {
    "Binary": _view("contentType data"),
    "Claim": _view(
        "identifier status type subType use patient billablePeriod created insurer provider priority referral supportingInfo diagnosis procedure"
        " insurance item total",
        "patient identifier",
    ),
    "ClaimResponse": _view(
        "identifier status type subType use patient created insurer requestor request outcome disposition preAuthRef preAuthPeriod item addItem"
        " adjudication total processNote communicationRequest insurance error",
        "patient request status outcome use created identifier",
    ),
    "Coverage": _view(
        "identifier status type subscriberId beneficiary dependent relationship period payor class",
        "beneficiary patient status identifier type class-type class-value",
    ),
    "CoverageEligibilityRequest": _view(
        "identifier status priority purpose patient servicedDate servicedPeriod created insurer provider insurance item",
        "patient status created identifier",
    ),
    "CoverageEligibilityResponse": _view(
        "identifier status purpose patient servicedDate servicedPeriod created requestor request outcome disposition insurer insurance preAuthRef error",
        "patient request status outcome created identifier",
    ),
    "DiagnosticReport": _view("status category code subject effectiveDateTime effectivePeriod issued conclusion presentedForm", "patient status"),
    "DocumentReference": _view("status docStatus type category subject date description content", "patient status type"),
    "Patient": _view("identifier name gender birthDate"),
    "ServiceRequest": _view(
        "status intent category code subject occurrenceDateTime occurrencePeriod occurrenceTiming doNotPerform", "subject patient status intent"
    ),
}
RELEASED: Final = ("DiagnosticReport", "DocumentReference")
"""Types that staff may release to a payer; the Binary that one of them names goes with it."""
WRITTEN: Final = ("ClaimResponse", "CoverageEligibilityRequest")
"""Types a payer may create. It changes and deletes nothing."""

QUESTIONS: Final = frozenset({"CoverageEligibilityRequest", "CoverageEligibilityResponse"})
"""Types of which a new resource adds to what payers are shown nothing but itself."""

EXTENSIONS: Final = frozenset(
    {
        eligibility.BENEFIT_PERIOD,
        eligibility.CHANNEL,
        eligibility.DISCLAIMER,
        eligibility.ERROR_AT,
        eligibility.FOLLOW_UP,
        eligibility.INDETERMINATE,
        eligibility.ITEM_NUMBER,
        eligibility.ITEM_PERIOD,
        eligibility.NETWORK_PROVIDER,
        eligibility.NETWORK_RESTRICTED,
        eligibility.PAYER_CONTACT,
        eligibility.REMAINING,
        eligibility.RETRY_AFTER,
        eligibility.REVIEW_ACTION,
        eligibility.SECOND_OPINION_REQUIRED,
        eligibility.VALID_UNTIL,
        eligibility.WHO_FIXES,
    }
)
"""Extensions that are shown; all others are left out, among them what is kept of HL7 v2 fields."""
