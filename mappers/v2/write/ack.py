"""ACK: the answer to a message, readable or not (chapter 2.14; ERR chapter 2.14.5).

Same delimiters, version and character set as the message, sender and receiver swapped, one ERR per finding worth answering.
Of bytes that hold no message, as much of an MSH as can be found is used. Time and control id are arguments: the same input makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from mappers.result import Finding, Location, Refused
from mappers.v2 import dictionary
from mappers.v2.escape import encode
from mappers.v2.message import Delimiters, Message, read

AckCode = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
SEVERITY: Final = {"fatal": "F", "error": "E", "warning": "W", "information": "I"}  # table 0516
# Table 0357
CONDITIONS: Final = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "198": "Non-Conformant Cardinality",
    "199": "Other HL7 Error",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application error",
}
MOST_ERRORS: Final = 100
"""ERR segments in one ACK; what is beyond is counted in the last."""


class _Source(NamedTuple):
    """What an ACK takes over from the message it answers."""

    delimiters: Delimiters
    codec: str
    sender: tuple[str, str]  # MSH-3, MSH-4 as sent
    receiver: tuple[str, str]  # MSH-5, MSH-6
    event: str
    control_id: str
    processing: str
    version: str
    charset: str


def acknowledge(
    source: Message | bytes, code: AckCode, findings: Sequence[Finding], *, now: datetime, control_id: str, application: str = "", note: str = ""
) -> bytes:
    """The ACK bytes, segments ended by CR, no framing.

    source: the message, or the bytes when it could not be read. code: MSA-1. findings: all; information is left out, warnings and errors become ERR.
    now: MSH-7, with its offset. control_id: MSH-10 of the ACK. application: MSH-3 where the message did not name whom it was sent to. note: what the
    sender may want to know although nothing is wrong, told as one ERR of severity I where the version has severities (2.5).
    """
    origin = _origin(source)
    d = origin.delimiters
    sent = now.strftime("%Y%m%d%H%M%S") + (now.strftime("%z") if now.tzinfo else "")
    structure = d.component.join(("ACK", origin.event, "ACK")) if origin.event else "ACK"
    marks = d.component + d.repetition + d.escape + d.subcomponent + d.truncation
    msh = [
        "MSH",
        marks,
        origin.receiver[0] or encode(application, **_marks(d)),
        origin.receiver[1],
        *origin.sender,
        sent,
        "",
        structure,
        control_id,
        origin.processing,
        origin.version,
    ]
    if origin.charset:
        msh += ["", "", "", "", "", origin.charset]
    answered = [f for f in findings if f.severity != "information"]
    lines = [d.field.join(msh), _msa(code, origin, answered)]
    lines += [_err(f, origin) for f in answered[:MOST_ERRORS]]
    if len(answered) > MOST_ERRORS:
        lines[-1] = _err(Finding("warning", "199", f"{len(answered) - MOST_ERRORS + 1} further findings"), origin)
    if note and _graded(origin):
        lines.append(_err(Finding("information", "0", note), origin))
    return ("\r".join(lines) + "\r").encode(origin.codec, "replace")


def _origin(source: Message | bytes) -> _Source:
    if isinstance(source, bytes):
        try:
            return _origin(read(source[:65536]))
        except Refused:
            return _Source(Delimiters(), "utf-8", ("", ""), ("", ""), "", _control_id(source), "P", dictionary.DEFAULT, "")
    msh = source.segments[0]
    raw = msh.raw
    return _Source(
        source.delimiters,
        source.codec,
        (raw(3), raw(4)),
        (raw(5), raw(6)),
        msh.value(9, 2),
        raw(10),
        raw(11) or "P",
        raw(12) or dictionary.DEFAULT,
        raw(18),
    )


def _control_id(data: bytes) -> str:
    """MSH-10 of something that only looks like a message: the tenth piece after an MSH, if it can be told."""
    start = data[:4096].find(b"MSH")
    if start < 0:
        return ""
    line = data[start : start + 2048].split(b"\r", 1)[0].split(b"\n", 1)[0]
    pieces = line.split(line[3:4] or b"|")
    text = pieces[9].decode("ascii", "ignore").strip() if len(pieces) > 9 else ""
    return text if text.isprintable() and len(text) <= 199 and not set(text) & set("|^~\\&") else ""


def _marks(d: Delimiters) -> dict[str, str]:
    return {"field": d.field, "component": d.component, "repetition": d.repetition, "escape": d.escape, "subcomponent": d.subcomponent}


def _msa(code: AckCode, origin: _Source, findings: Sequence[Finding]) -> str:
    """MSA-3, the text older senders read, is the first error in words."""
    parts = ["MSA", code, origin.control_id]
    worst = next((f for f in findings if f.severity in ("error", "fatal")), None)
    if worst is not None:
        parts.append(encode(_sentence(worst)[:80], **_marks(origin.delimiters)))
    return origin.delimiters.field.join(parts)


def _sentence(finding: Finding) -> str:
    return f"{finding.where}: {finding.text}" if finding.where else finding.text


def _err(finding: Finding, origin: _Source) -> str:
    """ERR of 2.5 and later: location (ERL), 0357 code, severity, text; of older versions: ERR-1 with segment, sequence, field, code."""
    d = origin.delimiters
    text = CONDITIONS.get(finding.code, "")
    if not _graded(origin):
        where = finding.where or Location("")
        sequence = str(where.sequence) if where.segment else ""
        code = d.subcomponent.join((finding.code, encode(text, **_marks(d)), "HL70357"))
        return d.field.join(("ERR", d.component.join((where.segment, sequence, _number(where.field), code))))
    code = d.component.join((finding.code, encode(text, **_marks(d)), "HL70357"))
    location = _location(finding.where, d) if finding.where else ""
    return d.field.join(("ERR", "", location, code, SEVERITY[finding.severity], "", "", "", encode(finding.text, **_marks(d))))


def _graded(origin: _Source) -> bool:
    """Does ERR of this version have a severity (2.5 and later)?"""
    return dictionary.VERSIONS.index(dictionary.nearest(origin.version)[0]) >= dictionary.VERSIONS.index("2.5")


def _location(where: Location, d: Delimiters) -> str:
    parts = [
        where.segment,
        str(where.sequence),
        _number(where.field),
        _number(where.repetition),
        _number(where.component),
        _number(where.subcomponent),
    ]
    if where.field is not None and not parts[3]:
        parts[3] = "1"
    return d.component.join(parts).rstrip(d.component)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
