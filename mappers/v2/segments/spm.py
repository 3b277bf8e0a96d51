"""SPM → Specimen.

Guide: SPM[Specimen]. Deviation: SPM-21 (reject reason; row 26 finds no element) makes the specimen unsatisfactory, its words in `condition`.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded
from mappers.v2.datatypes.ids import cx, ei, eip
from mappers.v2.datatypes.measures import cq
from mappers.v2.datatypes.text import code, part, st
from mappers.v2.datatypes.times import date_time, dr, dtm, elements
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import REFUSED, STORED
from mappers.v2.segments.nte import followers
from mappers.v2.segments.rf1 import annotated
from mappers.v2.table import field, keep, segment, structural, takes, target

R5: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"


@takes(1, 2)
def collected(repetition: Repetition, ctx: Context) -> Json | None:
    """SPM-17 as collected[x] (rows 21-22)."""
    if part(repetition, 2):
        period = dr.convert(repetition, ctx)
        return {"collectedPeriod": period} if period else None
    text = part(repetition, 1)
    value = date_time(text, ctx) if text else None
    return None if value is None else elements("collectedDateTime", value)


def into_collection(resource: Json, value: Any, ctx: Context) -> int:
    held = resource.setdefault("collection", {})
    if any(name in held for name in value):
        return REFUSED
    held.update(value)
    return STORED


@takes(1, 2, 3, 4)
def parent(repetition: Repetition, ctx: Context) -> Json | None:
    """SPM-3 as logical reference to the parent specimen (rows 6-7)."""
    found = eip(1, "PGN").convert(repetition, ctx) or eip(2, "FGN").convert(repetition, ctx)
    return {"type": "Specimen", "identifier": found} if found else None


@takes()
def additive(repetition: Repetition, ctx: Context) -> Json | None:
    found = coded("0371").convert(repetition, ctx)
    return {"additiveCodeableConcept": found} if found else None


SPM = segment(
    "SPM",
    target(
        "Specimen",
        field("SPM-2", "identifier[]", eip(1, "PLAC")),  # row 4
        field("SPM-2", "identifier[]", eip(2, "FILL")),  # row 5
        field("SPM-3", "parent[]", parent),  # rows 6-7
        field("SPM-4", "type", coded("0487")),  # row 8
        field("SPM-6", "container[]", additive),  # row 10
        field("SPM-7", "collection.method", coded("0488")),  # row 11
        field("SPM-8", "collection.bodySite", coded("0784")),  # row 12
        field("SPM-11", "extension[]", as_extension(R5 + "Specimen.role", "valueCodeableConcept", coded("0369"))),  # row 15 blank: R5 has it
        field("SPM-12", "collection.quantity", cq),  # row 16
        field("SPM-14", "note[]", annotated(st)),  # row 18
        field("SPM-17", into_collection, collected, shown="collection.collected[x]"),  # rows 21-22
        field("SPM-18", "receivedTime", dtm),  # row 23
        field("SPM-20", "status", code("0136-specimen-status", number="0136")),  # row 25
        field("SPM-21", "condition[]", coded("0490")),  # see above
        field("SPM-24", "condition[]", coded("0493")),  # row 29
        field("SPM-27", "container[box].type", coded("0378")),  # row 32
        field("SPM-30", "accessionIdentifier", cx),  # row 35
        field("SPM-31", "identifier[]", cx),  # row 36
        field("SPM-32", "identifier[]", ei("SHIP")),  # rows 37-39
    ),
    structural("SPM-1"),
    keep("SPM-9", why="modifier of the body site: no element (row 13)"),
    keep("SPM-15", why="how to handle it: R4 has no element"),
    keep("SPM-26", why="number of containers: R4 lists the containers themselves"),
)


def specimen(node: Node, ctx: Context) -> Draft:
    """The Specimen of one SPM with its notes."""
    draft = ctx.add(ctx.new("Specimen", subject=reference(ctx.patient)))
    SPM.map(node.segment, ctx, Specimen=draft)
    if node.segment.value(21):
        draft.resource["status"] = "unsatisfactory"
    followers(node, draft, ctx)
    return draft
