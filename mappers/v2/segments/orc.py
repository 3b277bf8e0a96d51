"""ORC, OBR, TQ1 → ServiceRequest (the order) and DiagnosticReport (its result).

Guide: ORC[ServiceRequest], OBR[ServiceRequest], OBR[DiagnosticReport], TQ1[ServiceRequest]. Where ORC and OBR say the same, it stands once; where
they differ, the first stands and the other is kept.
Deviations: OBR-31 and -13 need no ORC; OBR-11 `A` has no intent in R4 (row 19 says `#add-on#`); OBR-25 missing is `unknown` with a warning (row 33:
error).
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import as_extension, coded, coding_of, cwe, fixed, status
from mappers.v2.datatypes.ids import cx_as, ei, ei_identifier, eip
from mappers.v2.datatypes.measures import cq
from mappers.v2.datatypes.parties import ndl, xcn, xon, xon_draft
from mappers.v2.datatypes.people import xad, xtn_work
from mappers.v2.datatypes.text import ft, part, st, subs
from mappers.v2.datatypes.times import date_time, dtm, elements, instant
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.segments.nte import ROLES, taking_part
from mappers.v2.segments.rf1 import annotated
from mappers.v2.table import Datatype, field, keep, segment, structural, takes, target

EXT: Final = "http://hl7.org/fhir/StructureDefinition/"


def _logical(found: Json | None) -> Json | None:
    return {"type": "ServiceRequest", "identifier": found} if found else None


@takes(1, 2, 3, 4)
def order_reference(repetition: Repetition, ctx: Context) -> Json | None:
    """A placer's order number as reference to the order or referral it names, which other messages bring."""
    return _logical(ei_identifier(repetition, ctx, "PLAC"))


@takes(1, 2, 3, 4)
def filler_reference(repetition: Repetition, ctx: Context) -> Json | None:
    """The same for a filler's number."""
    return _logical(ei_identifier(repetition, ctx, "FILL"))


@takes(1, 2, 3, 4)
def group_reference(repetition: Repetition, ctx: Context) -> Json | None:
    """ORC-4, the number a group of orders was placed under (a referral): EI before 2.8.2, EIP since."""
    return _logical(eip(1, "PGN").convert(repetition, ctx))


@takes(1, 2, 3, 4)
def filler_group(repetition: Repetition, ctx: Context) -> Json | None:
    found: Json | None = eip(2, "FGN").convert(repetition, ctx)
    return found


@takes(1)
def ordered_at(repetition: Repetition, ctx: Context) -> object:
    """ORC-9 is when the order was written only if the order is new (row 28)."""
    return dtm.convert(repetition, ctx) if ctx.segment.value(1) in ("NW", "RE", "") else None


@takes(1)
def from_control(repetition: Repetition, ctx: Context) -> object:
    """ORC-1 says the status only when ORC-5 does not (rows 3, 24)."""
    return None if ctx.segment.raw(5) else status("0119-request-status", "0119").convert(repetition, ctx)


@takes(1)
def effective_start(repetition: Repetition, ctx: Context) -> Json | None:
    """OBR-7: the time, or the start when OBR-8 ends it (rows 13-14)."""
    text = part(repetition, 1)
    value = date_time(text, ctx) if text else None
    if value is None:
        return None
    if ctx.segment.raw(8):
        return {"effectivePeriod": elements("start", value)}
    return elements("effectiveDateTime", value)


@takes(4, 6)
def timing_priority(repetition: Repetition, ctx: Context) -> object:
    """TQ.6 (OBR-27, ORC-7)."""
    ctx.leave(4)
    found = part(repetition, 6)
    return status("0485-request-priority", "0485").convert([found], ctx) if found else None


@takes(4)
def timing_start(repetition: Repetition, ctx: Context) -> object:
    """TQ.4 (OBR-27, ORC-7)."""
    text = part(repetition, 4)
    return date_time(text, ctx, 4) if text else None


def ndl_as(code: str, display: str) -> Datatype:
    """Reference to the Practitioner of an NDL with what he or she did (rows 42-49)."""

    def performing(repetition: Repetition, ctx: Context) -> Json | None:
        found = ndl.convert(repetition, ctx)
        return (
            {**found, "extension": [{"url": EXT + "event-performerFunction", "valueCodeableConcept": fixed(ROLES, code, display)}]} if found else None
        )

    return Datatype("ndl", performing, ndl.uses)


@takes(1)
def reflex(repetition: Repetition, ctx: Context) -> bool | None:
    """OBR-11 `G`: ordered because of a result. The other codes say what is done about a specimen."""
    return True if part(repetition, 1) == "G" else None


