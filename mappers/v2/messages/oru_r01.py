"""ORU^R01 → DiagnosticReport per OBR with Observations, Specimens and documents. Guide: ORU_R01 message map.

R30, R31 and R32 (point of care: with an order to be placed, to be found, or placed before) carry the same groups, one of each; the guide has no map for them.
"""

from __future__ import annotations

from itertools import pairwise

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order


def map_results(ctx: Context) -> Draft | None:
    """Map the message, one patient group after the other; the answer is the first report."""
    root = tree(ctx.message)
    first: Draft | None = None
    for number, group in enumerate(_patient_groups(root)):
        if number:
            ctx.patient = ctx.new("Patient")
        found = _group(group, ctx)
        first = first or found
    return first


def _patient_groups(root: Node) -> list[list[Node]]:
    """Root segments by PATIENT_RESULT group. What stands before the only PID belongs to it too, since order is often wrong."""
    starts = [n for n, node in enumerate(root.children) if node.segment.name == "PID"]
    bounds = [0, *starts[1:], len(root.children)]
    return [root.children[a:b] for a, b in pairwise(bounds)]


def _group(nodes: list[Node], ctx: Context) -> Draft | None:
    holder = Node(ctx.message.segments[0], nodes)
    common.patients(holder, ctx)
    visits = common.encounters(holder, ctx)
    reports = [order(orc, obr, ctx)[1] for orc, obr in orders(holder)]
    common.loose_results(holder, ctx)
    for report in reports:
        if visits:
            report.resource["encounter"] = reference(visits[0])
    return reports[0] if reports else None
