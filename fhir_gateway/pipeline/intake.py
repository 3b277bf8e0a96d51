"""What arrives, before anyone has understood it: identity of the message, acknowledgement mode, keeping what can't be taken."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Store
from fhir_gateway.store.ids import new_id
from mappers import v2
from mappers.result import Finding, Header
from profiles.conceptmaps import Tables

V2_TYPE: Final = "x-application/hl7-v2+er7"
FHIR_TYPE: Final = "application/fhir+json"

# MSH-15/16 (table 0155): when an acknowledgement of that kind is wanted. A blank field in enhanced mode means none.
_WANTED: Final = {"AL": (True, True), "SU": (True, False), "ER": (False, True), "NE": (False, False), "": (False, False)}


@dataclass(frozen=True, slots=True)
class AckMode:
    """Original mode: one answer when the effect is committed. Enhanced mode: MSH-15 asks for a commit, MSH-16 for an application acknowledgement."""

    enhanced: bool
    accept: str = ""
    application: str = ""

    def wants_commit(self, good: bool) -> bool:
        """Is a CA (good) or CE/CR to be sent?"""
        return _WANTED.get(self.accept, (True, True))[0 if good else 1]

    def wants_application(self, good: bool) -> bool:
        """Is an AA (good) or AE/AR to be sent?"""
        return not self.enhanced or _WANTED.get(self.application, (True, True))[0 if good else 1]


def content_hash(raw: bytes) -> str:
    """SHA-256 of the message with line ends made equal, so that the same message over MLLP and HTTP is the same message."""
    return hashlib.sha256(raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(b"\r \x00")).hexdigest()


BRIEF: Final = 8192
"""Bytes of a message that others may wait for: more than nearly all have, and less than those with hundreds of results or a document."""


def is_brief(raw: bytes) -> bool:
    """Is it worked on in some milliseconds, so that others may share its transaction (`store.shared`)?"""
    return len(raw) <= BRIEF


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message at the door. id: of the inbox row it will be kept in. kept: it may be kept there already."""

    raw: bytes
    channel: Literal["mllp", "http", "fhir"]
    peer: str
    at: datetime
    id: str
    hash: str
    kept: bool = False

    @classmethod
    def now(cls, raw: bytes, channel: str, peer: str, at: datetime) -> Arrival:
        """A message that has just come in."""
        return cls(raw, channel, peer, at, new_id(), content_hash(raw))  # type: ignore[arg-type]  # the channel comes from the edge

    @property
    def brief(self) -> bool:
        """See `is_brief`."""
        return is_brief(self.raw)


UNKNOWN: Final = Header(sender="", control_id="", message_type="", version="", processing_id="", sent_at="", charset="")
"""The header of what has none that could be read."""


def told(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as the inbox keeps them."""
    return [{"severity": f.severity, "code": f.code, "text": f.text, "where": str(f.where) if f.where else None} for f in findings]


def edition(tables: Tables) -> str:
    """What a message was mapped with: the rules' version, and the clinic's ConceptMaps where any concern its sender."""
    return f"{v2.MAPPING_VERSION}+{tables.edition}" if tables.edition else v2.MAPPING_VERSION


def keep_unframed(store: Store, arrival: Arrival, length: int, sha256: str, finding: Finding, answer: bytes | None) -> None:
    """Keep bytes that made no whole message, or the beginning of one over the limit: state refused, never retried by itself."""
    with store.transaction(Principal("gateway", name=arrival.peer), arrival.at) as tx:
        tx.inbox.add(
            id=arrival.id,
            channel=arrival.channel,
            sender="",
            control_id=None,
            message_type="",
            raw=arrival.raw,
            size=length,
            content_hash=sha256,
            state="refused",
            findings=told([finding]),
            answer=answer,
            answer_type=V2_TYPE if answer else None,
        )
