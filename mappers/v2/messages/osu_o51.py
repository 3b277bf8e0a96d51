"""OSU^O51: the status of an order changed. The structure is ours, as 360X uses it: MSH [MSA] {NTE} PID {ORC} (see `write.osu`). Guide silent.

A placer that takes its order back (PCC-58) withdraws it, as REF^I14 does. Whatever else is told is word of how the order stands in somebody else's
eyes: it is kept with the case and moves nothing (ADR 0023).
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context
from mappers.v2.groups import Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.orm_o01 import Group, withdrawal, withdraws
from mappers.v2.segments.standing import ORC_TOLD, told
from mappers.v2.table import keep_segment


def map_status(ctx: Context) -> Draft:
    """Word of how orders stand, which moves nothing; and orders their own placer takes back. Pointed at: the first word, else the patient."""
    root = tree(ctx.message)
    general = common.taken_notes(root)
    common.patients(root, ctx)
    said: list[Draft] = []
    for orc, obr in orders(root):
        group = Group(orc, obr, [])
        if orc is None or withdraws(group):
            draft = withdrawal(group, ctx)
            for node in [*general, *group.of("NTE")]:
                common.noted(node, draft, ctx)
        else:
            draft = told(orc.segment, ORC_TOLD, [*general, *orc.of("NTE")], ctx)
            said.append(draft)
        general = []
        _rest(obr, draft, ctx)
    return said[0] if said else ctx.patient


def _rest(obr: Node | None, draft: Draft, ctx: Context) -> None:
    if obr is not None:
        keep_segment(obr.segment, draft, ctx, "the order's own, told by the message that ordered")
