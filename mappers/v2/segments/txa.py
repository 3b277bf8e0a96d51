"""TXA → DocumentReference, and the DiagnosticReport where the document is a diagnostic report.

Guide: TXA[DocumentReference], TXA[Provenance]. Deviations: TXA-6 without time or zone dates the document's period (row 10 needs R6); TXA-3 names a
presentation, not a MIME type (row 6), so the bytes decide; TXA-10 is who shall sign and becomes the authenticator only where TXA-17 says how far that
has come; the parent (TXA-13), whose meaning is the event's, is left to `messages.mdm_t02`.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Json
from mappers.v2.context import Context
from mappers.v2.datatypes.codes import coded, cwe, fixed, status, translated
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import hd_organization, xcn
from mappers.v2.datatypes.text import as_text, part, st
from mappers.v2.datatypes.times import dtm, instant, moment, set_primitive
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.segments.nte import taking_part
from mappers.v2.segments.orc import filler_reference, order_reference
from mappers.v2.table import Datatype, field, keep, segment, structural, takes, target
from profiles.canonical import sender_system

ATTESTER: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DocumentReference.attester"
MODES: Final = "http://hl7.org/fhir/composition-attestation-mode"
_MODE: Final = {"LA": ("legal", "Legal")}  # TXA-17 of a legally authenticated document; any other signature is professional


_TO_SIGN: Final = taking_part("AUTHEN", "authenticator")


def _signs(repetition: Repetition, ctx: Context) -> bool:
    """Whether TXA-10 is the authenticator: how far signing has come is said, and nobody else signed."""
    signed = ctx.segment.repetitions(22)
    return bool(ctx.segment.value(17)) and (not signed or signed[0][:3] == repetition[:3])


def _authenticator(repetition: Repetition, ctx: Context) -> Json | None:
    found: Json | None = xcn.convert(repetition, ctx) if _signs(repetition, ctx) else None
    return found


def _assigned(repetition: Repetition, ctx: Context) -> Json | None:
    found: Json | None = None if _signs(repetition, ctx) else _TO_SIGN.convert(repetition, ctx)
    return found


authenticator: Final = Datatype("xcn", _authenticator, xcn.uses)
assigned: Final = Datatype("xcn", _assigned, xcn.uses)


@takes(*range(1, 15))
def signer(repetition: Repetition, ctx: Context) -> Json | None:
    """TXA-22 (PPN): who signed. Up to component 14 it is an XCN."""
    for component in (8, 14):
        ctx.leave(component)
    found: Json | None = xcn.convert(repetition[:14], ctx)
    return found


@takes(15)
def attested(repetition: Repetition, ctx: Context) -> Json | None:
    """TXA-22.15: when it was signed, as R5's attester says it; R4 has room for the person only."""
    made = dtm.convert(repetition[14:15], ctx) if len(repetition) > 14 else None
    who = xcn.convert(repetition[:14], ctx) if made is not None else None
    if who is None:
        return None
    time: Json = {"url": "time"}
    set_primitive(time, "valueDateTime", made)
    if "_valueDateTime" in time:  # the models know no extensions on an extension's value: the original is kept beside it
        del time["_valueDateTime"]
        ctx.leave(15)
    code, display = _MODE.get(ctx.segment.value(17), ("professional", "Professional"))
    mode = {"url": "mode", "valueCodeableConcept": fixed(MODES, code, display)}
    return {"url": ATTESTER, "extension": [mode, time, {"url": "party", "valueReference": who}]}


@takes(1)
def origin(repetition: Repetition, ctx: Context) -> object:
    """TXA-6 as day of the document, when it is no instant and TXA-4 does not say when what it describes happened."""
    found = moment(part(repetition, 1), ctx.site.timezone)
    return dtm.convert(repetition, ctx) if found and not found.exact and not ctx.segment.raw(4) else None


@takes(1)
def file_name(repetition: Repetition, ctx: Context) -> Json | None:
    """TXA-16, unique within the sender (row 21)."""
    value = part(repetition, 1)
    return {"system": sender_system(ctx.sender, "document-file"), "value": value} if value else None


@takes(1, 2, 3, 4)
def parent(repetition: Repetition, ctx: Context) -> bool:
    """TXA-13; `messages.mdm_t02` makes the relation of it."""
    return bool(part(repetition, 1) or part(repetition, 3))


def related(resource: Json, value: Any, ctx: Context) -> int:
    return STORED


TXA = segment(
    "TXA",
    target(
        "DocumentReference",
        field("TXA-2", "type", coded("0270")),  # row 5
        field("TXA-4", "context.period.start", dtm),  # guide silent (row 7 blank): when what the document is about happened
        field("TXA-5", "extension[]", taking_part("PPRF", "primary performer")),  # guide silent
        field("TXA-6", "date", instant),  # row 9
        field("TXA-6", "context.period.start", origin),  # row 10, see above
        field("TXA-9", "author[]", xcn),  # row 14
        field("TXA-10", "authenticator", authenticator),  # row 15
        field("TXA-10", "extension[]", assigned),
        field("TXA-11", "extension[]", taking_part("TRANS", "Transcriber")),  # guide silent
        field("TXA-12", "masterIdentifier", ei()),  # row 17
        field("TXA-13", related, parent, shown="relatesTo[].target"),  # guide silent
        field("TXA-14", "context.related[]", order_reference),  # guide silent: the orders it answers
        field("TXA-15", "context.related[]", filler_reference),  # guide silent
        field("TXA-16", "identifier[]", file_name),  # row 21
        field("TXA-17", "docStatus", status("0271-document-status", "0271")),  # row 22
        field("TXA-18", "securityLabel[]", translated("0272-confidentiality", "0272")),  # row 23
        field("TXA-19", "status", status("0273-document-status", "0273", "current")),  # rows 24-26
        field("TXA-22", "authenticator", signer),  # guide silent
        field("TXA-22", "extension[]", attested),
        field("TXA-23", "extension[]", taking_part("IRCP", "information recipient")),  # guide: TXA[Provenance] rows 27-29, a role it has none of
        field("TXA-25", "description", st),  # row 32
        field("TXA-27", "custodian", hd_organization),  # guide silent: the facility that made it keeps it
        field("TXA-28", "context.practiceSetting", cwe),  # guide silent
    ),
    target(
        "DiagnosticReport",  # only when TXA-2 is a diagnostic report
        field("TXA-4", "effectiveDateTime", dtm),
        field("TXA-9", "resultsInterpreter[]", xcn),
        field("TXA-14", "basedOn[]", order_reference),
        field("TXA-15", "identifier[]", ei("FILL")),
    ),
    target(
        "Provenance",
        field("TXA-8", "occurredDateTime", dtm),  # guide: TXA[Provenance] row 10 says recorded, which is when the message says it
        field("TXA-21", "reason[]", as_text),  # row 25
    ),
    structural("TXA-1"),
    keep("TXA-3", why="how it is presented (table 0191): what the bytes are is decided by the bytes"),
    keep("TXA-7", why="when it was transcribed: no element"),
    keep("TXA-20", why="where the sender stores it (table 0275): no element"),
    keep("TXA-24", why="folder in the sender's own filing: no element"),
    keep("TXA-26", why="when it was agreed to be due: no element"),
)
