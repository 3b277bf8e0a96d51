"""CAQH CORE connectivity, the MIME multipart variant: one 270 out, one 271 or an error back, as bytes. Sending is left to others.

Source: CAQH CORE Connectivity Rule vC2.2.0 (phase II, rule 270), section 4.2.1 (HTTP with MIME multipart) and 4.4.2 (what the parts hold).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

RULE: Final = "2.2.0"
REQUEST_270: Final = "X12_270_Request_005010X279A1"
RESPONSE_271: Final = "X12_271_Response_005010X279A1"
ERROR: Final = "CoreEnvelopeError"
REAL_TIME: Final = "RealTime"
SUCCESS: Final = "Success"
MAX_PARTS: Final = 100

_NAMES: Final = {
    "payload_type": "PayloadType",
    "processing_mode": "ProcessingMode",
    "payload_id": "PayloadID",
    "time_stamp": "TimeStamp",
    "sender_id": "SenderID",
    "receiver_id": "ReceiverID",
    "rule_version": "CORERuleVersion",
    "error_code": "ErrorCode",
    "error_message": "ErrorMessage",
}
_DISPOSITION: Final = re.compile(rb'content-disposition:[^\r\n]*?;\s*name="?([^";\r\n]+)', re.IGNORECASE)
_BOUNDARY: Final = re.compile(r'boundary="?([^";,\s]{1,70})', re.IGNORECASE)


class CoreError(Exception):
    """A body that is no CORE envelope, or a value that can't stand in one; in words, quoting nothing of the payload."""


@dataclass(frozen=True, slots=True)
class Message:
    """A CORE envelope. payload: the interchange. payload_id: a UUID, one for each payload, kept in the logs of both sides (4.3.4, 4.4.2).

    time_stamp: UTC, `2026-09-14T14:30:00Z`. error_code: of an answer, Success or what went wrong (`PayloadTypeRequired` …).
    """

    payload: bytes
    payload_type: str
    payload_id: str
    time_stamp: str
    sender_id: str
    receiver_id: str
    processing_mode: str = REAL_TIME
    rule_version: str = RULE
    error_code: str = ""
    error_message: str = ""

    @property
    def failed(self) -> bool:
        """Did the other side refuse the envelope itself?"""
        return self.payload_type == ERROR or self.error_code not in ("", SUCCESS)


def stamp(at: datetime) -> str:
    """A moment as TimeStamp wants it. at: aware."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def build(message: Message) -> tuple[str, bytes]:
    """(Content-Type, body). The boundary follows from the content, so the same message is the same bytes. Raises CoreError for a value of two lines."""
    boundary = _boundary(message)
    parts: list[tuple[str, bytes]] = []
    for attribute, name in _NAMES.items():
        value = str(getattr(message, attribute))
        if not value.isprintable():
            raise CoreError(f"{name} holds a line break or control character")
        if value:
            parts.append((name, value.encode()))
    if message.payload:
        parts.append(("Payload", message.payload))
    lines = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n" for name, value in parts]
    return f"multipart/form-data; boundary={boundary}", b"".join(lines) + f"--{boundary}--\r\n".encode()


def signed(content_type: str, body: bytes, user: str, password: str) -> bytes:
    """An envelope of `build` with UserName and Password (4.4.2) before its other parts. Raises CoreError for a value of two lines, or the boundary in one."""
    found = _BOUNDARY.search(content_type)
    if not found:
        raise CoreError("the Content-Type is no multipart with a boundary")
    mark = f"--{found[1]}"
    for value in (user, password):
        if not value.isprintable() or mark in value:
            raise CoreError("the user's name or password can't stand in an envelope")
    parts = (("UserName", user), ("Password", password))
    return "".join(f'{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts).encode() + body


def read(content_type: str, body: bytes) -> Message:
    """The envelope of a request or an answer. Raises CoreError for a body without boundary, with more parts than MAX_PARTS, or without PayloadType."""
    found = _BOUNDARY.search(content_type)
    if not found or not content_type.lower().lstrip().startswith("multipart/"):
        raise CoreError("the Content-Type is no multipart with a boundary")
    parts = _parts(body, b"--" + found[1].encode())
    values = {attribute: parts.get(name.lower(), b"").decode("utf-8", "replace").strip() for attribute, name in _NAMES.items()}
    if not values["payload_type"]:
        raise CoreError("the envelope has no PayloadType")
    return Message(payload=parts.get("payload", b""), **values)


def _boundary(message: Message) -> str:
    number = 0
    while True:
        mark = "core-" + sha256(message.payload + f"{message.payload_id}{number}".encode()).hexdigest()[:32]
        if mark.encode() not in message.payload:
            return mark
        number += 1


def _parts(body: bytes, mark: bytes) -> dict[str, bytes]:
    """Part by its name in small letters. Line ends may be CR LF or LF; a payload keeps its own."""
    pieces = body.split(mark, MAX_PARTS + 2)
    if len(pieces) > MAX_PARTS + 1:
        raise CoreError(f"the envelope has more than {MAX_PARTS} parts")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise CoreError("the envelope breaks off: its closing boundary is missing")
    found: dict[str, bytes] = {}
    for piece in pieces[1:-1]:
        line_end = b"\r\n" if piece.startswith(b"\r\n") else b"\n"
        head, blank, content = piece.partition(line_end * 2)
        name = _DISPOSITION.search(head)
        if not blank or not name:
            raise CoreError("a part of the envelope has no name")
        found[name[1].decode("latin-1").strip().lower()] = content.removesuffix(line_end)
    return found
