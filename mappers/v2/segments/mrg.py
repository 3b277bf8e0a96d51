"""MRG → the Patient that goes by the prior numbers; MRG-3 → Account.

Guide: MRG[Account] row 6 is all there is; it is silent for Patient, so MRG-1, -2, -4 and -7 follow PID-3, -2, -4 and -5 (PID[Patient] rows 4-7).
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.ids import cx, cx_as
from mappers.v2.datatypes.people import xpn
from mappers.v2.groups import Node
from mappers.v2.table import field, keep, segment, target

MRG = segment(
    "MRG",
    target(
        "Patient",
        field("MRG-1", "identifier[]", cx),  # guide silent
        field("MRG-2", "identifier[]", cx),  # guide silent
        field("MRG-4", "identifier[]", cx),  # guide silent
        field("MRG-7", "name[]", xpn),  # guide silent
    ),
    target("Account", field("MRG-3", "identifier[]", cx_as("AN"))),  # guide: MRG[Account] row 6
    keep("MRG-5", why="prior visit number: visits are not merged by an event about patients"),
    keep("MRG-6", why="prior alternate visit number: visits are not merged by an event about patients"),
)


MRG_ACCOUNT = segment(
    "MRG",
    target("Account", field("MRG-3", "identifier[]", cx_as("AN"))),  # guide: MRG[Account] row 6
    keep("MRG-1", why="the same patient: only the kind of visit changes"),
)
"""Of A06 and A07, where no patient is merged."""


def prior(node: Node, ctx: Context) -> Draft:
    """The Patient the MRG names; an Account when MRG-3 names one."""
    draft = ctx.add(ctx.new("Patient"))
    draft.merge = "enrich"
    account = ctx.new("Account", status="active", subject=[reference(draft)])
    MRG.map(node.segment, ctx, Patient=draft, Account=account)
    if "identifier" in account.resource:
        ctx.add(account)
    return draft
