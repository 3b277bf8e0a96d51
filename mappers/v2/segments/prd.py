"""PRD → Practitioner, PractitionerRole, Organization; CTD → their contact, or the patient's.

Guide silent on both segments (chapter 11.8.3, 11.8.4). The role (table 0286) decides what the provider is to the referral.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded
from mappers.v2.datatypes.ids import pln
from mappers.v2.datatypes.parties import adopt, pl, xon, xon_draft
from mappers.v2.datatypes.people import xad, xpn, xtn, xtn_work
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.table import field, keep, segment, target
from profiles.canonical import canonical

PROVIDER: Final = canonical("StructureDefinition", "referral-provider")

PRD = segment(
    "PRD",
    target(
        "PractitionerRole",
        field("PRD-1", "code[]", coded("0286")),
        field("PRD-4", "location[]", pl),
        field("PRD-8", "period.start", dtm),
        field("PRD-9", "period.end", dtm),
        field("PRD-10", "organization", xon),
        field("PRD-12", "location[]", pl),
    ),
    target(
        "Practitioner",
        field("PRD-2", "name[]", xpn),
        field("PRD-3", "address[]", xad),
        field("PRD-5", "telecom[]", xtn),
        field("PRD-7", "identifier[]", pln),
    ),
    target(
        "Organization",
        field("PRD-11", "address[]", xad),
        field("PRD-13", "telecom[]", xtn_work),
    ),
    keep("PRD-6", why="preferred way to be reached: no element beside rank, which orders numbers, not ways"),
    keep("PRD-14", why="as PRD-6, of the organisation"),
)

CTD = segment(
    "CTD",
    target(
        "Organization",
        field("CTD-1", "contact[ctd].purpose", coded("0131")),
        field("CTD-2", "contact[ctd].name", xpn),
        field("CTD-3", "contact[ctd].address", xad),
        field("CTD-5", "contact[ctd].telecom[]", xtn_work),
    ),
    target(
        "Patient",
        field("CTD-1", "contact[ctd].relationship[]", coded("0131")),
        field("CTD-2", "contact[ctd].name", xpn),
        field("CTD-3", "contact[ctd].address", xad),
        field("CTD-5", "contact[ctd].telecom[]", xtn),
    ),
    keep("CTD-4", why="location of a contact: no element"),
    keep("CTD-7", why="identifiers of a contact: no element"),
)


def provider(node: Node, ctx: Context) -> Draft:
    """The PractitionerRole of a PRD, its Practitioner and Organization beside it, contacts (CTD) on the latter."""
    segment_ = node.segment
    role, person = ctx.new("PractitionerRole"), ctx.new("Practitioner")
    ctx.segment, ctx.number = segment_, 10
    named = segment_.repetitions(10)
    practice = xon_draft(named[0], ctx) if named else None
    drafts = {"PractitionerRole": role, "Practitioner": person} | ({"Organization": practice} if practice else {})
    PRD.map(segment_, ctx, **drafts)
    if len(person.resource) > 1:
        role.resource["practitioner"] = reference(adopt(person, ctx))
    for contact in node.of("CTD"):
        if practice is not None:
            CTD.map(contact.segment, ctx, Organization=practice)
        else:
            CTD.map(contact.segment, ctx, PractitionerRole=role)
    role.merge = "enrich"
    return ctx.add(role)


def place_provider(node: Node, role: Draft, request: Draft, ctx: Context) -> None:
    """What the provider is to the referral: RP requester, RT performer, PP the patient's general practitioner; others (CP consulting ...) are named
    in an extension.
    """
    for repetition in node.segment.repetitions(1):
        code = repetition[0].strip()
        resource = request.resource
        if code == "RP" and "requester" not in resource:
            resource["requester"] = reference(role)
        elif code == "RT":
            resource.setdefault("performer", []).append(reference(role))
        elif code == "PP":
            ctx.patient.resource.setdefault("generalPractitioner", []).append(reference(role))
        else:
            resource.setdefault("extension", []).append({"url": PROVIDER, "valueReference": reference(role)})
