"""SCH, RGS, AIS, AIG, AIL, AIP → Appointment.

Guide: SCH[Appointment], AIS/AIG/AIL/AIP[Appointment], PID[Appointment]. Deviations: times of the resources are the appointment's when SCH-11 has
none; equipment (AIG) is a logical reference to a Device.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from mappers.result import Draft, Finding, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import ALTERNATE, as_extension, coded, concept, cwe, fixed, status, translated
from mappers.v2.datatypes.ids import cwe_identifier, ei
from mappers.v2.datatypes.measures import number
from mappers.v2.datatypes.parties import pl, xcn
from mappers.v2.datatypes.text import part
from mappers.v2.datatypes.times import dtm, instant, moment
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import REFUSED, STORED, Primitive
from mappers.v2.segments.nte import followers
from mappers.v2.segments.orc import filler_reference, order_reference
from mappers.v2.table import Datatype, field, segment, structural, takes, target
from profiles.canonical import canonical

PRIORITY: Final = canonical("StructureDefinition", "appointment-priority")
KIND: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
MINUTES: Final = {"": 1, "M": 1, "MIN": 1, "MINS": 1, "MINUTE": 1, "MINUTES": 1, "H": 60, "HR": 60, "HOUR": 60, "HOURS": 60}
PARTICIPANT_STATUS: Final = {
    "booked": "accepted",
    "complete": "accepted",
    "started": "accepted",
    "confirmed": "accepted",
    "pending": "needs-action",
    "waitlist": "needs-action",
    "cancelled": "declined",
    "deleted": "declined",
}


@takes(1)
def minutes(repetition: Repetition, ctx: Context) -> int | None:
    """SCH-9 in minutes; another unit (SCH-10) than minutes or hours leaves it kept."""
    found = number(part(repetition, 1))
    factor = MINUTES.get(ctx.segment.value(10).upper())
    if found is None or factor is None or found != int(found) or found <= 0:
        return None
    return int(found) * factor


@takes(1, 2, 3)
def minutes_unit(repetition: Repetition, ctx: Context) -> str | None:
    """SCH-10 is understood when SCH-9 could be turned into minutes with it."""
    unit = part(repetition, 1).upper()
    return unit if ctx.segment.raw(9) and unit in MINUTES else None


def understood(resource: Json, value: Any, ctx: Context) -> int:
    """The value went into another element."""
    return STORED if "minutesDuration" in resource else REFUSED


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9)
def cancel_reason(repetition: Repetition, ctx: Context) -> Json | None:
    """SCH-6 says why the event happened; R4 has a place for that only when it is a cancellation (invariant app-4)."""
    return concept(repetition, ctx) if ctx.message.header.message_type in ("SIU^S15", "SIU^S26") else None


@takes(4)
def timing_start(repetition: Repetition, ctx: Context) -> str | None:
    return _instant(part(repetition, 4), ctx)


@takes(5)
def timing_end(repetition: Repetition, ctx: Context) -> str | None:
    return _instant(part(repetition, 5), ctx)


def _instant(text: str, ctx: Context) -> str | None:
    found = moment(text, ctx.site.timezone) if text else None
    return found.text if found and found.exact else None


def contact(code: str) -> Datatype:
    """Appointment.participant for a person SCH names (rows 15-29)."""

    def participant(repetition: Repetition, ctx: Context) -> Json | None:
        found = xcn.convert(repetition, ctx)
        return {"type": [{"text": code}], "actor": found, "status": "accepted"} if found else None

    return Datatype("xcn", participant, xcn.uses)


SCH = segment(
    "SCH",
    target(
        "Appointment",
        field("SCH-1", "identifier[]", ei("PLAC")),  # row 3
        field("SCH-2", "identifier[]", ei("FILL")),  # row 4
        field("SCH-6", "cancelationReason", cancel_reason),  # guide silent
        field("SCH-7", "reasonCode[]", translated("0276-appointment-reason", "0276")),  # row 9
        field("SCH-8", "appointmentType", coded("0277")),  # row 11
        field("SCH-9", "minutesDuration", minutes),  # row 12
        field("SCH-10", understood, minutes_unit, shown="minutesDuration"),
        field("SCH-11", "start", timing_start),  # row 14
        field("SCH-11", "end", timing_end),
        field("SCH-12", "participant[]", contact("placer contact")),  # rows 15-17
        field("SCH-16", "participant[]", contact("filler contact")),  # rows 21-23
        field("SCH-20", "participant[]", contact("entered by")),  # rows 27-29
        field("SCH-25", "status", status("0278-appointment-status", "0278")),  # row 34
        field("SCH-26", "basedOn[]", order_reference),  # row 35
        field("SCH-27", "basedOn[]", filler_reference),  # row 36
    ),
)


def _end_after(number_of_start: int, number_of_duration: int) -> Datatype:
    """The end of a resource's use: its start plus a duration in the unit that follows it (guide rows 9-14)."""

    @takes(1)
    def end(repetition: Repetition, ctx: Context) -> str | None:
        start = moment(ctx.segment.value(number_of_start), ctx.site.timezone)
        found = number(part(repetition, 1))
        factor = MINUTES.get(ctx.segment.value(number_of_duration + 1).upper())
        if start is None or not start.exact or found is None or factor is None:
            return None
        return later(start.text, int(found * factor))

    return end


