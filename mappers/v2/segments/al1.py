"""AL1 → AllergyIntolerance. Guide: AL1[AllergyIntolerance]."""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe, fixed
from mappers.v2.datatypes.text import part
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.table import field, segment, structural, takes, target

CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALTERNATE: Final = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


@takes(1)
def manifestation(repetition: Repetition, ctx: Context) -> Json | None:
    value = part(repetition, 1)
    return {"manifestation": [{"text": value}]} if value else None


@takes(1)
def criticality(repetition: Repetition, ctx: Context) -> str | None:
    """AL1-4 as criticality; a moderate severity says nothing about it (row 11 blank for MO) and stays with the reaction."""
    value = part(repetition, 1)
    found = ctx.tables.translate("0128-criticality", value)
    if value and found is None and ctx.tables.translate("0128-reaction-severity", value) is None:
        ctx.find("103", "code not in table 0128", 1)
    return found.code if found else None


@takes(1)
def kind(repetition: Repetition, ctx: Context) -> str | None:
    """AL1-2 as type; a contraindication (MC) is neither allergy nor intolerance."""
    found = ctx.tables.translate("0127-allergy-type", part(repetition, 1))
    return found.code if found else None


@takes(1)
def category(repetition: Repetition, ctx: Context) -> str | None:
    """AL1-2 as category; MA and MC have none."""
    found = ctx.tables.translate("0127-allergy-category", part(repetition, 1))
    return found.code if found else None


def original_type(resource: Json, value: Any, ctx: Context) -> int:
    """The sender's own type beside the two codes made of it (rows 7-8)."""
    resource.setdefault("extension", []).append({"url": ALTERNATE, "valueCodeableConcept": value})
    return STORED


AL1 = segment(
    "AL1",
    target(
        "AllergyIntolerance",
        field("AL1-2", "category[]", category),  # row 6
        field("AL1-2", "type", kind),  # row 9
        field("AL1-2", original_type, coded("0127"), shown="extension"),  # rows 7-8
        field("AL1-3", "code", cwe),  # row 10
        field("AL1-4", "criticality", criticality),  # row 11
        field("AL1-5", "reaction[]", manifestation),  # row 15
        field("AL1-6", "onsetDateTime", dtm),  # row 16
    ),
    structural("AL1-1"),
)


def allergy(node: Node, ctx: Context) -> Draft:
    """The AllergyIntolerance of one AL1; active, as an allergy that is sent is (rows 3-4, invariant ait-1). A severity goes to the first reaction as
    well (row 14).
    """
    draft = ctx.add(ctx.new("AllergyIntolerance", patient=reference(ctx.patient), clinicalStatus=fixed(CLINICAL, "active")))
    AL1.map(node.segment, ctx, AllergyIntolerance=draft)
    severity = ctx.tables.translate("0128-reaction-severity", node.segment.value(4))
    if severity and "reaction" in draft.resource:
        draft.resource["reaction"][0]["severity"] = severity.code
    return draft
