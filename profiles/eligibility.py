"""The words of an eligibility answer: systems, extensions and service types that the X12 mapper, the coverage rules and the case rules share.

A CoverageEligibilityResponse is one shape whoever answered (rules held here, a FHIR payer, an X12 271): one `insurance.item` per service type that
answered, its `category.coding` of SERVICE_TYPES; `inforce` left out when nobody could say; `authorizationRequired` left out when unknown; never a yes
or a no made of "indeterminate".
"""

from __future__ import annotations

from typing import Final

from profiles.canonical import canonical

SERVICE_TYPES: Final = "https://codesystem.x12.org/005010/1365"
SERVICE_TYPE_SYSTEMS: Final = frozenset(
    {SERVICE_TYPES, "https://x12.org/codes/service-type-codes", "http://terminology.hl7.org/CodeSystem/ex-benefitcategory", ""}
)
"""Systems under which the codes of X12 element 1365 are sent: Da Vinci's, HL7 Terminology's, and R4's own example of benefit categories, which are the same."""
REJECTIONS: Final = "https://codesystem.x12.org/005010/901"
FOLLOW_UPS: Final = "https://codesystem.x12.org/005010/889"
PERIODS: Final = "https://codesystem.x12.org/005010/615"
BENEFIT_TYPES: Final = "http://terminology.hl7.org/CodeSystem/benefit-type"
OWN_BENEFITS: Final = canonical("CodeSystem", "benefit")
NETWORK: Final = "http://terminology.hl7.org/CodeSystem/benefit-network"
UNIT: Final = "http://terminology.hl7.org/CodeSystem/benefit-unit"

ASKED_FIRST: Final = "20"
ANSWERING: Final = ("20", "3", "98", "ON", "87", "30")
"""Service types that may answer for a second opinion, the nearest first: second surgical opinion, consultation, professional visit, oncology, cancer,
plan (X12 element 1365; DOMAIN 4.2).
"""

REVIEW_ACTION: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewAction"
REVIEW_CODE: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewActionCode"
ITEM_PERIOD: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemPreAuthPeriod"
ITEM_NUMBER: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-authorizationNumber"
"""Of ClaimResponse.item: when its authorisation is good (valuePeriod), and its number (valueString) (Da Vinci PAS)."""
REVIEWS: Final = "https://codesystem.x12.org/005010/306"
"""Of ClaimResponse.item.adjudication: what the payer decided of an item, and the code of X12 element 306 (HCR01) for it (Da Vinci PAS)."""
SECOND_SURGICAL_OPINION: Final = canonical("StructureDefinition", "second-surgical-opinion")
"""Of a Claim and its ClaimResponse: valueBoolean, what is asked for is a second opinion before surgery."""

# Extensions of CoverageEligibilityResponse, where each stands and its value[x].
SECOND_OPINION_REQUIRED: Final = canonical("StructureDefinition", "second-opinion-required")  # insurance.item: valueBoolean (EB01 Q)
INDETERMINATE: Final = canonical("StructureDefinition", "indeterminate")  # insurance or insurance.item: valueString, why nobody can say (EB01 V)
DISCLAIMER: Final = canonical(
    "StructureDefinition", "payer-disclaimer"
)  # response or insurance.item: valueString, the payer's words verbatim; repeats
VALID_UNTIL: Final = canonical("StructureDefinition", "valid-until")  # response: valueDate, the last day the answer may be relied on
RAW_ANSWER: Final = canonical("StructureDefinition", "raw-answer")  # response: valueReference, the Binary with the payer's bytes
COVERAGE_CHECKED: Final = canonical("StructureDefinition", "coverage-checked")  # insurance: valueString, digest of the Coverage as it was asked about
NETWORK_PROVIDER: Final = canonical("StructureDefinition", "network-provider")  # insurance.item: valueReference, one the plan names; repeats
NETWORK_RESTRICTED: Final = canonical(
    "StructureDefinition", "network-restricted"
)  # insurance.item: valueString, what the plan restricts the choice to
REMAINING: Final = canonical("StructureDefinition", "benefit-remaining")  # insurance.item.benefit: valueMoney, what is left of it
BENEFIT_PERIOD: Final = canonical("StructureDefinition", "benefit-period")  # insurance.item.benefit: valueCoding of PERIODS
PAYER_CONTACT: Final = canonical("StructureDefinition", "payer-contact")  # response: valueContactPoint or valueString (EB01 U); repeats
CHANNEL: Final = canonical("StructureDefinition", "answered-by")  # response: valueCode rules | fhir | x12 | person
PERSON: Final = "person"
"""A CHANNEL: what a payer told a person, who entered it."""
FOLLOW_UP: Final = canonical("StructureDefinition", "follow-up-action")  # error: valueCoding of FOLLOW_UPS (AAA04)
WHO_FIXES: Final = canonical("StructureDefinition", "who-must-fix")  # error: valueCode clinic | referrer | patient | payer
RETRY_AFTER: Final = canonical("StructureDefinition", "retry-after")  # error: valueDuration, when the same question may be asked again
ERROR_AT: Final = canonical("StructureDefinition", "error-location")  # error: valueString, loop and segment (2100C AAA)

# Of an answer that came as X12; what FHIR has no element for.
IN_FORCE: Final = canonical("StructureDefinition", "in-force")  # insurance.item: valueBoolean, EB01 1-5 true, 6-8 false for this service type alone
BENEFIT_UNIT: Final = canonical(
    "StructureDefinition", "benefit-unit"
)  # insurance.item.benefit: valueCoding of UNIT (EB02), where benefits differ in it
BENEFIT_NOTE: Final = canonical("StructureDefinition", "benefit-note")  # insurance.item.benefit: valueString, the payer's words about it; repeats
ENQUIRY: Final = canonical("NamingSystem", "enquiry")  # system of the number by which a question of ours is known to a payer
OTHER_PAYER: Final = canonical("StructureDefinition", "other-payer")  # insurance: valueString, another payer the answer names (EB01 R); repeats
KEPT: Final = canonical("StructureDefinition", "x12-segment")  # response, insurance.item or its benefit: valueString, a segment verbatim; repeats
OUT_OF_POCKET: Final = "out-of-pocket"  # code of OWN_BENEFITS
