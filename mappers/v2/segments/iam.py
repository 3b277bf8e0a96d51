"""IAM → AllergyIntolerance, known by its own number where it has one. Guide: IAM[AllergyIntolerance].

Deviation: who reported it (IAM-14) is a person known by name alone; the patient herself when IAM-15 says so (row 26), a related person when it says
another (rows 27-28), else kept, since a name without a relationship need not be a practitioner's (row 25 is unsure).
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe, fixed, table_coding, translated
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.people import xpn
from mappers.v2.datatypes.text import part
from mappers.v2.datatypes.times import dt, dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.segments.al1 import CLINICAL, category, criticality, kind, manifestation, original_type
from mappers.v2.segments.nk1 import RELATION
from mappers.v2.table import field, segment, structural, takes, target

VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
STATUS: Final = translated("0438-allergy-clinical-status", "0438")


@takes(1)
def onset_text(repetition: Repetition, ctx: Context) -> str | None:
    """IAM-12, when IAM-11 gives no date (row 23)."""
    return None if ctx.segment.raw(11) else part(repetition, 1) or None


@takes(1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14)
def reporter(repetition: Repetition, ctx: Context) -> Json | None:
    """IAM-14, with what IAM-15 says that person is to the patient."""
    kin = ctx.segment.value(15)
    name = xpn.convert(repetition, ctx) if kin and kin != "SEL" else None
    return reference(ctx.add(ctx.new("RelatedPerson", patient=reference(ctx.patient), name=[name]))) if name else None


def themselves(resource: Json, value: Any, ctx: Context) -> int:
    """IAM-15: `SEL` is the patient; any other is the relationship of whom IAM-14 named."""
    if ctx.segment.value(15) == "SEL":
        resource.setdefault("recorder", reference(ctx.patient))
        return STORED
    person = next((d for d in ctx.drafts if d.full_url == resource.get("recorder", {}).get("reference")), None)
    if person is None:
        return 0
    person.resource["relationship"] = [value]
    return STORED


IAM = segment(
    "IAM",
    target(
        "AllergyIntolerance",
        field("IAM-2", "category[]", category),  # row 6
        field("IAM-2", "type", kind),  # row 9
        field("IAM-2", original_type, coded("0127"), shown="extension"),  # rows 7-8
        field("IAM-3", "code", cwe),  # row 10
        field("IAM-4", "criticality", criticality),  # row 12
        field("IAM-5", "reaction[]", manifestation),  # row 15
        field("IAM-7", "identifier[]", ei()),  # row 18
        field("IAM-11", "onsetDateTime", dt),  # row 22
        field("IAM-12", "onsetString", onset_text),  # row 23
        field("IAM-13", "recordedDate", dtm),  # row 24
        field("IAM-14", "recorder", reporter),  # rows 25-27
        field("IAM-15", themselves, RELATION, shown="recorder"),  # row 28
        field("IAM-17", "clinicalStatus", STATUS),  # row 30
        field("IAM-27", "code", cwe),  # row 40: kept where IAM-3 says another
    ),
    structural("IAM-1"),
    structural("IAM-6"),
)


def adverse_reaction(node: Node, ctx: Context) -> Draft:
    """The AllergyIntolerance of one IAM; IAM-6 `D` retracts it (guide silent). A severity goes to the first reaction as well (row 11)."""
    draft = ctx.add(ctx.new("AllergyIntolerance", patient=reference(ctx.patient)))
    resource = draft.resource
    IAM.map(node.segment, ctx, AllergyIntolerance=draft)
    severity = ctx.tables.translate("0128-reaction-severity", node.segment.value(4))
    if severity and "reaction" in resource:
        resource["reaction"][0]["severity"] = severity.code
    _status(resource, node, ctx)
    return draft


def _status(resource: Json, node: Node, ctx: Context) -> None:
    """clinicalStatus has one of its own codes (rows 3-4), and none when the record is retracted (invariants ait-1, ait-2)."""
    sure = table_coding("0438-allergy-verification", node.segment.value(17), ctx)
    if node.segment.value(6) == "D" or (sure and sure["code"] == "entered-in-error"):
        resource.pop("clinicalStatus", None)
        resource["verificationStatus"] = fixed(VERIFICATION, "entered-in-error")
        return
    if sure:
        resource["verificationStatus"] = {"coding": [sure]}
    codings = resource.setdefault("clinicalStatus", {}).setdefault("coding", [])
    if all(c.get("system") != CLINICAL for c in codings):
        codings.insert(0, {"system": CLINICAL, "code": "active"})
