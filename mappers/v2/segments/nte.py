"""NTE → note of whatever the segment before it made. PRT → a participation in it.

Guide: NTE[Observation], NTE[ServiceRequest], NTE[Appointment-Comment]; PRT[PractitionerRole] rows 7-18. R4 has no note on DiagnosticReport, Patient,
Encounter, Coverage ...: there the note stands in an extension of ours.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded, cwe, fixed
from mappers.v2.datatypes.parties import pl, xcn, xon
from mappers.v2.datatypes.people import xtn_work
from mappers.v2.datatypes.text import ft
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition, Segment
from mappers.v2.paths import STORED
from mappers.v2.segments.rol import PARTICIPATION, role
from mappers.v2.table import Datatype, field, keep_segment, segment, structural, target
from profiles.canonical import canonical

NOTE: Final = canonical("StructureDefinition", "note")
ROLES: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
HAVE_NOTE: Final = frozenset({"Observation", "ServiceRequest", "Specimen", "Condition", "Procedure", "AllergyIntolerance", "ImagingStudy"})


def lines(annotation: Json, value: Any, ctx: Context) -> int:
    """Repetitions of NTE-3 are lines of one comment."""
    held = annotation.get("text")
    annotation["text"] = f"{held}\n{value}" if held else value
    return STORED


NTE = segment(
    "NTE",
    target(
        "Annotation",
        field("NTE-3", lines, ft, shown="text"),  # row 5
        field(
            "NTE-4", "extension[]", as_extension("http://hl7.org/fhir/StructureDefinition/annotationType", "valueCodeableConcept", coded("0364"))
        ),  # Appointment rows 7-8
        field("NTE-5", "authorReference", xcn),  # row 7
        field("NTE-6", "time", dtm),  # row 8
    ),
    structural("NTE-1"),
)

PRT = segment(
    "PRT",
    target(
        "PractitionerRole",
        field("PRT-4", "code[]", coded("0912")),  # row 7
        field("PRT-5", "practitioner", xcn),  # row 8
        field("PRT-6", "specialty[]", cwe),  # row 9
        field("PRT-8", "organization", xon),  # row 11
        field("PRT-9", "location[]", pl),  # row 12
        field("PRT-11", "period.start", dtm),  # row 14
        field("PRT-12", "period.end", dtm),  # row 15
        field("PRT-15", "telecom[]", xtn_work),  # row 18
    ),
)


def taking_part(code: str, display: str) -> Datatype:
    """An XCN whose role the resource has no element for, as PRT would say it: a PractitionerRole named by an extension."""

    def participant(repetition: Repetition, ctx: Context) -> Json | None:
        found = xcn.convert(repetition, ctx)
        if found is None:
            return None
        role = ctx.add(ctx.new("PractitionerRole", practitioner=found, code=[fixed(ROLES, code, display)]))
        return {"url": PARTICIPATION, "valueReference": reference(role)}

    return Datatype("participant", participant, xcn.uses)


def followers(node: Node, home: Draft, ctx: Context) -> None:
    """The NTE, PRT and ROL behind a segment, onto the draft it made."""
    for child in node.of("NTE", "PRT", "ROL"):
        if child.segment.name == "NTE":
            note(child.segment, home, ctx)
        elif child.segment.name == "ROL":
            role(child.segment, home, ctx)
        else:
            participation(child.segment, home, ctx)


def note(segment_: Segment, home: Draft, ctx: Context) -> None:
    """One NTE. Without a text it is no annotation and is kept."""
    if not segment_.raw(3) or segment_.raw(3) == '""':
        keep_segment(segment_, home, ctx, "a comment without text")
        return
    draft = Draft({"resourceType": "Annotation"}, home.full_url)
    NTE.map(segment_, ctx, Annotation=draft)
    annotation: Json = draft.resource
    del annotation["resourceType"]
    if "text" not in annotation:
        keep_segment(segment_, home, ctx, "a comment without text")
    elif home.resource["resourceType"] in HAVE_NOTE:
        home.resource.setdefault("note", []).append(annotation)
    else:
        home.resource.setdefault("extension", []).append({"url": NOTE, "valueAnnotation": annotation})


def participation(segment_: Segment, home: Draft, ctx: Context) -> None:
    """One PRT: a PractitionerRole, and an extension on the draft that names it, since what the role means there differs with the draft."""
    part = ctx.add(ctx.new("PractitionerRole"))
    PRT.map(segment_, ctx, PractitionerRole=part)
    home.resource.setdefault("extension", []).append({"url": PARTICIPATION, "valueReference": reference(part)})
