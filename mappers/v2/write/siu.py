"""SIU^S12 (booked), S13 (rescheduled), S15 (cancelled), S26 (did not appear) from an Appointment: chapter 10, structure SIU_S12; 360X PCC-60 and 61.

The referral's number stands in SCH-26, ours in SCH-27.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, Literal

from mappers.result import Json
from mappers.v2.datatypes.codes import V2
from mappers.v2.write.er7 import Envelope, components, message, repetitions, segment, text
from mappers.v2.write.fields import ce, ei, pl, table, ts, type_code, xcn
from mappers.v2.write.segments import Subject, coded_text, nte, pid

Event = Literal["S12", "S13", "S15", "S26"]
HAPPENED: Final = {"S12": "Booked", "S13": "Rescheduled", "S15": "Cancelled", "S26": "Patient did not appear"}
ACTION: Final = {"S12": "A", "S13": "U", "S15": "D", "S26": "U"}  # table 0206
# Appointment.status → table 0278, the exact lines of profiles/conceptmap read backwards; proposed has none nearer than Pending
STATUS: Final = {
    "proposed": "Pending",
    "pending": "Pending",
    "booked": "Booked",
    "arrived": "Started",
    "checked-in": "Started",
    "fulfilled": "Complete",
    "cancelled": "Cancelled",
    "noshow": "Noshow",
    "entered-in-error": "Deleted",
    "waitlist": "Waitlist",
}
MINUTES: Final = components("min", "minute", "UCUM")
CONTACTS: Final = ("placer contact", "filler contact", "entered by")  # how our reader calls whom SCH-12, -16 and -20 name


def siu(
    event: Event, appointment: Json, subject: Subject, envelope: Envelope, *, actors: Mapping[str, Json] | None = None, notes: Sequence[str] = ()
) -> bytes:
    """The appointment. actors: what its participants refer to, by reference (Practitioner, Location, their parts); others stand by their display."""
    held = actors or {}
    comment = str(appointment.get("comment") or "")
    parts = [
        _sch(event, appointment, subject, envelope, held),
        *nte([*notes, comment]),
        pid(subject.patient),
        segment("RGS", {1: "1", 2: ACTION[event]}),
        _ais(event, appointment),
        *_resources(event, appointment, held),
    ]
    return message(f"SIU^{event}", "SIU_S12", envelope, parts)


def _sch(event: Event, appointment: Json, subject: Subject, envelope: Envelope, actors: Mapping[str, Json]) -> str:
    identifiers = [i for i in appointment.get("identifier") or () if i.get("value")]
    own = components(text(appointment.get("id", "")), text(envelope.sender.application)) if appointment.get("id") else ""
    placed, filled = (next((ei(i) for i in identifiers if type_code(i) == kind), "") for kind in ("PLAC", "FILL"))
    minutes = appointment.get("minutesDuration")
    desk = components("", text(envelope.sender.facility or envelope.sender.application))  # who answers questions, where no person is named
    placer, filler, clerk = (_people(appointment, actors, kind) for kind in CONTACTS)
    return segment(
        "SCH",
        {
            1: placed,
            2: filled or own,
            6: ce(appointment.get("cancelationReason")) or coded_text(HAPPENED[event]),
            7: _reason(appointment),
            8: ce(appointment.get("appointmentType")),
            9: str(minutes or ""),
            10: MINUTES if minutes else "",
            11: components("", "", f"M{minutes}" if minutes else "", ts(appointment.get("start")), ts(appointment.get("end"))),
            12: placer,
            16: filler or _people(appointment, actors, "") or desk,
            20: clerk or desk,
            25: table(STATUS.get(str(appointment.get("status", "")), ""), "0278"),
            26: ei(subject.number),
            27: ei(subject.case),
        },
    )


def _reason(appointment: Json) -> str:
    """SCH-7: a code of table 0276 alone where there is one, since its translation is made again by whoever reads it."""
    for concept in appointment.get("reasonCode") or ():
        local = [c for c in concept.get("coding") or () if c.get("system") == V2 + "0276"]
        return ce({"coding": local[:1]} if local else concept)
    return ""


def _ais(event: Event, appointment: Json) -> str:
    services = [ce(c) for c in appointment.get("serviceType") or ()]
    minutes = appointment.get("minutesDuration")
    return segment(
        "AIS",
        {
            1: "1",
            2: ACTION[event],
            3: (services or [coded_text("Second opinion consultation")])[0],
            4: ts(appointment.get("start")),
            7: str(minutes or ""),
            8: MINUTES if minutes else "",
            10: table(STATUS.get(str(appointment.get("status", "")), ""), "0278"),
        },
    )


def _resources(event: Event, appointment: Json, actors: Mapping[str, Json]) -> list[str]:
    """AIL per place, AIP per person who is no mere contact."""
    made: dict[str, list[str]] = {"AIL": [], "AIP": []}
    numbers = {name: count(1) for name in made}
    for participant in appointment.get("participant") or ():
        actor = participant.get("actor") or {}
        kind = _kind(actor, actors)
        name = {"Location": "AIL", "Practitioner": "AIP"}.get(kind, "")
        if not name or _contact_for(participant):
            continue
        value = _place(actor, actors) if name == "AIL" else xcn(_actor(actor, actors))
        role = next((ce(c) for c in participant.get("type") or ()), "")
        start = ts((participant.get("period") or {}).get("start"))
        made[name].append(segment(name, {1: str(next(numbers[name])), 2: ACTION[event], 3: value, 4: role, 6: start}))
    return [*made["AIL"], *made["AIP"]]


def _people(appointment: Json, actors: Mapping[str, Json], kind: str) -> str:
    """The people of the appointment who are contacts of that kind; for "" those who see the patient."""
    found = (p for p in appointment.get("participant") or () if _kind(p.get("actor") or {}, actors) == "Practitioner" and _contact_for(p) == kind)
    return repetitions(xcn(_actor(p["actor"], actors)) for p in found)


def _contact_for(participant: Json) -> str:
    return next((str(c.get("text")) for c in participant.get("type") or () if c.get("text") in CONTACTS), "")


def _kind(actor: Json, actors: Mapping[str, Json]) -> str:
    """The resource type of an actor: as held, as the reference says, or as its address does."""
    reference = str(actor.get("reference", ""))
    held = actors.get(reference) or {}
    return str(held.get("resourceType") or actor.get("type") or reference.rpartition("/")[0].rpartition("/")[2])


def _actor(actor: Json, actors: Mapping[str, Json]) -> Json:
    return actors.get(str(actor.get("reference", ""))) or {"name": [{"text": actor.get("display", "")}]}


def _place(actor: Json, actors: Mapping[str, Json]) -> str:
    """PL of a Location and the wider places it is part of."""
    held = actors.get(str(actor.get("reference", "")))
    if held is None:
        return pl({"name": actor.get("display", "")})
    parts, seen = [""] * 9, 0
    while held is not None and seen < len(parts):
        for number, value in enumerate(pl(held).split("^")):
            parts[number] = parts[number] or value
        held, seen = actors.get(str((held.get("partOf") or {}).get("reference", ""))), seen + 1
    return components(*parts)
