"""NK1 → RelatedPerson. Guide: NK1[RelatedPerson].

NK1 that names an employer, agency or insurer (table 0131 E F I S) is a RelatedPerson all the same: R4 has no other place that keeps its dates and
identifiers.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, translated
from mappers.v2.datatypes.ids import cx, ssn
from mappers.v2.datatypes.people import xad, xpn, xtn, xtn_work
from mappers.v2.datatypes.text import code
from mappers.v2.datatypes.times import dt, dtm
from mappers.v2.groups import Node
from mappers.v2.segments.pid import language
from mappers.v2.table import field, segment, structural, target

GENDER: Final = code("0001-administrative-gender", number="0001")
RELATION: Final = translated("0063-role-code", "0063")

NK1 = segment(
    "NK1",
    target(
        "RelatedPerson",
        field("NK1-2", "name[]", xpn),  # row 4
        field("NK1-3", "relationship[]", RELATION),  # row 5
        field("NK1-4", "address[]", xad),  # row 6
        field("NK1-5", "telecom[]", xtn),  # row 7
        field("NK1-6", "telecom[]", xtn_work),  # rows 8-9
        field("NK1-7", "relationship[]", coded("0131")),  # row 10
        field("NK1-8", "period.start", dtm),  # row 11
        field("NK1-9", "period.end", dtm),  # row 12
        field("NK1-12", "identifier[]", cx),  # row 15
        field("NK1-15", "gender", GENDER),  # row 18
        field("NK1-16", "birthDate", dt),  # row 19
        field("NK1-20", "communication[]", language),  # row 23
        field("NK1-30", "name[]", xpn),  # row 33
        field("NK1-31", "telecom[]", xtn),  # row 34
        field("NK1-32", "address[]", xad),  # row 35
        field("NK1-33", "identifier[]", cx),  # row 36
        field("NK1-37", "identifier[]", ssn),  # rows 40-42
        field("NK1-40", "telecom[]", xtn),  # row 46
        field("NK1-41", "telecom[]", xtn),  # row 47
    ),
    structural("NK1-1"),
)


def related(node: Node, ctx: Context) -> Draft:
    """The RelatedPerson of an NK1."""
    draft = ctx.add(ctx.new("RelatedPerson", patient=reference(ctx.patient)))
    draft.merge = "enrich"
    NK1.map(node.segment, ctx, RelatedPerson=draft)
    return draft
