"""MSH, SFT, EVN, MSA → MessageHeader, the Provenance of everything the message made.

Guide: MSH[MessageHeader], MSH[Provenance-Source], SFT[MessageHeader], EVN[Provenance]. Deviations: no Device for MSH-5 (row 8), an endpoint only when
MSH holds an address.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2 import identity
from mappers.v2.context import RAW_MESSAGE, Context
from mappers.v2.datatypes.codes import V2, coded, coding_of, fixed
from mappers.v2.datatypes.ids import assigner_system
from mappers.v2.datatypes.parties import hd_organization, pl, xcn, xon
from mappers.v2.datatypes.text import part, st
from mappers.v2.datatypes.times import dtm, instant
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.segments.msa import response
from mappers.v2.table import field, keep, segment, structural, takes, target
from profiles.canonical import NAMESPACE

ABSENT: Final = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
ACTIVITY: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


@takes(1, 2, 3)
def hd_name(repetition: Repetition, ctx: Context) -> str | None:
    """The namespace of an HD, else its universal id."""
    if part(repetition, 1) and part(repetition, 2) and not _address(repetition, ctx):
        ctx.leave(2)
    return part(repetition, 1) or part(repetition, 2) or None


@takes(1, 2, 3)
def hd_endpoint(repetition: Repetition, ctx: Context) -> str | None:
    """An HD as address: only one that is globally unique."""
    if ctx.number == 24:  # elsewhere the namespace is the name
        ctx.leave(1)
    return _address(repetition, ctx) or None


def _address(repetition: Repetition, ctx: Context) -> str:
    universal = part(repetition, 2)
    if not universal:
        return ""
    system = assigner_system("", universal, part(repetition, 3), ctx)
    return "" if system.startswith(NAMESPACE) else system


@takes(1, 2, 3)
def event(repetition: Repetition, ctx: Context) -> Json | None:
    """MSG as Coding (guide: MSG[Coding] rows 3-7)."""
    kind, trigger, structure = (part(repetition, n) for n in (1, 2, 3))
    out: Json = {"system": V2 + "0003", "code": trigger or kind}
    out["display"] = "^".join(p for p in (kind, trigger, structure) if p)
    return out


@takes(1, 3)
def language(repetition: Repetition, ctx: Context) -> str | None:
    """A language tag; anything that is none is kept."""
    value = part(repetition, 1)
    return value if 2 <= len(value) <= 8 and value.replace("-", "").isalnum() else None


@takes(1, 2, 3)
def facility(repetition: Repetition, ctx: Context) -> Json | None:
    """Where the event happened: the place an HD names."""
    name = part(repetition, 1) or part(repetition, 2)
    if part(repetition, 1):
        for component in (2, 3):
            ctx.leave(component)
    found: Json | None = pl.convert(["", "", "", name], ctx) if name else None
    return found


MSH = segment(
    "MSH",
    target(
        "MessageHeader",
        field("MSH-3", "source.name", hd_name),  # row 5
        field("MSH-3", "source.endpoint", hd_endpoint),  # row 6
        field("MSH-4", "sender", hd_organization),  # row 7
        field("MSH-5", "destination[to].name", hd_name),  # row 9
        field("MSH-5", "destination[to].endpoint", hd_endpoint),  # row 10
        field("MSH-6", "destination[to].receiver", hd_organization),  # row 11
        field("MSH-9", "eventCoding", event),  # row 15
        field("MSH-11", "meta.tag[]", coding_of("0103")),
        field("MSH-19", "language", language),  # row 25
        field("MSH-22", "responsible", xon),  # row 29
        field("MSH-24", "source.endpoint", hd_endpoint),  # row 31
    ),
    target(
        "Provenance",
        field("MSH-7", "recorded", instant),  # guide: MSH[Provenance-Source] row 16
        field("MSH-7", "occurredDateTime", dtm),  # row 17
    ),
    structural("MSH-1"),
    structural("MSH-2"),
    keep("MSH-8", why="free-text security: no coded label to make of it (row 14)"),
    keep("MSH-10", why="kept beside the identity of the message: R4 has no MessageHeader.identifier (row 16)"),
    structural("MSH-12"),
    structural("MSH-15"),
    structural("MSH-16"),
    keep("MSH-17", why="country of the sender: MSH-4 has no address to put it in (row 23)"),
    structural("MSH-18"),
)

SFT = segment(
    "SFT",
    target(
        "MessageHeader",
        field("SFT-2", "source.version", st),  # guide: SFT[MessageHeader] row 4
        field("SFT-3", "source.software", st),  # row 5
    ),
)

EVN = segment(
    "EVN",
    target(
        "Provenance",
        field("EVN-2", "recorded", instant),  # guide: EVN[Provenance] row 5
        field("EVN-4", "reason[]", coded("0062")),  # row 7
        field("EVN-5", "agent[operator].who", xcn),  # row 10
        field("EVN-6", "occurredDateTime", dtm),  # row 11
        field("EVN-7", "location", facility),  # row 12
        slices={"agent[operator]": {"type": fixed(PARTICIPANT, "enterer")}},
    ),
    keep("EVN-1", why="the trigger event again, withdrawn in 2.7"),
)


def envelope(root: Node, ctx: Context) -> tuple[Draft, Draft]:
    """MessageHeader and Provenance, not yet finished: `seal` does that when everything else is mapped."""
    header, provenance = ctx.new("MessageHeader"), ctx.new("Provenance")
    for node in root.of("EVN"):
        EVN.map(node.segment, ctx, Provenance=provenance)
    MSH.map(root.segment, ctx, MessageHeader=header, Provenance=provenance)
    response(root, header, ctx)
    for node in root.of("SFT"):
        SFT.map(node.segment, ctx, MessageHeader=header)
    return header, provenance


def seal(header: Draft, provenance: Draft, ctx: Context, focus: Draft | None) -> None:
    """Fill what FHIR requires of both, point the Provenance at everything made, and key both by sender, control id and content."""
    message = ctx.message
    source = header.resource.setdefault("source", {})
    for holder in (source, *header.resource.get("destination", ())):
        if "endpoint" not in holder:
            holder["_endpoint"] = {"extension": [ABSENT]}
    if focus is not None:
        header.resource["focus"] = [{"reference": focus.full_url}]
    resource = provenance.resource
    resource["target"] = [{"reference": d.full_url} for d in ctx.drafts] or [{"reference": header.full_url}]
    if "recorded" not in resource:
        resource["_recorded"] = {"extension": [ABSENT]}
    resource["activity"] = {"coding": [{"system": ACTIVITY, "code": "UPDATE"}]}
    sender = header.resource.get("sender")
    author: Json = {"type": fixed(PARTICIPANT, "author"), "who": sender or {"display": "sender not named"}}
    resource["agent"] = [author, *(a for a in resource.get("agent", ()) if "who" in a)]
    resource["entity"] = [{"role": "source", "what": {"reference": RAW_MESSAGE}}]
    parts = (ctx.sender, message.header.control_id, message.content_digest)
    header.keys = (identity.key("MessageHeader", *parts),)
    provenance.keys = (identity.key("Provenance", *parts),)
