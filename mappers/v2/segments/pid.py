"""PID, PD1 → Patient; PID-18 → Account; PID-21 → RelatedPerson (mother).

Guide: PID[Patient], PD1[Patient], PID[Account]. Deviations: the SSN system without the guide's trailing dot (row 34); race and ethnicity by the v2
tables in named extensions of ours, since the national extensions bind national codes; PID-33/34 stay with the patient.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded, concept, cwe, fixed, translated
from mappers.v2.datatypes.ids import cx, cx_as, dln, ssn
from mappers.v2.datatypes.measures import whole
from mappers.v2.datatypes.parties import xcn, xon
from mappers.v2.datatypes.people import xad, xpn, xtn, xtn_home, xtn_work
from mappers.v2.datatypes.text import code, part, st, yes_no
from mappers.v2.datatypes.times import dtm, moment
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import REFUSED, STORED, Primitive
from mappers.v2.table import field, keep, segment, structural, takes, target
from profiles.canonical import canonical

EXT: Final = "http://hl7.org/fhir/StructureDefinition/"
ROLE: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
LOINC: Final = "http://loinc.org"
RACE: Final = canonical("StructureDefinition", "patient-race")
ETHNICITY: Final = canonical("StructureDefinition", "patient-ethnicity")


@takes(1)
def birth_date(repetition: Repetition, ctx: Context) -> Primitive | str | None:
    """birthDate; a time that can be said becomes the birthTime extension (rows 10-12), otherwise it is kept as sent."""
    text = part(repetition, 1)
    if not text:
        return None
    found = moment(text, ctx.site.timezone)
    if found is None:
        ctx.find("102", "not a valid date", 1)
        return None
    if found.exact:
        return Primitive(found.date, [{"url": EXT + "patient-birthTime", "valueDateTime": found.text}])
    return _dtm_date(text, found.date, ctx) if found.time else found.date


def _dtm_date(text: str, date: str, ctx: Context) -> Primitive:
    from_field = dtm.convert([text], ctx)
    return from_field if isinstance(from_field, Primitive) else Primitive(date, [])


@takes(1, 2, 3, 4, 5, 6)
def language(repetition: Repetition, ctx: Context) -> Json | None:
    """Patient.communication: the language, preferred because PID-15 is the primary one."""
    found = concept(repetition, ctx, "0296")
    return {"language": found, "preferred": True} if found else None


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, marks=f"url={EXT}patient-citizenship")
def citizenship(repetition: Repetition, ctx: Context) -> Json | None:
    found = concept(repetition, ctx, "0171")
    return {"url": EXT + "patient-citizenship", "extension": [{"url": "code", "valueCodeableConcept": found}]} if found else None


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, marks=f"url={EXT}patient-nationality")
def nationality(repetition: Repetition, ctx: Context) -> Json | None:
    found = concept(repetition, ctx, "0212")
    return {"url": EXT + "patient-nationality", "extension": [{"url": "code", "valueCodeableConcept": found}]} if found else None


@takes(1, marks=f"url={EXT}patient-birthPlace")
def birth_place(repetition: Repetition, ctx: Context) -> Json | None:
    value = part(repetition, 1)
    return {"url": EXT + "patient-birthPlace", "valueAddress": {"text": value}} if value else None


@takes(1, marks=f"url={EXT}patient-mothersMaidenName")
def maiden_name(repetition: Repetition, ctx: Context) -> Json | None:
    """mothersMaidenName: the family name (row 9)."""
    value = part(repetition, 1)
    return {"url": EXT + "patient-mothersMaidenName", "valueString": value} if value else None


@takes(1)
def death_indicator(repetition: Repetition, ctx: Context) -> bool | None:
    """Only when PID-29 has no date (row 50); a date already says Y."""
    value = yes_no.convert(repetition, ctx)
    return None if ctx.segment.raw(29) else value


def county(resource: Json, value: Any, ctx: Context) -> int:
    """PID-12 as district of the only address that has none (rows 17-20)."""
    addresses = resource.setdefault("address", [])
    if len(addresses) > 1 or any("district" in a for a in addresses):
        return REFUSED
    if not addresses:
        addresses.append({})
    addresses[0]["district"] = value
    return STORED


PID = segment(
    "PID",
    target(
        "Patient",
        field("PID-2", "identifier[]", cx),  # row 4
        field("PID-3", "identifier[]", cx),  # row 5
        field("PID-4", "identifier[]", cx),  # row 6
        field("PID-5", "name[]", xpn),  # row 7
        field("PID-6", "extension[]", maiden_name),  # rows 8-9
        field("PID-7", "birthDate", birth_date),  # rows 10-12
        field("PID-8", "gender", code("0001-administrative-gender", number="0001")),  # row 13
        field("PID-9", "name[]", xpn),  # row 14
        field("PID-10", "extension[]", as_extension(RACE, "valueCodeableConcept", coded("0005"))),  # row 15: a realm's extension
        field("PID-11", "address[]", xad),  # row 16
        field("PID-12", county, st, shown="address.district"),  # rows 17-20
        field("PID-13", "telecom[]", xtn_home),  # rows 21-22
        field("PID-14", "telecom[]", xtn_work),  # rows 23-24
        field("PID-15", "communication[]", language),  # row 25
        field("PID-16", "maritalStatus", translated("0002-marital-status", "0002")),  # row 26
        field("PID-17", "extension[]", as_extension(EXT + "patient-religion", "valueCodeableConcept", coded("0006"))),  # rows 27-28
        field("PID-19", "identifier[]", ssn),  # rows 30-34
        field("PID-20", "identifier[]", dln),  # row 35
        field("PID-22", "extension[]", as_extension(ETHNICITY, "valueCodeableConcept", coded("0189"))),  # row 37: a realm's extension
        field("PID-23", "extension[]", birth_place),  # rows 38-39
        field("PID-25", "multipleBirthInteger", whole),  # row 41, before row 40: the number says more
        field("PID-26", "extension[]", citizenship),  # rows 42-44
        field("PID-28", "extension[]", nationality),  # rows 46-48
        field("PID-29", "deceasedDateTime", dtm),  # row 49
        field("PID-30", "deceasedBoolean", death_indicator),  # row 50
        field("PID-39", "extension[]", citizenship),  # rows 63-65
        field("PID-40", "telecom[]", xtn),  # row 66
    ),
    target("Account", field("PID-18", "identifier[]", cx_as("AN"))),  # guide: PID[Account] row 22
    target("RelatedPerson", field("PID-21", "identifier[]", cx)),  # the mother: row 36
    structural("PID-1"),
    keep("PID-24", why="multiple birth without order: multipleBirthBoolean would hide PID-25, so it is kept beside it (row 40)"),
    keep("PID-27", why="veteran status: no element"),
    keep("PID-33", why="last update: belongs to the sender's record, not to ours (rows 47-48)"),
)

PD1 = segment(
    "PD1",
    target(
        "Patient",
        field("PD1-3", "generalPractitioner[]", xon),  # row 5
        field("PD1-4", "generalPractitioner[]", xcn),  # row 6
        field("PD1-6", "extension[]", as_extension(EXT + "patient-disability", "valueCodeableConcept", cwe)),  # rows 8-9
        field("PD1-14", "extension[]", as_extension(EXT + "patient-congregation", "valueString", st)),  # rows 17-18
    ),
    target("Observation", field("PD1-7", "valueCodeableConcept", coded("0315"))),  # guide: PD1[Observation-LivingWill] rows 3-13
    keep("PD1-12", why="protection indicator: a security label only where ARV says which (rows 15-16)"),
)


def patient(node: Node, ctx: Context) -> Draft:
    """The Patient of a PID with its PD1; an Account when PID-18 names one, the mother when PID-21 identifies her."""
    draft = ctx.add(ctx.patient)
    draft.merge = "enrich"
    held = account(ctx) if node.segment.value(18) else ctx.new("Account")
    mother = ctx.new("RelatedPerson", patient=reference(draft), relationship=[fixed(ROLE, "MTH", "mother")])
    PID.map(node.segment, ctx, Patient=draft, Account=held, RelatedPerson=mother)
    if "identifier" in mother.resource:
        ctx.add(mother)
    for more in node.of("PD1"):
        will = ctx.new("Observation", status="final", code=fixed(LOINC, "75320-2", "Advance directive"), subject=reference(draft))
        PD1.map(more.segment, ctx, Patient=draft, Observation=will)
        if "valueCodeableConcept" in will.resource:
            ctx.add(will)
    return draft


def account(ctx: Context) -> Draft:
    """The Account of the patient the message is at, made when it is first asked for (guide: PID[Account] row 3). That it is active is said by nobody."""
    name = ("Account", ctx.patient.full_url)
    if name in ctx.known:
        return ctx.known[name]
    draft = ctx.new("Account", status="active", subject=[reference(ctx.patient)])
    draft.merge, draft.defaults = "enrich", ("status",)
    return ctx.remember(draft, name)
