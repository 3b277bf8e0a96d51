"""ORC or RF1 of a message that tells how a referral or order stands (OSU^O51, RRI) → Communication. Guide silent on RF1; it has no map for OSU.

What somebody says about a referral is not the referral: it is a record of the case, which people read and which moves nothing (ADR 0023). R4's
Communication says who told whom what, when and about which order; `topic` is the status in the words it was told in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mappers.result import Draft, IdentityKey, Json
from mappers.v2 import identity
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, coding_of, cwe, fixed, status
from mappers.v2.datatypes.parties import hd_organization, xcn
from mappers.v2.datatypes.times import date_time, dtm, set_primitive
from mappers.v2.groups import Node
from mappers.v2.message import Segment
from mappers.v2.segments.nte import NTE
from mappers.v2.segments.orc import filler_reference, group_reference, order_reference
from mappers.v2.table import SegmentMap, field, keep, keep_segment, segment, target

CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/communication-category"

ORC_TOLD: Final = segment(
    "ORC",
    target(
        "Communication",
        field("ORC-1", "topic.coding[]", coding_of("0119")),
        field("ORC-2", "basedOn[]", order_reference),
        field("ORC-3", "basedOn[]", filler_reference),
        field("ORC-4", "basedOn[]", group_reference),
        field("ORC-5", "topic.coding[]", coding_of("0038")),
        field("ORC-9", "sent", dtm),
        field("ORC-12", "recipient[]", xcn),
        field("ORC-16", "reasonCode[]", cwe),
    ),
    keep("ORC-15", why="from when, or by when, it holds: no element"),
)

RF1_TOLD: Final = segment(
    "RF1",
    target(
        "Communication",
        field("RF1-1", "topic.coding[]", coding_of("0283")),
        field("RF1-2", "priority", status("0280-request-priority", "0280")),
        field("RF1-4", "reasonCode[]", coded("0282")),
        field("RF1-6", "basedOn[]", order_reference),
        field("RF1-10", "reasonCode[]", coded("0336")),
        field("RF1-11", "basedOn[]", filler_reference),
    ),
    keep("RF1-3", why="the referral's own, told by REF"),
    keep("RF1-5", why="the referral's own, told by REF"),
    keep("RF1-7", why="the referral's own, told by REF"),
    keep("RF1-8", why="the referral's own, told by REF"),
    keep("RF1-9", why="the referral's own, told by REF"),
)


RF1_MENTIONED: Final = segment(
    "RF1",
    target(
        "Encounter",
        field("RF1-6", "basedOn[]", order_reference),
        field("RF1-11", "basedOn[]", filler_reference),
    ),
    keep("RF1-1", why="how the referral stands: REF and RRI tell that, a visit only mentions it"),
)
"""Of an ADT: the referral the patient came by."""


def told(segment_: Segment, table: SegmentMap, notes: Iterable[Node], ctx: Context) -> Draft:
    """The Communication of one ORC or RF1. notes: the NTE that say why."""
    draft = ctx.new("Communication", status="completed", category=[fixed(CATEGORY, "notification")], subject=reference(ctx.patient))
    table.map(segment_, ctx, Communication=draft)
    for node in notes:
        _says(node.segment, draft, ctx)
    _sent(draft.resource, ctx)
    draft.keys = (_key(draft.resource, ctx),)
    return ctx.add(draft)


def _says(segment_: Segment, draft: Draft, ctx: Context) -> None:
    """NTE-3 is what the message says; an author or a time of its own makes it a note as well."""
    annotation = Draft({"resourceType": "Annotation"}, draft.full_url)
    NTE.map(segment_, ctx, Annotation=annotation)
    made: Json = annotation.resource
    del made["resourceType"]
    if "text" not in made:
        keep_segment(segment_, draft, ctx, "a comment without text")
        return
    draft.resource.setdefault("payload", []).append({"contentString": made["text"]})
    if len(made) > 1:
        draft.resource.setdefault("note", []).append(made)


def _sent(resource: Json, ctx: Context) -> None:
    """Who told it (MSH-4), and when where the order does not say (MSH-7)."""
    ctx.segment, ctx.number = ctx.message.segments[0], 4
    named = ctx.segment.repetitions(4)
    sender = hd_organization.convert(named[0], ctx) if named else None
    if sender is not None:
        resource.setdefault("sender", sender)
    ctx.number = 7
    if "sent" not in resource and "_sent" not in resource and (at := ctx.segment.value(7)) and (made := date_time(at, ctx)) is not None:
        set_primitive(resource, "sent", made)


def _key(resource: Json, ctx: Context) -> IdentityKey:
    """The same words of the same sender about the same order at the same time are the same."""
    numbers = sorted(identity.id_text(based["identifier"]) for based in resource.get("basedOn", ()))
    said = identity.digest(resource.get("topic"), [part["contentString"] for part in resource.get("payload", ())])
    return identity.key("Communication:told", ctx.sender, *numbers, str(resource.get("sent", "")), said)
