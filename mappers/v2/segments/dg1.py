"""DG1 → Condition (and the diagnosis of the Encounter).

Guide: DG1[Condition], DG1[Encounter]. Deviations: DG1-5 is recordedDate, not onset (row 7 is unsure; the day a cancer was diagnosed is not the day it
began); clinicalStatus is active, because a diagnosis in a referral is one being asked about (invariant con-3).
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, concept, fixed, translated
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import xcn
from mappers.v2.datatypes.text import st
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.table import field, segment, structural, takes, target
from profiles.canonical import canonical

CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
DIAGNOSIS_TYPE: Final = canonical("StructureDefinition", "diagnosis-type")
ASSERTED: Final = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
def diagnosis(repetition: Repetition, ctx: Context) -> dict[str, object] | None:
    """Condition.code; an ICD code with no system named is of the method in DG1-2 (withdrawn, still sent)."""
    found = concept(repetition, ctx)
    method = ctx.segment.value(2)
    if found and method and found.get("coding") and "system" not in found["coding"][0]:
        known = ctx.tables.translate("0396-coding-system", method)
        if known is not None:
            found["coding"][0]["system"] = known.code
    return found


DG1 = segment(
    "DG1",
    target(
        "Condition",
        field("DG1-3", "code", diagnosis),  # row 5
        field("DG1-4", "code.text", st),  # row 6
        field("DG1-5", "recordedDate", dtm),  # row 7, see above
        field("DG1-6", "extension[]", as_extension(DIAGNOSIS_TYPE, "valueCodeableConcept", translated("0052-diagnosis-role", "0052"))),
        field("DG1-16", "asserter", xcn),  # row 18
        field("DG1-19", "extension[]", as_extension(ASSERTED, "valueDateTime", dtm)),  # rows 21-22
        field("DG1-20", "identifier[]", ei()),  # row 24
    ),
    structural("DG1-1"),
    structural("DG1-2"),
)


def condition(node: Node, ctx: Context) -> Draft:
    """The Condition of one DG1; DG1-21 `D` retracts it (rows 25-26)."""
    draft = ctx.add(ctx.new("Condition", subject=reference(ctx.patient)))
    resource = draft.resource
    DG1.map(node.segment, ctx, Condition=draft)
    resource["category"] = [fixed(CATEGORY, "encounter-diagnosis")]
    if node.segment.value(21) == "D":
        resource["verificationStatus"] = fixed(VERIFICATION, "entered-in-error")
    else:
        resource["clinicalStatus"] = fixed(CLINICAL, "active")
    return draft