def into_intent(resource: Json, value: Any, ctx: Context) -> int:
    resource["intent"] = "reflex-order"
    return STORED


def parent_order(component: int, kind: str) -> Datatype:
    """OBR-29: the order this one came of, by placer's or filler's number; with OBR-50 it names a result of it instead (row 46)."""
    half = eip(component, kind)

    def ordered(repetition: Repetition, ctx: Context) -> Json | None:
        return None if ctx.segment.raw(50) else _logical(half.convert(repetition, ctx))

    return Datatype("eip", ordered, half.uses)


def source(component: int, table: str) -> Datatype:
    """A coded component of SPS (OBR-15; guide: SPS[Specimen-Source])."""

    @takes(component)
    def part_of_source(repetition: Repetition, ctx: Context) -> Json | None:
        inner = subs(repetition, component)
        return coded(table).convert(inner, ctx) if inner else None

    return part_of_source


@takes(3)
def source_method(repetition: Repetition, ctx: Context) -> Json | None:
    """SPS.3, how it was collected, in words."""
    found = part(repetition, 3)
    return {"text": found} if found else None


@takes(1)
def specimen_source(repetition: Repetition, ctx: Context) -> Json | None:
    """SPS.1 (OBR-15): a coded type in subcomponents, or its bare code."""
    inner = subs(repetition, 1)
    return coded("0070").convert(inner, ctx) if inner else None


ORC = segment(
    "ORC",
    target(
        "ServiceRequest",
        field("ORC-1", "status", from_control),  # row 3
        field("ORC-2", "identifier[]", ei("PLAC")),  # rows 9-11
        field("ORC-3", "identifier[]", ei("FILL")),  # rows 12-14
        field("ORC-4", "requisition", eip(1, "PGN")),  # rows 15-20
        field("ORC-4", "identifier[]", filler_group),  # rows 21-23
        field("ORC-5", "status", status("0038-request-status", "0038")),  # row 24
        field("ORC-7", "priority", timing_priority),  # row 26
        field("ORC-7", "occurrenceDateTime", timing_start),
        field("ORC-9", "authoredOn", ordered_at),  # row 28
        field("ORC-12", "requester", xcn),  # row 34
        field("ORC-14", "extension[]", as_extension(EXT + "servicerequest-order-callback-phone-number", "valueContactPoint", xtn_work)),  # rows 36-37
        field("ORC-16", "extension[]", as_extension(EXT + "request-statusReason", "valueCodeableConcept", cwe)),  # rows 39-40
        field("ORC-28", "meta.security[]", coding_of("0177")),  # row 53
        field("ORC-29", "locationCode[]", coded("0482")),  # row 54
        field("ORC-33", "identifier[]", cx_as("PLAC")),  # rows 58-60
        field("ORC-38", "identifier[]", ei("FGN")),  # rows 65-67
    ),
    target(
        "DiagnosticReport",
        field("ORC-2", "identifier[]", ei("PLAC")),  # guide: ORC[DiagnosticReport] rows 4-6
        field("ORC-2", "basedOn[]", order_reference),  # row 7
        field("ORC-3", "identifier[]", ei("FILL")),  # rows 8-10
        field("ORC-4", "basedOn[]", group_reference),  # rows 11-12 say identifier: it is not the report's
    ),
    target("PractitionerRole", field("ORC-21", "organization", xon)),  # row 46
    target(
        "Organization",  # the ordering facility
        field("ORC-22", "address[]", xad),  # row 47
        field("ORC-23", "telecom[]", xtn_work),  # row 48
    ),
    keep("ORC-10", why="who typed it in: the Provenance is the message's, of several orders (ORC[Provenance] rows 18-20)"),
    keep("ORC-11", why="who verified it: as ORC-10 (rows 21-23)"),
    keep("ORC-15", why="from when the order holds: the guide asks how it is used (row 38)"),
    keep("ORC-24", why="address of the ordering provider: at this facility, or her own (row 49 asks)"),
)

