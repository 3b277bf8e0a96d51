"""IN1, IN2, IN3 → Coverage (one per IN1), its payor Organization, its subscriber RelatedPerson, the certification ClaimResponse, the payer's
second-opinion record.

Guide: IN1[Coverage]; IN3[CareTeam] maps one field. Guide silent on IN1-3, -8, -9, -22, -36, all of IN2, IN3-22 to -25.
IN2 and IN3 belong to the IN1 before them and to no other.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded, translated
from mappers.v2.datatypes.ids import cx, cx_as, ssn, st_identifier
from mappers.v2.datatypes.measures import whole
from mappers.v2.datatypes.parties import adopt, xcn, xon
from mappers.v2.datatypes.people import xad, xpn, xtn_home, xtn_work
from mappers.v2.datatypes.text import code, part, st
from mappers.v2.datatypes.times import dt, dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import REFUSED, STORED
from mappers.v2.segments.aut import complete_claim
from mappers.v2.segments.nk1 import RELATION
from mappers.v2.table import field, keep, segment, structural, takes, target
from profiles.canonical import canonical

SELF: Final = frozenset({"SEL", "SELF", "01", "18"})  # table 0063, its common misspelling, tables 0344 and X12 1069
CLASS: Final = "http://terminology.hl7.org/CodeSystem/coverage-class"
SECOND_OPINION: Final = canonical("StructureDefinition", "payer-second-opinion")


@takes(1)
def plan_value(repetition: Repetition, ctx: Context) -> str | None:
    return part(repetition, 1) or part(repetition, 2) or None


@takes(2)
def plan_name(repetition: Repetition, ctx: Context) -> str | None:
    return part(repetition, 2) or None


subscriber_relationship = translated("0063-subscriber-relationship", "0063")
"""IN1-17 (table 0063) says what the insured is to the patient, Coverage.relationship what the beneficiary is to the subscriber: the ConceptMap turns
it round.
"""


@takes(1)
def policy_as_subscriber(repetition: Repetition, ctx: Context) -> str | None:
    """The policy number is the subscriber's id unless IN1-49 gives that."""
    return None if ctx.segment.raw(49) else part(repetition, 1) or None


@takes(1, 2, 3, 4, 5, 7, 8)
def employee_id(repetition: Repetition, ctx: Context) -> Json | None:
    """IN1-10 identifies the policy holder's group, unless its type says subscriber number (row 12)."""
    return None if part(repetition, 5) == "SN" else cx.convert(repetition, ctx)


@takes(1, 2, 3, 4, 5, 7, 8)
def subscriber_number(repetition: Repetition, ctx: Context) -> Json | None:
    return cx.convert(repetition, ctx) if part(repetition, 5) == "SN" else None


def policy_holder(resource: Json, value: Any, ctx: Context) -> int:
    """IN1-11 names the organisation IN1-10 identifies."""
    holder = resource.setdefault("policyHolder", {})
    if "reference" in holder:
        return REFUSED
    holder.update(value)
    return STORED


@takes(3, 4, 5, 6, 7, 10)
def company_id(repetition: Repetition, ctx: Context) -> Json | None:
    """The identifier inside an XON."""
    number = part(repetition, 10) or part(repetition, 3)
    return cx.convert([number, part(repetition, 4), part(repetition, 5), *repetition[5:7]], ctx) if number else None


@takes(1, 2, 3, 4, 5, 6)
def reason(repetition: Repetition, ctx: Context) -> Json | None:
    """Why a payer does not concur, or why it was appealed to, in words; a bare code is kept."""
    words = part(repetition, 2) or part(repetition, 9)
    for component in (1, 3, 4, 5, 6):
        ctx.leave(component)
    return {"text": words} if words else None


IN1 = segment(
    "IN1",
    target(
        "Coverage",
        field("IN1-2", "class[plan].value", plan_value),  # row 4 says identifier; Microsoft and Zato say class
        field("IN1-2", "class[plan].name", plan_name),
        field("IN1-8", "class[group].value", st),  # guide silent (row 10 blank)
        field("IN1-9", "class[group].name", st),  # guide silent (row 11 blank)
        field("IN1-10", "policyHolder.identifier", employee_id),  # row 14
        field("IN1-10", "identifier[]", subscriber_number),  # rows 12-13
        field("IN1-11", policy_holder, xon, shown="policyHolder"),  # row 15
        field("IN1-12", "period.start", dtm),  # row 16
        field("IN1-13", "period.end", dtm),  # row 17
        field("IN1-15", "type", coded("0086")),  # row 19
        field("IN1-17", "relationship", subscriber_relationship),  # rows 20-22 have the wrong direction
        field("IN1-22", "order", whole),  # guide silent: coordination of benefits priority
        field("IN1-36", "subscriberId", policy_as_subscriber),  # guide silent (row 41 blank)
        field("IN1-36", "identifier[]", st_identifier("PN", "policy")),
        field("IN1-49", "subscriberId", st),  # rows 54-55
        field("IN1-49", "identifier[]", cx_as("MB")),
        slices={
            "class[plan]": {"type": {"coding": [{"system": CLASS, "code": "plan"}]}},
            "class[group]": {"type": {"coding": [{"system": CLASS, "code": "group"}]}},
        },
    ),
    target(
        "Organization",
        field("IN1-3", "identifier[]", cx),  # guide silent (row 5 blank)
        field("IN1-4", "name", st),  # row 6
        field("IN1-4", "identifier[]", company_id),
        field("IN1-5", "address[]", xad),  # row 7
        field("IN1-6", "contact[payer].name", xpn),
        field("IN1-7", "telecom[]", xtn_work),
    ),
    target(
        "RelatedPerson",
        field("IN1-16", "name[]", xpn),  # row 20
        field("IN1-17", "relationship[]", RELATION),
        field("IN1-18", "birthDate", dt),
        field("IN1-19", "address[]", xad),
        field("IN1-43", "gender", code("0001-administrative-gender", number="0001")),
    ),
    structural("IN1-1"),
    keep("IN1-14", why="authorisation information: AUT or IN3 makes the ClaimResponse"),
    keep("IN1-46", why="prior insurance plan id: no element in R4"),
)

