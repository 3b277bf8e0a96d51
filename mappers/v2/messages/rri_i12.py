"""RRI^I12 to I15: what has become of a referral, told by whoever it went to (chapter 11.3, structure RRI_I12) → Communication, and what is sent with it.
Guide silent.

The referral itself is its placer's to tell (REF); an answer to it is a record beside it (ADR 0023).
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order
from mappers.v2.segments.aut import authorization
from mappers.v2.segments.nte import followers
from mappers.v2.segments.prd import provider
from mappers.v2.segments.standing import RF1_TOLD, told


def map_reply(ctx: Context) -> Draft:
    """Word of what became of a referral, which moves nothing: PRD RT, the one referred to, tells it; PRD RP, who referred, is told."""
    root = tree(ctx.message)
    notes = common.taken_notes(root)
    common.patients(root, ctx)
    rf1 = root.of("RF1")[0]
    draft = told(rf1.segment, RF1_TOLD, [*rf1.of("NTE"), *notes], ctx)
    resource = draft.resource
    for node in root.of("PRD"):
        role = provider(node, ctx)
        followers(node, role, ctx)
        code = node.segment.value(1)
        if code == "RT":
            resource["sender"] = reference(role)
        else:
            resource.setdefault("recipient", []).append(reference(role))
    allowed = [authorization(node, ctx) for node in (*rf1.of("AUT"), *root.of("AUT"))]
    common.diagnoses(root.children, ctx)
    common.allergies(root, ctx)
    _, under = common.procedures(root, ctx)
    coverages, certified = common.insurance(root, ctx)
    common.cover([*allowed, *under, *certified], coverages)
    for orc, obr in orders(root):
        order(orc, obr, ctx)
    common.encounters(root, ctx)
    common.loose_results(root, ctx)
    return draft
