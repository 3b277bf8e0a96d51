"""PPR^PC1 (added), PC2 (updated), PC3 (deleted): a patient's problems → Conditions of the problem list, with the Goals that stand under them. Guide
silent (chapter 12.3). What is done to each is in PRB-1 and GOL-1; the event says no more.
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order
from mappers.v2.segments.prb import goal, problem


def map_problems(ctx: Context) -> Draft:
    """Problems of the problem list, and goals for them. Pointed at: the first problem."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    visits = common.encounters(root, ctx)
    found: list[Draft] = []
    for node in root.of("PRB", "GOL"):
        if node.segment.name == "GOL":
            goal(node, found[-1] if found else None, ctx)
            continue
        held = problem(node, ctx)
        if visits:
            held.resource.setdefault("encounter", reference(visits[0]))
        found.append(held)
    for orc, obr in orders(root):
        order(orc, obr, ctx)
    common.loose_results(root, ctx)
    return found[0]
