"""MDM^T02 (a new document with its content) and T10 (one that replaces another): the consultation note. Structure MDM_T02."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mappers.result import Json
from mappers.v2.write.er7 import Envelope, components, message, segment, stamp, text
from mappers.v2.write.fields import ei, ts, xcn
from mappers.v2.write.segments import Standing, Subject, documents, obr, orc, pid

CONSULTATION: Final = "CN"  # table 0270
COMPLETION: Final = {"final": "AU", "amended": "AU", "preliminary": "PA"}  # table 0271
AVAILABLE: Final = "AV"  # table 0273


def mdm(subject: Subject, standing: Standing, envelope: Envelope, *, note: Json, author: Json | None = None, replaces: Json | None = None) -> bytes:
    """The document. note: DocumentReference whose attachments hold data. author: Practitioner who signed. replaces: the DocumentReference it replaces."""
    now, event = stamp(envelope.now), "T10" if replaces else "T02"
    parts = [
        segment("EVN", {1: event, 2: now}),
        pid(subject.patient),
        segment("PV1", {1: "1", 2: "O"}),
        orc(subject, standing, now),
        obr(subject),
        _txa(subject, note, author or {}, replaces),
        *documents(note, author or {}, envelope.sender.application),
    ]
    return message(f"MDM^{event}", "MDM_T02", envelope, parts)


def _txa(subject: Subject, note: Json, author: Json, replaces: Json | None) -> str:
    made, who = ts(note.get("date")), xcn(author)
    status = COMPLETION.get(str(note.get("docStatus", "")), "DO")
    signed = status == "AU"
    return segment(
        "TXA",
        {
            1: "1",
            2: CONSULTATION,
            3: "TEXT" if _is_text(note) else "AP",  # table 0191
            4: ts(((note.get("context") or {}).get("period") or {}).get("start")) or made,
            5: who,
            6: made,
            9: who,
            10: who if signed else "",
            12: document_number(note),
            13: document_number(replaces) if replaces else "",
            14: ei(subject.number),
            15: ei(subject.case),
            17: status,
            19: AVAILABLE,
            22: _signature(who, made) if signed else "",
        },
    )


def document_number(document: Json) -> str:
    """TXA-12: the master identifier, else the first identifier, else the resource's own id."""
    identifiers: Sequence[Json] = document.get("identifier") or ()
    found = ei(document.get("masterIdentifier")) or next((ei(i) for i in identifiers), "")
    return found or components(text(document.get("id", "")))


def _signature(who: str, made: str) -> str:
    """PPN: who signed, and when (PPN.15)."""
    return components(*(who.split("^") + [""] * 14)[:14], made) if who else ""


def _is_text(note: Json) -> bool:
    kinds = [str((c.get("attachment") or {}).get("contentType", "")) for c in note.get("content") or ()]
    return all(kind.startswith("text/") for kind in kinds)