@takes(1, 2, 3, 4, 5, 6)
def equipment(repetition: Repetition, ctx: Context) -> Json | None:
    """AIG-3 as logical reference to a Device (row 5 knows locations only)."""
    found = cwe_identifier.convert(repetition, ctx)
    if found is None:
        return None
    described = found.pop("type", None)
    return {"type": "Device", "identifier": found, **({"display": described["text"]} if described else {})}


@takes(1, 2, 3, 4, 5, 6)
def participation(repetition: Repetition, ctx: Context) -> str | Primitive | None:
    """Table 0278 as Appointment.participant.status."""
    found = PARTICIPANT_STATUS.get(part(repetition, 1).casefold())
    if found is None:
        return None
    return Primitive(found, [{"url": ALTERNATE, "valueCodeableConcept": concept(repetition, ctx, "0278")}])


RGS = segment("RGS", structural("RGS-1"), target("Appointment"))

AIS = segment(
    "AIS",
    target(
        "Appointment",
        field("AIS-3", "serviceType[]", cwe),  # row 5
        field("AIS-4", "start", instant),  # row 6: the service is the appointment
        field("AIS-7", "end", _end_after(4, 7)),  # row 9
        field("AIS-10", "status", status("0278-appointment-status", "0278")),  # row 12
    ),
    structural("AIS-1"),
)

AIG = segment(
    "AIG",
    target(
        "Appointment",
        field("AIG-3", "participant[thing].actor", equipment),  # row 5
        field("AIG-4", "participant[thing].type[]", cwe),  # row 6
        field("AIG-8", "participant[thing].period.start", dtm),  # row 10
        field("AIG-11", "participant[thing].period.end", _end_after(8, 11)),  # row 13
        field("AIG-14", "participant[thing].status", participation),
    ),
    structural("AIG-1"),
)

AIL = segment(
    "AIL",
    target(
        "Appointment",
        field("AIL-3", "participant[place].actor", pl),  # row 5
        field("AIL-4", "participant[place].type[]", coded("0305")),
        field("AIL-6", "participant[place].period.start", dtm),  # row 8
        field("AIL-9", "participant[place].period.end", _end_after(6, 9)),  # row 11
        field("AIL-12", "participant[place].status", participation),
    ),
    structural("AIL-1"),
)

AIP = segment(
    "AIP",
    target(
        "Appointment",
        field("AIP-3", "participant[person].actor", xcn),  # row 5
        field("AIP-4", "participant[person].type[]", coded("0182")),  # row 6
        field("AIP-6", "participant[person].period.start", dtm),  # row 8
        field("AIP-9", "participant[person].period.end", _end_after(6, 9)),  # row 11
        field("AIP-12", "participant[person].status", participation),  # row 14
    ),
    structural("AIP-1"),
)

