"""One message, mapped: look the type up, map it, keep what nothing took, give every draft its keys."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mappers.result import CaseEvent, Clock, Finding, Ledger, Location, Mapped, Refused
from mappers.v2 import dictionary, keys
from mappers.v2.context import Context, Site
from mappers.v2.datatypes.times import utc
from mappers.v2.groups import Node
from mappers.v2.message import Message
from mappers.v2.messages.registry import ANY, MESSAGES, MessageType
from mappers.v2.periods import mend
from mappers.v2.segments.msh import envelope, seal
from mappers.v2.table import keep_segment
from profiles.conceptmaps import Tables

_EVENT: Final = re.compile(r"([A-Z]\d\d)?", re.ASCII)
ENVELOPE: Final = frozenset({"SFT", "EVN", "MSA", "ERR"})
MAPPING_VERSION: Final = "4"
"""Raised when the same message would map to something else, so that stored messages can be mapped again."""


def map_message(message: Message, tables: Tables, site: Site) -> Mapped:
    """HL7 v2 to drafts of FHIR R4 resources. Raises Refused for a type or event nobody maps (AR 200, 201 at MSH-9) and for a missing required segment
    (AE 100).
    """
    kind = _kind(message)
    header = message.header if site.sender is None else replace(message.header, sender=site.sender)
    ctx = Context(message, tables, site, header.sender, Clock(message=utc(header.sent_at, site.timezone)), kind.event)
    ctx.findings.extend(message.findings)
    ctx.findings.extend(dictionary.check(message))
    ctx.patient = ctx.new("Patient")
    made, ctx.provenance = envelope(Node(message.segments[0], [Node(s) for s in message.segments if s.name in ENVELOPE]), ctx)
    focus = kind.map(ctx)
    for segment in message.segments:
        if segment.index not in ctx.done:
            keep_segment(segment, ctx.provenance, ctx, "no table for the segment here")
    mend(ctx)
    seal(made, ctx.provenance, ctx, focus)
    ctx.drafts.insert(0, made)
    ctx.drafts.append(ctx.provenance)
    keys.assign(ctx, focus)
    about = focus.full_url if focus else ""
    events = [CaseEvent(ctx.event, about, ctx.clock.message)] if ctx.event and (focus or ctx.event == "status") else []
    return Mapped(header, ctx.drafts, ctx.findings, Ledger(ctx.ledger), message.digest, events, tuple(ctx.unmapped.values()), tuple(ctx.asked))


def _kind(message: Message) -> MessageType:
    msh = message.segments[0]
    code, _, event = message.header.message_type.partition("^")
    found = MESSAGES.get((code, event)) or (MESSAGES.get((code, ANY)) if _EVENT.fullmatch(event) else None)
    if found is None:
        known = any(c == code for c, _ in MESSAGES)
        text = "event not supported" if known else "message type not supported"
        raise Refused([Finding("error", "201" if known else "200", text, msh.where(9, None, 2 if known else 1))], "AR")
    for name in found.required:
        if not message.named(name):
            raise Refused([Finding("error", "100", f"required segment {name} missing", Location(name))], "AE")
    return found
