"""The lexer: bytes of one HL7 v2 message to segments and fields. Positional, lossless, lazy: a field is taken apart when somebody asks for it.

Accepted beyond the letter of chapter 2: BOM, LF and CRLF line ends, a missing last CR, MLLP framing left on, any delimiters MSH declares,
the five-character `^~\\&#`, line breaks inside a field. Refused: what does not start with a usable MSH.
What the values mean is left to `datatypes` and `segments`, whether they conform to `dictionary`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from mappers.result import Finding, Header, Location, Refused
from mappers.v2 import charset, escape

SUB: Final = "\x1f"
"""Stands between subcomponents in a component. Control characters never come in, so it can't be mistaken for content, and `\\T\\` can decode to `&`
beside it.
"""

Repetition = list[str]
"""One repetition of a field: its components, decoded, subcomponents joined by SUB."""

_FRAMING: Final = b"\x0b\x1c\r\n \t"
_SEGMENT_ID: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_BEFORE_EVENTS: Final = {"ORU": "R01", "ORM": "O01"}
_ENVELOPE: Final = (b"FHS", b"BHS", b"BTS", b"FTS")


class Delimiters(NamedTuple):
    """MSH-1 and MSH-2. `truncation` is "" before 2.7 or when not declared."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""


class Lexer(NamedTuple):
    """How messages with the same delimiters and character set are read. parse: the raw text of one field as repetitions of decoded components."""

    delimiters: Delimiters
    parse: Callable[[str], list[Repetition]]


@lru_cache(maxsize=64)
def lexer(delimiters: Delimiters, codec: str) -> Lexer:
    """The lexer of these delimiters. codec: what `\\Xhh\\` escapes are bytes of."""
    _, component, repetition, mark, subcomponent, _ = delimiters
    decode = escape.decoder(*delimiters, codec)

    def parse(text: str) -> list[Repetition]:
        if text.isalnum():
            return [[text]]
        if subcomponent in text:
            text = text.replace(subcomponent, SUB)
        if mark in text:
            return [[decode(c) for c in r.split(component)] for r in text.split(repetition)]
        if repetition in text:
            return [r.split(component) for r in text.split(repetition)]
        return [text.split(component)]

    return Lexer(delimiters, parse)


@dataclass(slots=True)
class Segment:
    """One segment. `fields[n]` is the raw text of field n (`fields[0]` is the name; in MSH, field 1 is the separator itself).

    sequence: its number among segments of the same name, from 1, as ERR-2 counts; index: its place in the message, from 0;
    repeats: the repetition separator occurs somewhere in it. A segment knows how to read itself, but not its message: no cycles for the collector.
    """

    name: str
    fields: list[str]
    sequence: int
    index: int
    lexer: Lexer
    repeats: bool

    def raw(self, number: int) -> str:
        """Field `number` as sent, "" when it is not there."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[Repetition]:
        """Field `number` taken apart and decoded; empty list when it is not valued."""
        text = self.raw(number)
        return self.lexer.parse(text) if text else []

    def value(self, number: int, component: int = 1) -> str:
        """First repetition's component as plain text, "" when absent or an explicit null."""
        text = self.raw(number)
        if not text:
            return ""
        if text.isalnum():
            return text if component == 1 else ""
        parts = self.lexer.parse(text)[0]
        found = parts[component - 1].strip() if component <= len(parts) else ""
        return "" if found == '""' else found.replace(SUB, self.lexer.delimiters.subcomponent)

    def where(self, number: int | None = None, repetition: int | None = None, component: int | None = None) -> Location:
        return Location(self.name, self.sequence, number, repetition, component)


class Message:
    """One message, lexed. Made by `read`."""

    def __init__(self, raw: bytes, codec: str, delimiters: Delimiters, findings: list[Finding]) -> None:
        self.raw = raw
        self.codec = codec
        self.delimiters = delimiters
        self.findings = findings
        self.segments: list[Segment] = []
        self.lexer = lexer(delimiters, codec)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the raw bytes, hexadecimal."""
        return sha256(self.raw).hexdigest()

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 with line ends made equal, so that the same message over another channel is the same message."""
        return sha256(self.raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(_FRAMING)).hexdigest()

    @property
    def ack_mode(self) -> tuple[bool, str, str]:
        """(enhanced mode?, MSH-15 accept, MSH-16 application), table 0155. Original mode is when both are blank (chapter 2.9.3)."""
        msh = self.segments[0]
        accept, application = msh.value(15).upper(), msh.value(16).upper()
        return bool(accept or application), accept, application

    @cached_property
    def header(self) -> Header:
        """The parts of MSH an acknowledgement and the inbox need."""
        msh = self.segments[0]
        kind = "^".join(filter(None, (msh.value(9, 1), msh.value(9, 2) or self._event())))
        return Header(
            sender=_sender(msh),
            control_id=msh.value(10),
            message_type=kind,
            version=msh.value(12),
            processing_id=msh.value(11),
            sent_at=msh.value(7),
            charset=self.codec,
        )

    def _event(self) -> str:
        """The trigger event where MSH-9 has none: EVN-1 says it; version 2.1 knew one kind of result and of order."""
        msh = self.segments[0]
        if found := self.named("EVN"):
            return found[0].value(1)
        return _BEFORE_EVENTS.get(msh.value(9), "") if msh.value(12) == "2.1" else ""

    def named(self, name: str) -> list[Segment]:
        """All segments of that name, in message order."""
        return [s for s in self.segments if s.name == name]


