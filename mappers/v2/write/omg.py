"""OMG^O19 with a document: the outcome of a referral (360X PCC-57, ORC-5 CM) or an interim note (PCC-59, ORC-5 IP). Structure OMG_O19."""

from __future__ import annotations

from collections.abc import Sequence

from mappers.result import Json
from mappers.v2.write.er7 import Envelope, message, stamp
from mappers.v2.write.segments import Standing, Subject, documents, nte, obr, orc, pid


def omg(
    subject: Subject, standing: Standing, envelope: Envelope, *, note: Json | None, author: Json | None = None, notes: Sequence[str] = ()
) -> bytes:
    """The referral's order with its result. note: DocumentReference whose attachments hold data, None when nothing may be sent. author: Practitioner."""
    now = stamp(envelope.now)
    held = documents(note, author or {}, envelope.sender.application) if note else []
    status = ("P" if (note or {}).get("docStatus") == "preliminary" else "F") if held else ""
    parts = [pid(subject.patient), orc(subject, standing, now), obr(subject, changed=now, status=status), *nte(notes), *held]
    return message("OMG^O19", "OMG_O19", envelope, parts)
