"""AUT → ClaimResponse with use `preauthorization`: what a payer already allowed.

Guide silent on the whole segment (chapter 11.8.2). Counts and limits are kept: ClaimResponse has them only inside adjudicated items, which AUT does
not give. Where fewer treatments are authorised (AUT-9) than were asked for (AUT-8), an item says that the payer has modified the request (Da Vinci PAS,
X12 element 306 A6).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import fixed
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import cwe_organization
from mappers.v2.datatypes.text import part, st
from mappers.v2.datatypes.times import date_time, dtm, set_primitive
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.segments.msh import ABSENT
from mappers.v2.table import field, keep, segment, takes, target
from profiles.eligibility import REVIEW_ACTION, REVIEW_CODE, REVIEWS

UNNAMED: Final[Json] = {"display": "payer not named"}
ADJUDICATION: Final = "http://terminology.hl7.org/CodeSystem/adjudication"
MODIFIED: Final[Json] = {
    "url": REVIEW_ACTION,
    "extension": [{"url": REVIEW_CODE, "valueCodeableConcept": {"coding": [{"system": REVIEWS, "code": "A6"}]}}],
}
NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
CLAIM_TYPE: Final = "http://terminology.hl7.org/CodeSystem/claim-type"


@takes(2)
def approval(repetition: Repetition, ctx: Context) -> str | None:
    """AUT-14 in words; its code is kept beside it."""
    return part(repetition, 2) or None


@takes(1)
def note(repetition: Repetition, ctx: Context) -> Json | None:
    value = part(repetition, 1)
    return {"text": value} if value else None


@takes(1, 2, 3)
def payer(repetition: Repetition, ctx: Context) -> Json | None:
    """AUT-2, the payer's company id, under the name in AUT-3."""
    name = ctx.segment.value(3)
    found: Json | None = cwe_organization.convert([part(repetition, 1), part(repetition, 2) or name, part(repetition, 3)], ctx)
    return found


@takes(1)
def payer_name(repetition: Repetition, ctx: Context) -> Json | None:
    """AUT-3 alone names the payer when AUT-2 is missing; otherwise it is in `payer` already."""
    source, at = (payer, ctx.segment.repetitions(2)[0]) if ctx.segment.raw(2) else (cwe_organization, ["", part(repetition, 1)])
    found: Json | None = source.convert(at, ctx)
    return found


AUT = segment(
    "AUT",
    target(
        "ClaimResponse",
        field("AUT-2", "insurer", payer),
        field("AUT-3", "insurer", payer_name),
        field("AUT-4", "preAuthPeriod.start", dtm),
        field("AUT-5", "preAuthPeriod.end", dtm),
        field("AUT-6", "preAuthRef", st),
        field("AUT-6", "identifier[]", ei()),
        field("AUT-10", "created", dtm),
        field("AUT-14", "disposition", approval),
        field("AUT-17", "processNote[]", note),
        field("AUT-28", "processNote[]", note),
    ),
    keep("AUT-1", why="plan id: the plan is on the Coverage"),
    keep("AUT-7", why="reimbursement limit: only inside an adjudicated item"),
    keep("AUT-8", why="treatments requested: only inside an adjudicated item"),
    keep("AUT-9", why="treatments authorised: only inside an adjudicated item"),
)


def authorization(node: Node, ctx: Context) -> Draft:
    """The ClaimResponse of one AUT. Its insurance is linked by the message's coverage rules; see `insurance`."""
    draft = ctx.add(ctx.new("ClaimResponse", status="active", use="preauthorization", patient=reference(ctx.patient)))
    resource = draft.resource
    AUT.map(node.segment, ctx, ClaimResponse=draft)
    if _fewer(node):
        resource["item"] = [{"itemSequence": 1, "adjudication": [{"extension": [MODIFIED], "category": fixed(ADJUDICATION, "submitted")}]}]
    if node.segment.value(29) == "D":
        resource["status"] = "cancelled"
    complete_claim(draft, ctx)
    return draft


def _fewer(node: Node) -> bool:
    """Are fewer treatments authorised than asked for? Not where either is no plain number, or the units differ (CQ)."""
    asked, given = node.segment.value(8), node.segment.value(9)
    same = node.segment.value(8, 2) == node.segment.value(9, 2)
    return same and all(NUMBER.fullmatch(one) for one in (asked, given)) and Decimal(given) < Decimal(asked)


def complete_claim(draft: Draft, ctx: Context) -> None:
    """What ClaimResponse requires and v2 does not say: type, creation (the message's time), insurer, outcome (a number was given: complete)."""
    resource = draft.resource
    resource["type"] = fixed(CLAIM_TYPE, "professional")
    if "created" not in resource and "_created" not in resource:
        ctx.segment, ctx.number = ctx.message.segments[0], 7
        made = date_time(ctx.message.header.sent_at, ctx) if ctx.message.header.sent_at else None
        if made is not None:
            set_primitive(resource, "created", made)
        else:
            resource["_created"] = {"extension": [ABSENT]}
    resource.setdefault("insurer", dict(UNNAMED))
    resource["outcome"] = "complete" if "preAuthRef" in resource else "queued"
