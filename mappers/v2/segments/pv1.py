"""PV1, PV2 → Encounter.

Guide: PV1[Encounter], PV2[Encounter]. Deviations: the guide's misprinted system of row 30 is left out; billing fields (PV1-20 to -35, -46 to -49) are
kept.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded, coding_of, concept, cwe, table_coding, translated
from mappers.v2.datatypes.ids import cx, cx_as
from mappers.v2.datatypes.measures import number
from mappers.v2.datatypes.parties import pl, place, with_function, xcn, xon
from mappers.v2.datatypes.text import part, subs
from mappers.v2.datatypes.times import dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.segments.nte import followers
from mappers.v2.table import Datatype, field, keep, segment, structural, takes, target

PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
EXT: Final = "http://hl7.org/fhir/StructureDefinition/"
R5: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter."
STAYS: Final = frozenset({"A13"})
"""Events that take a discharge back: their PV1-45 is when it would have been."""
UNKNOWN: Final[Json] = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK", "display": "unknown"}


@takes(1, 2, 3)
def patient_class(repetition: Repetition, ctx: Context) -> Json | None:
    """Encounter.class (row 4); a local class keeps its code under table 0004."""
    value = part(repetition, 1)
    if not value:
        return None
    found = table_coding("0004-encounter-class", value, ctx)
    if found is not None:
        ctx.leave(2)
    return found or {"system": "http://terminology.hl7.org/CodeSystem/v2-0004", "code": value, **_display(repetition)}


def _display(repetition: Repetition) -> Json:
    text = part(repetition, 2)
    return {"display": text} if text else {}


def located(state: str) -> Datatype:
    """Encounter.location in a state."""

    def location(repetition: Repetition, ctx: Context) -> Json | None:
        found = pl.convert(repetition, ctx)
        return {"location": found, "status": state} if found else None

    return Datatype("pl", location, pl.uses)


def assigned_place(repetition: Repetition, ctx: Context) -> Json | None:
    """PV1-3: where the patient is, or will be while this is a pre-admission (row 8)."""
    found: Json | None = located("planned" if ctx.segment.value(2) == "P" else "active").convert(repetition, ctx)
    return found


assigned: Final = Datatype("pl", assigned_place, pl.uses)


@takes(1)
def destination(repetition: Repetition, ctx: Context) -> Json | None:
    """PV1-37 (DLD): the place the patient went to, by the words or else the code of table 0113; the day it took effect is kept."""
    inner = subs(repetition, 1)
    described = concept(inner, ctx, "0113") if inner else None
    if described is None:
        return None
    ctx.left = 0
    draft = place(["", "", "", part(inner, 2) or part(inner, 1)], ctx)
    if draft is not None and "coding" in described:
        draft.resource.setdefault("type", []).append(described)
    return reference(draft) if draft else None


@takes(1)
def days(repetition: Repetition, ctx: Context) -> Json | None:
    """A length of stay in days (PV2-11)."""
    found = number(part(repetition, 1))
    return {"value": found, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"} if found is not None else None


@takes(1)
def protected(repetition: Repetition, ctx: Context) -> Json | None:
    """PV2-22: `Y` marks the visit as restricted (v3 Confidentiality); `N` says nothing."""
    return {"system": CONFIDENTIALITY, "code": "R", "display": "restricted"} if part(repetition, 1) == "Y" else None


PV1 = segment(
    "PV1",
    target(
        "Encounter",
        field("PV1-2", "class", patient_class),  # row 4
        field("PV1-3", "location[]", assigned),  # rows 6-8
        field("PV1-4", "type[]", coded("0007")),  # row 9
        field("PV1-5", "hospitalization.preAdmissionIdentifier", cx),  # row 10
        field("PV1-6", "location[]", located("completed")),  # rows 11-12
        field("PV1-7", "participant[]", with_function(xcn, "individual", PARTICIPATION, "ATND", "attender")),  # rows 13-16
        field("PV1-8", "participant[]", with_function(xcn, "individual", PARTICIPATION, "REF", "referrer")),  # rows 17-20
        field("PV1-9", "participant[]", with_function(xcn, "individual", PARTICIPATION, "CON", "consultant")),  # rows 21-24
        field("PV1-10", "serviceType", coded("0069")),  # row 25
        field("PV1-11", "location[]", located("active")),  # rows 26-27
        field("PV1-13", "hospitalization.reAdmission", coded("0092")),  # row 32
        field("PV1-14", "hospitalization.admitSource", coded("0023")),  # row 33
        field("PV1-15", "hospitalization.specialArrangement[]", coded("0009")),  # row 34
        field("PV1-16", "hospitalization.specialCourtesy[]", coded("0099")),  # row 35
        field("PV1-17", "participant[]", with_function(xcn, "individual", PARTICIPATION, "ADM", "admitter")),  # rows 36-39
        field("PV1-19", "identifier[]", cx_as("VN")),  # rows 41-44
        field("PV1-36", "hospitalization.dischargeDisposition", coded("0112")),
        field("PV1-37", "hospitalization.destination", destination),  # row 62
        field("PV1-38", "hospitalization.dietPreference[]", coded("0114")),  # row 63
        field("PV1-42", "location[]", located("reserved")),  # rows 67-68
        field("PV1-44", "period.start", dtm),  # row 70
        field("PV1-45", "period.end", dtm),  # row 71
        field("PV1-50", "identifier[]", cx),  # row 77
        field("PV1-52", "participant[]", with_function(xcn, "individual", PARTICIPATION, "PART", "Participation")),  # rows 79-82
    ),
    structural("PV1-1"),
    keep("PV1-18", why="patient type: each sender's own list, between Encounter.type and .class (row 40)"),
    keep("PV1-20", why="financial class: of the patient's account, not of one Coverage (PV1[Coverage] row 22)"),
)

PV2 = segment(
    "PV2",
    target(
        "Encounter",
        field("PV2-1", "location[]", located("planned")),  # rows 3-4
        field("PV2-3", "reasonCode[]", cwe),  # row 7
        field("PV2-8", "extension[]", as_extension(R5 + "plannedStartDate", "valueDateTime", dtm)),  # rows 12-13
        field("PV2-9", "extension[]", as_extension(R5 + "plannedEndDate", "valueDateTime", dtm)),  # rows 14-15
        field("PV2-11", "length", days),  # row 17
        field("PV2-13", "participant[]", with_function(xcn, "individual", PARTICIPATION, "REF", "referrer")),  # rows 19-22
        field("PV2-22", "meta.security[]", protected),  # row 31
        field("PV2-23", "serviceProvider", xon),  # guide silent: the clinic of the visit
        field("PV2-25", "priority", translated("0217-encounter-priority", "0217")),  # row 34
        field("PV2-38", "extension[]", as_extension(EXT + "encounter-modeOfArrival", "valueCoding", coding_of("0430"))),  # rows 47-48
    ),
)


def encounter(node: Node, ctx: Context, status: str = "") -> Draft:
    """The Encounter of a PV1 with its PV2, roles and notes.

    status: what the event makes of the visit. Other messages only mention it: what they imply, by the patient's class, stands where nothing is held.
    """
    draft = ctx.add(ctx.new("Encounter", subject=reference(ctx.patient)))
    resource = draft.resource
    PV1.map(node.segment, ctx, Encounter=draft)
    for extra in node.of("PV2"):
        PV2.map(extra.segment, ctx, Encounter=draft)
        followers(extra, draft, ctx)
    followers(node, draft, ctx)
    draft.merge = "enrich"
    if "class" not in resource:
        resource["class"] = dict(UNKNOWN)
        draft.defaults = ("class",)
    if node.segment.value(45) and status not in ("cancelled", "finished") and ctx.trigger not in STAYS:
        resource["status"] = "finished"  # row 72
    elif status:
        resource["status"] = status  # guide: MSH[Encounter] row 11
    else:
        found = ctx.tables.translate("0004-encounter-status", node.segment.value(2))
        resource["status"] = found.code if found else "unknown"  # row 5
        draft.defaults = (*draft.defaults, "status")
    return draft


def add_diagnosis(draft: Draft, condition: Draft, use: str, rank: str, ctx: Context) -> None:
    """The Condition as diagnosis of the visit (guide: DG1[Encounter] rows 5, 8, 17)."""
    diagnosis: Json = {"condition": reference(condition)}
    if coding := table_coding("0052-diagnosis-role", use, ctx):
        diagnosis["use"] = {"coding": [coding]}
    if rank.isdecimal() and 0 < int(rank[:12]) < 2**31:
        diagnosis["rank"] = int(rank)
    draft.resource.setdefault("diagnosis", []).append(diagnosis)
