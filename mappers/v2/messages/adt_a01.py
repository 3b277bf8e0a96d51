"""ADT about a patient or one visit: admitted (A01), moved (A02), discharged (A03), registered (A04) … updated (A08, A31), added (A28), cancelled
(A11, A12, A13) → Patient, Encounter and what is sent with them; one table for all events.

Guide: ADT_A01, A02, A05, A06, A09, A11 message maps. What the event makes of the visit is ConceptMap 0003-encounter-status; A08 makes nothing of it.
What is sent is the sender's record as it stands: what is not sent stays, an explicit null deletes (ADR 0022).
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import Node, tree
from mappers.v2.messages import common
from mappers.v2.segments.mrg import MRG_ACCOUNT
from mappers.v2.segments.standing import RF1_MENTIONED
from mappers.v2.table import keep_field

DISCHARGE: Final = (("period", "end", 45), ("hospitalization", "dischargeDisposition", 36), ("hospitalization", "destination", 37))
"""What a discharge says of a visit: the structure, its part, the field of PV1."""


def map_visit(ctx: Context) -> Draft:
    """A patient and one visit: what the event makes of it, and all that is sent with it. Pointed at: the visit, else the patient."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    event = ctx.tables.translate("0003-encounter-status", ctx.trigger)
    visits = common.encounters(root, ctx, event.code if event else "")
    found = common.diagnoses(root.children, ctx)
    for visit in visits[:1]:
        common.diagnosed(visit, found, ctx)
        for node in root.of("RF1"):  # the referral the patient came by
            RF1_MENTIONED.map(node.segment, ctx, Encounter=visit)
        if ctx.trigger == "A13":
            _back_again(visit, ctx)
    for node in root.of("PID")[:1]:
        _prior_account(node, ctx)
    common.allergies(root, ctx)
    _, allowed = common.procedures(root, ctx)
    coverages, certified = common.insurance(root, ctx)
    common.cover([*allowed, *certified], coverages)
    for draft in common.loose_results(root, ctx):
        if visits and draft.resource["resourceType"] == "Observation":
            draft.resource["encounter"] = reference(visits[0])
    return visits[0] if visits else ctx.patient


def _prior_account(node: Node, ctx: Context) -> None:
    """A06 and A07: the account the visit ran under before (guide: ADT_A06 row 27); its status is not said."""
    for prior in node.of("MRG"):
        draft = ctx.new("Account", status="unknown", subject=[reference(ctx.patient)])
        draft.merge, draft.defaults = "enrich", ("status",)
        MRG_ACCOUNT.map(prior.segment, ctx, Account=draft if prior.segment.raw(3) else ctx.patient)
        if "identifier" in draft.resource:
            ctx.add(draft)


def _back_again(visit: Draft, ctx: Context) -> None:
    """A discharge that is taken back has no end; what the message still says of it is kept as said."""
    resource, pv1 = visit.resource, ctx.message.named("PV1")[0]
    for holder, name, number in DISCHARGE:
        visit.deletes = (*visit.deletes, f"{holder}.{name}")
        structure = resource.get(holder, {})
        structure.pop("_" + name, None)
        if structure.pop(name, None) is not None:
            ctx.account(pv1).append(keep_field(pv1, number, pv1.raw(number), visit, "of a discharge that was taken back"))
        if holder in resource and not structure:
            del resource[holder]
