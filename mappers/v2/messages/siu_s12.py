"""SIU^S12 (booked), S13 (rescheduled), S14 (modified), S15 (cancelled), S17 (deleted), S26 (no-show) → Appointment. Guide: SIU_S12 message map; one
table for all events.
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import tree
from mappers.v2.messages import common
from mappers.v2.segments.dg1 import condition
from mappers.v2.segments.nte import followers
from mappers.v2.segments.sch import appointment


def map_appointment(ctx: Context) -> Draft:
    """Map the message; the answer is the Appointment."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    draft = appointment(root, ctx, ctx.patient)
    reasons = []
    for node in root.of("DG1"):
        held = condition(node, ctx)
        followers(node, held, ctx)
        reasons.append(reference(held))
    if reasons:
        draft.resource["reasonReference"] = reasons
    common.encounters(root, ctx)
    found = common.loose_results(root, ctx)
    if found:
        draft.resource["supportingInformation"] = [reference(f) for f in found]
    return draft
