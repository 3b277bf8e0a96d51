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
from mappers.v2.message import SUB, Repetition

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
_PLAIN_WORDS: Final = frozenset({"a"})  # table 0299
_HEX_WORDS: Final = frozenset({"hex"})
_ENCODINGS: Final = frozenset({"base64", *_PLAIN_WORDS, *_HEX_WORDS})
_DISGUISED: Final = ("JVBERi0", "e1xydGY", "iVBORw0KGgo", "/9j/", "SUkqA", "TU0AK", "UEsDB")  # how PDF, RTF, PNG, JPEG, TIFF and ZIP begin in base64
_URL_SAFE: Final = str.maketrans("-_", "+/")
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


def embedded(repetition: Repetition, ctx: Context) -> tuple[Repetition, str]:
    """ED as (source, type, subtype, encoding) and its data. Components left out are reported (101) and found by their looks: data are what follows the
    encoding, or else what looks like a file; separators nobody escaped in a text belong to it.
    """
    d = ctx.message.delimiters
    encodings = [n for n, word in enumerate(repetition) if len(word) < 16 and word.strip().casefold() in _ENCODINGS]
    if len(repetition) > 4 and (not encodings or 3 in encodings):
        return repetition[:4], d.component.join(repetition[4:]).rstrip(d.component).replace(SUB, d.subcomponent)
    if not any(word.strip() for word in repetition):
        return repetition, ""
    ctx.find("101", "components of ED missing: source, type, subtype, encoding, data", 5)
    at = encodings[0] + 1 if encodings else max(range(len(repetition)), key=lambda n: len(repetition[n]))
    if at >= len(repetition) or not (encodings or repetition[at].startswith(_DISGUISED)):
        return repetition[:4], ""
    before = [word for word in repetition[:at] if word]
    encoding = before.pop() if encodings else ""
    described = ["", *before, "", ""][:3] if len(before) < 3 else before[:3]
    return [*described, encoding], repetition[at].replace(SUB, d.subcomponent)


def decoded(encoding: str, text: str, ctx: Context) -> bytes | None:
    """The bytes of ED.5: ED.4 says Base64 (also when it says nothing), Hex or A (text, as it stands). Bad content: reported at ED.5 (102) and None."""
    word = encoding.strip().casefold()
    if not text or text == '""':
        return None
    if word in _PLAIN_WORDS and not text.startswith(_DISGUISED):
        return text.encode()
    if word in _PLAIN_WORDS:
        ctx.find("102", "base64 declared as text in ED.4: read as base64", 4)
    try:
        return bytes.fromhex(text) if word in _HEX_WORDS else _base64(text)
    except (binascii.Error, ValueError):
        ctx.find("102", "data is not in the encoding ED.4 declares", 5)
        return None


def _base64(text: str) -> bytes:
    """RFC 4648, also with line breaks, without padding, in the alphabet for URLs, or behind a `data:` prefix. Raises ValueError for anything else."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    data = "".join(text.split())
    if "-" in data or "_" in data:
        data = data.translate(_URL_SAFE)
    return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