IN2 = segment(
    "IN2",
    target(
        "Coverage",  # guide silent on the whole segment
        field("IN2-6", "identifier[]", st_identifier("MC", "medicare")),
        field("IN2-8", "identifier[]", st_identifier("MA", "medicaid")),
        field("IN2-26", "identifier[]", cx_as("SN")),
        field("IN2-61", "identifier[]", cx_as("MB")),
        field("IN2-72", "relationship", translated("0344-subscriber-relationship", "0344")),
    ),
    target("Organization", field("IN2-25", "identifier[]", cx)),
    target(
        "RelatedPerson",
        field("IN2-1", "identifier[]", cx_as("EI")),
        field("IN2-2", "identifier[]", ssn),
        field("IN2-63", "telecom[]", xtn_home),
    ),
)

SAID: Final = (  # guide rows 27-30 blank: the payer's own second opinion programme
    field("IN3-22", "extension[opinion].extension[]", as_extension("date", "valueDate", dt)),
    field("IN3-23", "extension[opinion].extension[]", as_extension("status", "valueCodeableConcept", coded("0151"))),
    field("IN3-24", "extension[opinion].extension[]", as_extension("documentation-received", "valueCodeableConcept", coded("0152"))),
    field("IN3-25", "extension[opinion].extension[]", as_extension("physician", "valueReference", xcn)),
)
OPINION: Final = {"extension[opinion]": {"url": SECOND_OPINION}}

IN3 = segment(
    "IN3",
    target(
        "ClaimResponse",
        field("IN3-2", "preAuthRef", st),
        field("IN3-2", "identifier[]", cx),
        field("IN3-6", "created", dtm),
        field("IN3-9", "preAuthPeriod.start", dtm),
        field("IN3-10", "preAuthPeriod.end", dtm),
        field("IN3-12", "processNote[]", reason),
        field("IN3-17", "processNote[]", reason),
    ),
    target("ServiceRequest", *SAID, slices=OPINION),
    target("Coverage", *SAID, slices=OPINION),  # of a message without a referral
    structural("IN3-1"),
    keep("IN3-3", why="who certified: ClaimResponse names the payer, not its people"),
    keep("IN3-5", why="penalty: only inside an adjudicated item"),
    keep("IN3-11", why="certified days: only inside an adjudicated item"),
    keep("IN3-14", why="reviewer of the payer: ClaimResponse names the payer, not its people"),
    keep("IN3-18", why="certification agency, a code of each payer: it need not be the insurer"),
    keep("IN3-21", why="case manager: a name without identity; a CareTeam of one would say nothing more (rows 23-25)"),
)


def coverage(node: Node, ctx: Context, request: Draft | None) -> tuple[Draft, list[Draft]]:
    """The Coverage of an IN1 with its IN2 and IN3, and the ClaimResponses of certifications. request: the referral the IN3 second-opinion fields
    speak about.
    """
    draft = ctx.new("Coverage", status="active", beneficiary=reference(ctx.patient))
    payor, insured = ctx.new("Organization"), ctx.new("RelatedPerson", patient=reference(ctx.patient))
    self_insured = node.segment.value(17).upper() in SELF
    unnamed = not (node.segment.raw(16) or node.segment.raw(17))
    # an organisation needs a name or a number (invariant org-1): without them its fields stay with the coverage
    others = {"Organization": payor} if any(node.segment.value(*at) for at in ((3, 1), (4, 1), (4, 3), (4, 10))) else {}
    if not self_insured and not unnamed:
        others["RelatedPerson"] = insured
    IN1.map(node.segment, ctx, Coverage=draft, **others)
    for extra in node.of("IN2"):
        IN2.map(extra.segment, ctx, Coverage=draft, **others)
    _complete(draft, payor, ctx)
    claims = [_certification(extra, draft, ctx, request) for extra in node.of("IN3")]
    if self_insured:
        draft.resource["subscriber"] = reference(ctx.patient)
    elif not unnamed:
        insured.merge = "enrich"
        draft.resource["subscriber"] = reference(ctx.add(insured))
    draft.merge = "enrich"
    return ctx.add(draft), [c for c in claims if c is not None]


def _complete(draft: Draft, payor: Draft, ctx: Context) -> None:
    resource = draft.resource
    for element in resource.get("class", ()):
        if "value" not in element:
            element["value"] = element["name"]
    if len(payor.resource) > 1:
        resource["payor"] = [reference(adopt(payor, ctx))]
    else:
        plan = next((c.get("name") or c["value"] for c in resource.get("class", ())), "payer not named")
        resource["payor"] = [{"display": plan}]


def _certification(node: Node, held: Draft, ctx: Context, request: Draft | None) -> Draft | None:
    claim = ctx.new("ClaimResponse", status="active", use="preauthorization", patient=reference(ctx.patient))
    about = {"ServiceRequest": request} if request else {"Coverage": held}
    if not node.segment.raw(2):
        IN3.map(node.segment, ctx, **about)
        return None
    IN3.map(node.segment, ctx, ClaimResponse=claim, **about)
    claim.resource["insurance"] = [{"sequence": 1, "focal": True, "coverage": reference(held)}]
    claim.resource["insurer"] = dict(held.resource["payor"][0])
    complete_claim(claim, ctx)
    return ctx.add(claim)
