"""CON → Consent.

Guide silent on the whole segment (chapter 9.9). A CON without its own purpose is a release of information, which is what a referral asks the patient
for.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, fixed, status
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.people import xpn
from mappers.v2.datatypes.text import code, ft, st
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.table import Datatype, field, keep, segment, structural, takes, target
from profiles.canonical import canonical

SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
LOINC: Final = "http://loinc.org"
TEXT: Final = canonical("StructureDefinition", "consent-text")
CONSENTER: Final = canonical("StructureDefinition", "consenter")
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PAYMENT: Final = "HPAYMT"
"""v3-ActReason: a consent type sent, or translated for a sender, as this is about what the health plan is told."""
RESTRICTION: Final = "110"
"""Table 0496: request to restrict disclosure. CON can't name to whom; the restriction that has to be granted is that of payment (45 CFR 164.522(a)(1)(vi))."""
REFUSED: Final = ("R", "X")
"""Table 0498: refused, rescinded. The refusal is a decision that is in force."""
POLICY: Final = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"


def worded(part_name: str) -> Datatype:
    """A text of the form, under its name, in an extension."""

    @takes()
    def text(repetition: Repetition, ctx: Context) -> Json | None:
        found = ft.convert(repetition, ctx)
        return {"url": TEXT, "extension": [{"url": "part", "valueCode": part_name}, {"url": "text", "valueString": found}]} if found else None

    return text


@takes(1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14)
def consenter(repetition: Repetition, ctx: Context) -> Json | None:
    """CON-24: whoever consented, by name."""
    found = xpn.convert(repetition, ctx)
    return {"url": CONSENTER, "extension": [{"url": "name", "valueHumanName": found}]} if found else None


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9)
def relationship(repetition: Repetition, ctx: Context) -> Json | None:
    """CON-25: what the consenter is to the patient (table 0548)."""
    found = coded("0548").convert(repetition, ctx)
    return {"url": CONSENTER, "extension": [{"url": "relationship", "valueCodeableConcept": found}]} if found else None


CON = segment(
    "CON",
    target(
        "Consent",
        field("CON-2", "category[]", coded("0496")),
        field("CON-3", "policyRule.text", st),
        field("CON-4", "identifier[]", ei()),
        field("CON-5", "extension[]", worded("consent")),
        field("CON-6", "extension[]", worded("subject-specific-consent")),
        field("CON-7", "extension[]", worded("background")),
        field("CON-8", "extension[]", worded("subject-specific-background")),
        field("CON-9", "extension[]", worded("limitations")),
        field("CON-11", "status", status("0498-consent-status", "0498", "proposed")),
        field("CON-11", "provision.type", code("0498-provision-type", number="0498")),
        field("CON-13", "dateTime", dtm),
        field("CON-14", "provision.period.start", dtm),
        field("CON-15", "provision.period.end", dtm),
        field("CON-24", "extension[]", consenter),
        field("CON-25", "extension[]", relationship),
    ),
    structural("CON-1"),
    keep("CON-10", why="how consent was given: no element in R4"),
    keep("CON-12", why="when it was discussed: R4 has only the decision's time"),
)


def consent(node: Node, ctx: Context) -> Draft:
    """The Consent of one CON: a release of information, or whether the health plan may be told."""
    draft = ctx.add(ctx.new("Consent", scope=fixed(SCOPE, "patient-privacy", "Privacy Consent"), patient=reference(ctx.patient)))
    CON.map(node.segment, ctx, Consent=draft)
    resource = draft.resource
    resource.setdefault("category", [])
    resource.setdefault("status", "proposed")
    if not _about_plans(resource, node.segment.value(11)):
        resource["category"].append(fixed(LOINC, "64292-6", "Release of information consent"))
    if node.segment.value(25) == "SEL":
        resource["performer"] = [reference(ctx.patient)]
    resource.setdefault("policyRule", {}).setdefault("coding", [{"system": POLICY, "code": "hipaa-auth"}])  # invariant ppc-1: a policy or a rule
    return draft


def _about_plans(resource: Json, status_code: str) -> bool:
    """Make a CON about telling the health plan one of payment: a granted request for restriction, or a refusal of that disclosure, denies it while it lasts."""
    codes = {coding.get("code") for concept in resource["category"] for coding in concept.get("coding", ())}
    asks = RESTRICTION in codes
    if not asks and PAYMENT not in codes:
        return False
    provision = resource.setdefault("provision", {})
    provision["purpose"] = [{"system": ACT_REASON, "code": PAYMENT, "display": "healthcare payment"}]
    if asks:
        provision["type"] = "deny"
    elif status_code in REFUSED:
        resource["status"], provision["type"] = "active", "deny"
    return True
