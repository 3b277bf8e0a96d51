"""HL7 v2 in and out of FHIR R4. Pure: bytes, tables and a site in; drafts, findings and a ledger out.

    message = read(raw)                                   # Refused when it is no message
    mapped = map_message(message, conceptmaps.load(), Site(ZoneInfo("America/Chicago")))

Several messages in one file: `split`. To answer one: `acknowledge`; to read an answer: `read_ack`.
"""

from __future__ import annotations

from mappers.result import Header
from mappers.v2.bundle import bundle
from mappers.v2.conformance import conformance
from mappers.v2.context import RAW_MESSAGE, REPLACED_BY, V2_FIELD, Site
from mappers.v2.dictionary import check
from mappers.v2.mapping import MAPPING_VERSION, map_message
from mappers.v2.message import Message, read, split
from mappers.v2.report import Row, report, rows
from mappers.v2.write.ack import acknowledge
from mappers.v2.write.answer import read_ack

__all__ = [
    "MAPPING_VERSION",
    "RAW_MESSAGE",
    "REPLACED_BY",
    "V2_FIELD",
    "Message",
    "Row",
    "Site",
    "ack_mode",
    "acknowledge",
    "bundle",
    "check",
    "conformance",
    "header",
    "map_message",
    "read",
    "read_ack",
    "report",
    "rows",
    "split",
]


def header(message: Message) -> Header:
    """Who sent what, decoded from MSH."""
    return message.header


def ack_mode(message: Message) -> tuple[bool, str, str]:
    """(enhanced mode?, MSH-15, MSH-16): which acknowledgements the sender wants."""
    return message.ack_mode
