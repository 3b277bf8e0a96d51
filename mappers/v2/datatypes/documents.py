"""ED, RP and text to Attachment: what the bytes are is decided by the bytes (guide: ED[Attachment] row 6 takes "PDF" for a MIME type), size and hash
are measured.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha1
from typing import Final

from mappers.result import Json
from mappers.v2.context import Context
from mappers.v2.datatypes.text import part
from mappers.v2.message import Repetition

# First bytes, most specific first (file format specifications; DICOM part 10: "DICM" after a 128-byte preamble is checked apart)
MAGIC: Final = (
    (b"%PDF", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"PK\x03\x04", "application/zip"),
    (b"<?xml", "application/xml"),
    (b"<html", "text/html"),
    (b"<!DOCTYPE html", "text/html"),
    (b"MSH|", "x-application/hl7-v2+er7"),
)
# What ED.2 and ED.3 call it (tables 0191 and 0291), when the bytes don't say
SUBTYPES: Final = {
    "PDF": "application/pdf",
    "RTF": "application/rtf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "TIF": "image/tiff",
    "PICT": "image/x-pict",
    "HTML": "text/html",
    "XML": "application/xml",
    "X-HL7-CDA-LEVEL-ONE": "application/xml",
    "PLAIN": "text/plain",
    "TEXT": "text/plain",
    "TXT": "text/plain",
    "DICOM": "application/dicom",
    "BASIC": "audio/basic",
    "FAX": "image/g3fax",
    "OCTET-STREAM": "application/octet-stream",
    "SGML": "text/sgml",
    "DOC": "application/msword",
}
PLAIN: Final = "text/plain; charset=utf-8"
UNKNOWN: Final = "application/octet-stream"
_MIME: Final = re.compile(r"[a-z]+/[a-z0-9.+-]+", re.IGNORECASE)


def sniff(data: bytes, kind: str, subtype: str) -> str:
    """The MIME type of the bytes; what the sender calls them only when they do not say."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, mime in MAGIC:
        if start[: len(magic)].lower() == magic.lower():
            return mime
    if data[128:132] == b"DICM":
        return "application/dicom"
    return named(kind, subtype)


def named(kind: str, subtype: str) -> str:
    """The MIME type the sender's words mean."""
    for word in (subtype, kind):
        if _MIME.fullmatch(word):
            return word.lower()
        if found := SUBTYPES.get(word.upper()):
            return found
    return PLAIN if kind.upper() in ("TX", "TEXT", "FT") else UNKNOWN


def attachment(data: bytes, mime: str, url: str) -> Json:
    """Attachment of bytes that stand in a Binary at `url`."""
    digest = base64.b64encode(sha1(data, usedforsecurity=False).digest()).decode()  # Attachment.hash is defined as SHA-1
    return {"contentType": mime, "url": url, "size": len(data), "hash": digest}


def decoded(repetition: Repetition, ctx: Context) -> bytes | None:
    """The bytes of an ED: ED.4 Base64, Hex or A (text, as it stands). Bad content: reported at ED.5 (102) and None."""
    encoding = part(repetition, 4).casefold()
    text = repetition[4] if len(repetition) > 4 else ""
    if not text or text == '""':
        return None
    if encoding == "a":
        return text.encode()
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        ctx.find("102", "data is not in the encoding ED.4 declares", 5)
        return None
