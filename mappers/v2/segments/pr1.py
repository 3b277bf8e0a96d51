"""PR1 → Procedure. Guide: PR1[Procedure]. Deviation: status `completed` when the procedure has a date not after the message, else `unknown` (row 3
leaves it to the context).
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe, fixed
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import pl, xcn
from mappers.v2.datatypes.text import st
from mappers.v2.datatypes.times import dtm, utc
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.table import Datatype, field, segment, structural, target

SNOMED: Final = "http://snomed.info/sct"


def performer(code: str = "", display: str = "") -> Datatype:
    """Procedure.performer with a function."""

    def made(repetition: Repetition, ctx: Context) -> Json | None:
        found = xcn.convert(repetition, ctx)
        if found is None:
            return None
        return {"function": fixed(SNOMED, code, display), "actor": found} if code else {"actor": found}

    return Datatype("xcn", made, xcn.uses)


PR1 = segment(
    "PR1",
    target(
        "Procedure",
        field("PR1-3", "code", cwe),  # row 6
        field("PR1-4", "code.text", st),  # row 7
        field("PR1-5", "performedDateTime", dtm),  # rows 8-9
        field("PR1-6", "category", coded("0230")),  # row 11
        field("PR1-8", "performer[]", performer("88189002", "Anesthesiologist")),  # rows 14-16
        field("PR1-11", "performer[]", performer("304292004", "Surgeon")),  # rows 19-21
        field("PR1-12", "performer[]", performer()),  # row 22
        field("PR1-15", "reasonCode[]", cwe),  # row 25
        field("PR1-19", "identifier[]", ei()),  # row 29
        field("PR1-23", "location", pl),  # row 33
    ),
    structural("PR1-1"),
    structural("PR1-2"),
)


def procedure(node: Node, ctx: Context) -> Draft:
    """The Procedure of one PR1; PR1-20 `D` retracts it."""
    draft = ctx.add(ctx.new("Procedure", subject=reference(ctx.patient)))
    PR1.map(node.segment, ctx, Procedure=draft)
    when = utc(node.segment.value(5), ctx.site.timezone)
    if node.segment.value(20) == "D":
        draft.resource["status"] = "entered-in-error"
    else:
        draft.resource["status"] = "completed" if when and ctx.clock.message and when <= ctx.clock.message else "unknown"
    return draft
