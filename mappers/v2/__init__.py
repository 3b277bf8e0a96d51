"""HL7 v2 in and out of FHIR R4. Pure: bytes, tables and a site in; drafts, findings and a ledger out.

    message = read(raw)                                   # Refused when it is no message
    mapped = map_message(message, conceptmaps.load(), Site(ZoneInfo("America/Chicago")))

Several messages in one file: `split`. To answer one: `write.ack`.
"""

from __future__ import annotations

from mappers.result import Header
from mappers.v2.bundle import bundle
from mappers.v2.context import RAW_MESSAGE, V2_FIELD, Site
from mappers.v2.mapping import map_message
from mappers.v2.message import Message, read, split
from mappers.v2.report import report

__all__ = ["RAW_MESSAGE", "V2_FIELD", "Message", "Site", "bundle", "header", "map_message", "read", "report", "split"]


def header(message: Message) -> Header:
    """Who sent what, decoded from MSH."""
    return message.header