# TQ1 is where 2.7 and later say when: SCH-11 was withdrawn
TQ1 = segment(
    "TQ1",
    target(
        "Appointment",
        field("TQ1-7", "start", instant),
        field("TQ1-8", "end", instant),
        field("TQ1-9", "extension[]", as_extension(PRIORITY, "valueCodeableConcept", coded("0485"))),
    ),
    structural("TQ1-1"),
)
TABLES: Final = {"AIS": AIS, "AIG": AIG, "AIL": AIL, "AIP": AIP}


def later(start: str, minutes_on: int) -> str:
    """An instant some minutes later, in the same offset."""
    return (datetime.fromisoformat(start) + timedelta(minutes=minutes_on)).isoformat()


def appointment(root: Node, ctx: Context, patient: Draft | None) -> Draft:
    """The Appointment of a SIU message: SCH, its TQ1 and every resource group."""
    draft = ctx.add(ctx.new("Appointment"))
    for node in root.of("SCH"):
        SCH.map(node.segment, ctx, Appointment=draft)
        for timing in node.of("TQ1"):
            TQ1.map(timing.segment, ctx, Appointment=draft)
            followers(timing, draft, ctx)
        followers(node, draft, ctx)
    for node in (*root.of("RGS"), *root.of(*TABLES)):
        if node.segment.name == "RGS":
            RGS.map(node.segment, ctx, Appointment=draft)
            followers(node, draft, ctx)
        for part_ in (node, *node.children):
            if table := TABLES.get(part_.segment.name):
                table.map(part_.segment, ctx, Appointment=draft)
                followers(part_, draft, ctx)
    _participants(draft, patient)
    _settle_status(draft, ctx)
    _settle_times(draft, ctx)
    return draft


def _participants(draft: Draft, patient: Draft | None) -> None:
    found = [p for p in draft.resource.get("participant", ()) if "actor" in p or "type" in p]
    for element in found:
        element.setdefault("status", "needs-action")
    if patient is not None:
        found.insert(0, {"actor": reference(patient), "type": [fixed(KIND, "SBJ", "subject")], "status": "accepted"})
    draft.resource["participant"] = found or [{"type": [{"text": "patient not named"}], "status": "needs-action"}]


# What the event says about the appointment (table 0003); booked events leave room for what SCH-25 says
EVENT_STATUS: Final = {"S15": "cancelled", "S17": "entered-in-error", "S26": "noshow"}


def _settle_status(draft: Draft, ctx: Context) -> None:
    resource = draft.resource
    said = EVENT_STATUS.get(ctx.message.header.message_type.partition("^")[2])
    if said and resource.get("status") != said:
        resource["status"] = said
    resource.setdefault("status", "booked")


def _settle_times(draft: Draft, ctx: Context) -> None:
    """start and end come together (invariant app-2): an end not sent is start plus duration, or start itself when no duration is known."""
    resource = draft.resource
    periods = [p["period"] for p in resource["participant"] if "period" in p]
    if "start" not in resource:
        begun = [p["start"] for p in periods if "T" in p.get("start", "")]
        if begun:
            resource["start"] = min(begun)
    if "start" in resource and "end" not in resource:
        ended = [p["end"] for p in periods if p.get("start") == resource["start"] and "T" in p.get("end", "")]
        resource["end"] = ended[0] if ended else later(resource["start"], resource.get("minutesDuration", 0))
    if "start" not in resource:
        resource.pop("end", None)
        if resource["status"] in ("booked", "pending", "arrived", "checked-in"):  # invariant app-3
            sch = ctx.message.named("SCH")
            where = sch[0].where(11) if sch else None
            ctx.findings.append(Finding("warning", "101", "no start time with a known offset: the appointment is only proposed", where))
            resource["status"] = "proposed"