def read(raw: bytes) -> Message:
    """Lex one message. Raises Refused (AR, code 100 located at MSH) for bytes that hold no message that can be answered."""
    data = raw.strip(_FRAMING)
    text, codec, findings = charset.decode(data)
    text = text.lstrip("\ufeff\x0b\r\n \t")
    delimiters = _delimiters(text)
    message = Message(raw, codec, delimiters, findings)
    _segments(message, text)
    return message


def split(raw: bytes) -> list[bytes]:
    """The messages of a file: one, several, or FHS/BHS batches (whose envelope segments carry no content of a message and are left behind).

    Anything else before the first MSH comes back as a piece of its own, which `read` will refuse, so that nothing is skipped silently.
    """
    data = raw.strip(_FRAMING)
    starts = [m.start(1) for m in re.finditer(rb"(?:^|[\r\n\x0b])[ \t]*(MSH[^A-Za-z0-9\s])", data)]
    if len(starts) < 2 and not data.startswith(_ENVELOPE):
        return [raw] if data else []
    if not starts:
        return [raw]
    bounds = [0, *starts, len(data)]
    pieces = [_without_envelope(data[a:b]) for a, b in pairwise(bounds)]
    return [piece for piece in pieces if piece]


def _without_envelope(chunk: bytes) -> bytes:
    if not any(mark in chunk for mark in _ENVELOPE):
        return chunk.strip(_FRAMING)
    lines = re.split(rb"[\r\n]+", chunk)
    return b"\r".join(line for line in lines if not line.startswith(_ENVELOPE)).strip(_FRAMING)


def _delimiters(text: str) -> Delimiters:
    if not text.startswith("MSH") or len(text) < 8:
        raise Refused([Finding("error", "100", "not an HL7 v2 message: it does not start with MSH and its delimiters", Location("MSH", 1))], "AR")
    field = text[3]
    marks = text[4:10].split(field, 1)[0].split("\r", 1)[0].split("\n", 1)[0]
    declared = (field, *marks[:4])
    if field.isalnum() or field in "\r\n \x00" or not marks or len(set(declared)) < len(declared) or any(c.isalnum() for c in marks):
        raise Refused([Finding("error", "100", "MSH-1 and MSH-2 do not declare usable, distinct delimiters", Location("MSH", 1, 2))], "AR")
    spare = [c for c in "^~\\&" if c not in declared]
    while len(declared) < 5:
        declared += (spare.pop(0) if spare else chr(0xE000 + len(declared)),)
    component, repetition, escape_, subcomponent = declared[1:5]
    return Delimiters(field, component, repetition, escape_, subcomponent, marks[4] if len(marks) > 4 else "")


def _segments(message: Message, text: str) -> None:
    separator = message.delimiters.field
    counts: dict[str, int] = {}
    segments = message.segments
    lines = text.replace("\n", "\r").split("\r") if "\n" in text else text.split("\r")
    repetition = message.delimiters.repetition
    reader = message.lexer
    for line in lines:
        if not line:
            continue
        if not line.isprintable():
            line = _without_controls(message, line)
        fields = line.split(separator)
        name = fields[0]
        if len(name) != 3 or not (name.isalnum() and name.isupper() and name.isascii() and name[0] > "9"):
            _continue(message, line)
            continue
        if name == "MSH":
            fields.insert(1, separator)
        counts[name] = sequence = counts.get(name, 0) + 1
        segments.append(Segment(name, fields, sequence, len(segments), reader, repetition in line))


def _without_controls(message: Message, line: str) -> str:
    clean = escape.CONTROLS.sub("", line)
    if len(clean) != len(line):
        where = Location(line[:3] if _SEGMENT_ID.match(line) else "MSH", 1)
        message.findings.append(Finding("warning", "102", "control characters removed", where))
    return clean


def _continue(message: Message, line: str) -> None:
    """A line that starts no segment is the rest of a field whose sender broke the line instead of writing `\\.br\\`."""
    if not line.strip() or not message.segments:
        return
    last = message.segments[-1]
    more = line.split(message.delimiters.field)
    last.fields[-1] += "\n" + more[0]
    last.fields.extend(more[1:])
    message.findings.append(
        Finding("warning", "100", "line without a segment id, read as the rest of the field before it", last.where(len(last.fields) - 1))
    )


def _sender(msh: Segment) -> str:
    for number in (4, 3):
        for component in (1, 2):
            if found := msh.value(number, component):
                return found
    return ""
