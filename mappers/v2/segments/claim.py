"""RF1, AUT, ACC of a request for treatment authorisation → Claim; RF1 of the answer → ClaimResponse. Guide silent on all of them (chapter 11.4).

The Claim asks what AUT answers: AUT of the answer is in `segments.aut`.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe, fixed, translated
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.measures import cq
from mappers.v2.datatypes.parties import hd_organization
from mappers.v2.datatypes.people import xad
from mappers.v2.datatypes.text import code, ft, part
from mappers.v2.datatypes.times import date_time, dt, dtm, set_primitive
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.segments.aut import CLAIM_TYPE, payer, payer_name
from mappers.v2.segments.msh import ABSENT
from mappers.v2.segments.orc import order_reference
from mappers.v2.table import field, keep, keep_segment, segment, structural, takes, target

PRIORITY: Final = "http://terminology.hl7.org/CodeSystem/processpriority"
OUTCOME: Final = code("0283-claim-outcome", number="0283")


@takes(1, 2, 3, 4)
def asking(repetition: Repetition, ctx: Context) -> Json | None:
    """RF1-6 as reference to the Claim: the number the request was made under."""
    found: Json | None = order_reference.convert(repetition, ctx)
    return {**found, "type": "Claim"} if found else None


@takes(2)
def standing(repetition: Repetition, ctx: Context) -> str | None:
    """RF1-1 in words, where it is no plain yes; its code is kept beside it."""
    return None if part(repetition, 1) == "A" else part(repetition, 2) or None


def requested(resource: Json, value: Any, ctx: Context) -> int:
    """AUT-8: how many treatments of the service that is asked for are wanted."""
    resource.setdefault("item", [{"sequence": 1}])[0]["quantity"] = value
    return STORED


def service(resource: Json, value: Any, ctx: Context) -> int:
    """AUT-16: the service that is asked for."""
    resource.setdefault("item", [{"sequence": 1}])[0]["productOrService"] = value
    return STORED


RF1_ASKED: Final = segment(
    "RF1",
    target(
        "Claim",
        field("RF1-2", "priority", translated("0280-process-priority", "0280")),
        field("RF1-6", "identifier[]", ei("PLAC")),
        field("RF1-6", "referral", order_reference),
        field("RF1-7", "billablePeriod.start", dtm),
        field("RF1-8", "billablePeriod.end", dtm),
        field("RF1-9", "created", dtm),
        field("RF1-11", "identifier[]", ei("FILL")),
    ),
    keep("RF1-10", why="reason of the referral: the referral's own"),
)

AUT_ASKED: Final = segment(
    "AUT",
    target(
        "Claim",
        field("AUT-2", "insurer", payer),
        field("AUT-3", "insurer", payer_name),
        field("AUT-4", "billablePeriod.start", dtm),
        field("AUT-5", "billablePeriod.end", dtm),
        field("AUT-6", "identifier[]", ei()),
        field("AUT-8", requested, cq, shown="item.quantity"),
        field("AUT-10", "created", dtm),
        field("AUT-16", service, cwe, shown="item.productOrService"),
    ),
    keep("AUT-1", why="plan id: the plan is on the Coverage"),
)

ACC: Final = segment(
    "ACC",
    target(
        "Claim",
        field("ACC-1", "accident.date", dt),
        field("ACC-2", "accident.type", coded("0050")),
        field("ACC-11", "accident.locationAddress", xad),
    ),
    keep("ACC-5", why="job related: no element beside the type"),
)

RF1_ANSWERED: Final = segment(
    "RF1",
    target(
        "ClaimResponse",
        field("RF1-1", "outcome", OUTCOME),
        field("RF1-1", "disposition", standing),
        field("RF1-6", "request", asking),
    ),
)


PROCESS_NOTE: Final = segment("NTE", target("ProcessNote", field("NTE-3", "text", ft)), structural("NTE-1"))
"""Of an answer: ClaimResponse.processNote."""


def accident(node: Node, claim: Draft, ctx: Context) -> None:
    """ACC, which without a date is no accident R4 can say."""
    if node.segment.value(1):
        ACC.map(node.segment, ctx, Claim=claim)
    if "date" not in claim.resource.get("accident", {}):
        claim.resource.pop("accident", None)
        keep_segment(node.segment, claim, ctx, "an accident without a date")


def complete(claim: Draft, coverages: list[Draft], ctx: Context) -> None:
    """What a Claim requires and v2 need not say: when it was made (MSH-7), by whom (MSH-4), how soon it is wanted, under which coverage, for what."""
    resource = claim.resource
    resource["type"] = fixed(CLAIM_TYPE, "professional")
    resource.setdefault("priority", fixed(PRIORITY, "normal"))
    created(resource, ctx)
    resource.setdefault("provider", sender(ctx))
    under: list[Json] = [reference(held) for held in coverages] or [{"display": "coverage not named"}]
    resource["insurance"] = [{"sequence": n, "focal": n == 1, "coverage": held} for n, held in enumerate(under, 1)]
    for item in resource.get("item", ()):
        item.setdefault("productOrService", {"extension": [ABSENT]})


def created(resource: Json, ctx: Context) -> None:
    """The message's own time, where nothing says another."""
    if "created" in resource or "_created" in resource:
        return
    ctx.segment, ctx.number = ctx.message.segments[0], 7
    at = ctx.segment.value(7)
    made = date_time(at, ctx) if at else None
    if made is None:
        resource["_created"] = {"extension": [ABSENT]}
    else:
        set_primitive(resource, "created", made)


def sender(ctx: Context) -> Json:
    """Who sent the message (MSH-4)."""
    ctx.segment, ctx.number = ctx.message.segments[0], 4
    named = ctx.segment.repetitions(4)
    found: Json | None = hd_organization.convert(named[0], ctx) if named else None
    return found or {"display": "sender not named"}