OBR = segment(
    "OBR",
    target(
        "DiagnosticReport",
        field("OBR-2", "identifier[]", ei("PLAC")),  # rows 4-6
        field("OBR-2", "basedOn[]", order_reference),
        field("OBR-3", "identifier[]", ei("FILL")),  # rows 7-9
        field("OBR-4", "code", cwe),  # row 10
        field("OBR-7", "*", effective_start, shown="effective[x]"),  # rows 13-14
        field("OBR-8", "effectivePeriod.end", dtm),  # row 15
        field("OBR-22", "issued", instant),  # row 29
        field("OBR-24", "category[]", coded("0074")),  # row 31
        field("OBR-25", "status", status("0123-report-status", "0123", "unknown")),  # row 32
        field("OBR-32", "resultsInterpreter[]", ndl),  # row 40
        field("OBR-33", "resultsInterpreter[]", ndl),  # guide silent: the assistant interprets too
        field("OBR-28", "extension[]", taking_part("IRCP", "information recipient")),  # row 36 defers it
        field("OBR-34", "performer[]", ndl_as("SPRF", "secondary performer")),  # rows 42-45
        field("OBR-35", "performer[]", ndl_as("TRANS", "Transcriber")),  # rows 46-49
    ),
    target(
        "ServiceRequest",
        field("OBR-2", "identifier[]", ei("PLAC")),  # rows 5-7
        field("OBR-3", "identifier[]", ei("FILL")),  # rows 8-11
        field("OBR-4", "code", cwe),  # row 12
        field("OBR-5", "priority", status("0485-request-priority", "0485")),  # row 13
        field("OBR-6", "occurrenceDateTime", dtm),  # row 14
        field("OBR-11", into_intent, reflex, shown="intent"),  # row 20
        field("OBR-13", "note[]", annotated(ft)),  # rows 23-24 need an R5 type; the words are what matters
        field("OBR-16", "requester", xcn),  # row 28
        field("OBR-17", "extension[]", as_extension(EXT + "servicerequest-order-callback-phone-number", "valueContactPoint", xtn_work)),  # rows 29-30
        field("OBR-27", "priority", timing_priority),  # row 40
        field("OBR-27", "occurrenceDateTime", timing_start),
        field("OBR-29", "basedOn[]", parent_order(1, "PLAC")),  # rows 42-43
        field("OBR-29", "basedOn[]", parent_order(2, "FILL")),  # rows 44-45
        field("OBR-31", "reasonCode[]", cwe),  # row 48
        field("OBR-46", "orderDetail[]", cwe),  # row 63
        field("OBR-47", "orderDetail[]", cwe),  # row 64
        field("OBR-53", "identifier[]", cx_as("PLAC")),  # rows 70-72
    ),
    target(
        "Specimen",  # the only SPM's, or one of its own when the order has none
        field("OBR-9", "collection.quantity", cq),  # guide: OBR[Specimen] row 12
        field("OBR-10", "collection.collector", xcn),  # row 13
        field("OBR-14", "receivedTime", dtm),  # row 18
        field("OBR-15", "type", specimen_source),  # row 19
        field("OBR-15", "collection.method", source_method),
        field("OBR-15", "collection.bodySite", source(4, "0163")),
        field("OBR-39", "note[]", annotated(ft)),  # row 45
    ),
    keep("OBR-18", why="placer's own field 1: what it holds is agreed locally (row 31)"),
    keep("OBR-19", why="placer's own field 2 (row 32)"),
    keep("OBR-20", why="filler's own field 1 (row 33)"),
    keep("OBR-21", why="filler's own field 2 (row 34)"),
    keep("OBR-26", why="parent result: left to a later edition of the guide (row 34)"),
    keep("OBR-50", why="service of the parent order: left to a later edition of the guide (row 64)"),
    structural("OBR-1"),
)


def order_control(node: Node, ctx: Context, **drafts: Draft) -> None:
    """The ORC of an order, whose requester is a person, in the role she has at the ordering facility where ORC-21 names one (rows 34, 46)."""
    orc = node.segment
    ctx.segment, ctx.number = orc, 21
    named = orc.repetitions(21)
    facility = xon_draft(named[0], ctx) if named else None
    if facility is None:
        ORC.map(orc, ctx, **drafts)
        return
    role = ctx.new("PractitionerRole")
    ORC.map(orc, ctx, **drafts, PractitionerRole=role, Organization=facility)
    request = drafts["ServiceRequest"].resource
    if "requester" in request:
        role.resource["practitioner"] = request["requester"]
    role.merge = "enrich"
    request["requester"] = reference(ctx.add(role))


TQ1 = segment(
    "TQ1",
    target(
        "ServiceRequest",
        field("TQ1-2", "quantityQuantity", cq),  # row 4
        field("TQ1-7", "occurrencePeriod.start", dtm),  # row 11, a period rather than a Timing with bounds only
        field("TQ1-8", "occurrencePeriod.end", dtm),  # row 12
        field("TQ1-9", "priority", status("0485-request-priority", "0485")),  # row 13
        field("TQ1-11", "patientInstruction", st),  # row 15 says note
    ),
    structural("TQ1-1"),
)
