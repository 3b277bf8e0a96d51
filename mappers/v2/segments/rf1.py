"""RF1 → the referral: ServiceRequest.

Guide silent on the whole segment (chapter 11.8.1). RF1-4 `SO` (table 0282) and RF1-10 `S` (table 0336) say that a second opinion is asked for; both
stay in their own tables, where whoever decides about the case can read them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, concept, status
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.measures import cq
from mappers.v2.datatypes.parties import xcn, xon
from mappers.v2.datatypes.text import as_text, part, st
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition, Segment
from mappers.v2.table import Datatype, field, keep, keep_field, segment, takes, target
from profiles.canonical import canonical

REFERRAL: Final[Json] = {
    "coding": [
        {"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"},
        {"system": "http://loinc.org", "code": "57133-1", "display": "Referral note"},
    ]
}
DISPOSITION: Final = canonical("StructureDefinition", "referral-disposition")
SECOND_OPINION: Final = "SO"


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9)
def second_opinion(repetition: Repetition, ctx: Context) -> Json | None:
    """RF1-4 when it asks for a second opinion."""
    return concept(repetition, ctx, "0282") if part(repetition, 1) == SECOND_OPINION else None


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9)
def disposition(repetition: Repetition, ctx: Context) -> Json | None:
    """RF1-4 when it says what the sender expects back: WR a written report, RP the patient, AM that the other assumes management, DS discharge."""
    if part(repetition, 1) in ("", SECOND_OPINION):
        return None
    found = concept(repetition, ctx, "0282")
    return {"url": DISPOSITION, "valueCodeableConcept": found} if found else None


def annotated(datatype: Datatype) -> Datatype:
    """A text as Annotation."""

    def annotation(repetition: Repetition, ctx: Context) -> Json | None:
        value = datatype.convert(repetition, ctx)
        return {"text": value} if value else None

    return Datatype(datatype.name, annotation, datatype.uses)


RF1 = segment(
    "RF1",
    target(
        "ServiceRequest",
        field("RF1-1", "status", status("0283-request-status", "0283", "unknown")),
        field("RF1-2", "priority", status("0280-request-priority", "0280")),
        field("RF1-3", "code", coded("0281")),
        field("RF1-4", "category[]", second_opinion),
        field("RF1-4", "extension[]", disposition),
        field("RF1-5", "locationCode[]", coded("0284")),
        field("RF1-6", "identifier[]", ei("PLAC")),
        field("RF1-7", "occurrencePeriod.start", dtm),
        field("RF1-8", "occurrencePeriod.end", dtm),
        field("RF1-9", "authoredOn", dtm),
        field("RF1-10", "reasonCode[]", coded("0336")),
        field("RF1-11", "identifier[]", ei("FILL")),
        field("RF1-14", "reasonCode[]", as_text),
        field("RF1-15", "quantityQuantity", cq),
        field("RF1-19", "performer[]", xon),
        field("RF1-20", "performer[]", xcn),
        field("RF1-24", "note[]", annotated(st)),
    ),
    keep("RF1-12", why="whether the documentation is complete is the sender's view; the gateway judges it itself"),
    keep("RF1-13", why="planned stop of treatment: ServiceRequest has no element for the treatment referred"),
    keep("RF1-16", why="used treatments: no element"),
    keep("RF1-17", why="scheduled treatments: no element"),
    keep("RF1-18", why="remaining benefit: belongs to the payer's answer, no element"),
)


def referral(node: Node | None, ctx: Context) -> Draft:
    """The referral of a REF message; without RF1 it is still one, with what the other segments say."""
    draft = opened(ctx, ended=ctx.event == "cancel")
    if node is not None:
        RF1.map(node.segment, ctx, ServiceRequest=draft)
    if ctx.event == "cancel":
        withdrawn(draft, node.segment if node else None, 1, ctx)
    elif node is not None and node.segment.value(25) == "D":
        _overrule(draft, "entered-in-error", node.segment, 1, ctx)
    draft.resource.setdefault("status", "active")
    return ctx.add(draft)


def opened(ctx: Context, *, ended: bool) -> Draft:
    """A referral nothing is known of yet. Its content is told by every message but the one that ends it."""
    draft = ctx.new("ServiceRequest", intent="order", subject=reference(ctx.patient), category=[REFERRAL])
    draft.steps, draft.clock = True, replace(ctx.clock, clinical="" if ended else ctx.clock.message)
    return draft


def withdrawn(draft: Draft, said: Segment | None, number: int, ctx: Context) -> None:
    """The placer takes the referral back. Who does so need not send all of it again, and what is not said then stays.

    said, number: the segment and field that tell how it stood, which is kept.
    """
    _overrule(draft, "revoked", said, number, ctx)
    draft.merge = "enrich"
    if draft.resource.get("category") == [REFERRAL]:
        del draft.resource["category"]


def _overrule(draft: Draft, status: str, said: Segment | None, number: int, ctx: Context) -> None:
    """RF1-25, ORC-1 or the event (REF^I14) says more than the status sent, which still tells how the referral stood and is kept."""
    resource = draft.resource
    if said is not None and said.raw(number) and resource.get("status", status) != status:
        ctx.account(said).append(keep_field(said, number, said.raw(number), draft, "how the referral stood before"))
    resource.pop("_status", None)
    resource["status"] = status
    draft.deletes = tuple(name for name in draft.deletes if name != "status")
