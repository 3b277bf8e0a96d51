"""What kind of file is this? By its content, never by its name: what people file goes into a browser again."""

from __future__ import annotations

import re
from typing import Final

KINDS: Final = "PDF, TIFF, JPEG, PNG, DICOM, plain text (UTF-8) and HTML"
# Where a kind of file begins, and with what (RFC 8118, TIFF 6.0, ITU-T T.81, ISO 15948, DICOM PS3.10).
_MAGIC: Final = (
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (128, b"DICM", "application/dicom"),
)
# Windows, ELF, Mach-O (both word sizes and orders), Java or universal Mach-O, scripts.
_PROGRAMS: Final = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_PDF_HEAD: Final = 1024
"""Readers look for `%PDF-` this far."""


def is_program(content: bytes) -> bool:
    """Something a computer would run."""
    return content.startswith(_PROGRAMS)


def media_type(content: bytes) -> str | None:
    """The MIME type, None for anything but KINDS. Text is UTF-8 without control characters."""
    if is_program(content):
        return None
    for offset, magic, kind in _MAGIC:
        if content[offset : offset + len(magic)] == magic:
            return kind
    if b"%PDF-" in content[:_PDF_HEAD]:
        return "application/pdf"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if not text.strip() or _CONTROLS.search(text):
        return None
    return "text/html" if re.match(r"\s*<(!doctype html|html)\b", text, re.IGNORECASE) else "text/plain"
