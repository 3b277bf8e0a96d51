"""From bytes to text: MSH-18 says which character set (table 0211), the bytes say whether it is true.

Decoding is strict and never loses a byte: the declared set, then UTF-8, then the Western single-byte sets, the last of which accepts any byte.
Whoever declared something else than what was used is told by a finding.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from mappers.result import Finding, Location

# Table 0211, the sets Python can decode. CNS 11643-1992 and the ISO IR 6/14 rows have no codec of their own: IR 6 is ASCII, IR 14 travels with JIS.
CODECS: Final = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "ISO IR6": "ascii",
    "ISO IR14": "iso2022_jp_2",
    "ISO IR87": "iso2022_jp_2",
    "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "GB18030": "gb18030",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    "UTF-8": "utf-8",  # not in the table, common in practice
    "US-ASCII": "ascii",
}
_SPELLING: Final = re.compile(r"[^A-Z0-9]")
"""What spellings of one name differ in: `8859/1`, `8859-1`, `ISO-8859-1`; `ISO IR87`, `ISO_IR 87`."""
_SINGLE_BYTE: Final = re.compile(r"iso8859-|ascii")
_WESTERN: Final = ("iso8859-1", "iso8859-15")
_C1: Final = re.compile(rb"[\x80-\x9f]")
_MSH18: Final = Location("MSH", 1, 18)
_WIDE_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WIDE_STARTS: Final = ((b"M\x00S\x00H\x00", "utf-16-le"), (b"\x00M\x00S\x00H", "utf-16-be"))


def decode(raw: bytes) -> tuple[str, str, list[Finding]]:
    """(text, Python codec used, findings about the declaration). Every byte becomes a character; nothing is replaced or dropped."""
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[len(codecs.BOM_UTF8) :]
    for mark, codec in _WIDE_MARKS + _WIDE_STARTS:
        if raw.startswith(mark):
            try:
                return raw.decode(codec), codec, []
            except UnicodeDecodeError:
                break
    name = declared(raw)
    codec = codec_of(name)
    if raw.isascii() and not codec.startswith("iso2022"):
        return raw.decode("ascii"), codec if _SINGLE_BYTE.match(codec) else "utf-8", []
    return _decode_declared(raw, name, codec)


def codec_of(name: str) -> str:
    """The Python codec of a set of table 0211 however its name is spelled; "" for one we do not know."""
    return _SPELLED.get(_spelled(name), "")


def _spelled(name: str) -> str:
    text = _SPELLING.sub("", name.upper())
    return text.removeprefix("ISO") if text.startswith("ISO8859") else text


_SPELLED: Final = {_spelled(name): codec for name, codec in CODECS.items()}


def declared(raw: bytes) -> str:
    """MSH-18 as written, its first set that is not plain ASCII (`~ISO IR87` declares ASCII with Japanese); "" when there is none."""
    start = raw[:4096].split(b"\r", 1)[0].split(b"\n", 1)[0]
    if len(start) < 8:
        return ""
    fields = start.split(start[3:4])
    if len(fields) < 18:
        return ""
    repeat = fields[1][1:2] or b"~"
    sets = [s.decode("ascii", "replace").strip().upper() for s in fields[17].split(repeat)]
    return next((s for s in sets if s and codec_of(s) != "ascii"), next((s for s in sets if s), ""))


def _decode_declared(raw: bytes, name: str, codec: str) -> tuple[str, str, list[Finding]]:
    order = [codec] if codec and codec != "ascii" else []
    if not codec or _SINGLE_BYTE.match(codec):
        order = ["utf-8", *order]  # text that is valid UTF-8 beyond ASCII is UTF-8, whatever a single-byte declaration says
    if codec in _WESTERN and _C1.search(raw):
        order[-1:] = ["cp1252", codec]  # ISO 8859 has control characters where Windows has quotes, dashes and the euro
    for candidate in dict.fromkeys([*order, "utf-8", "cp1252", "latin-1"]):
        try:
            text = raw.decode(candidate)
        except (UnicodeDecodeError, UnicodeError):
            continue
        return text, candidate, _findings(name, codec, candidate)
    raise AssertionError("latin-1 decodes every byte")


def _findings(name: str, codec: str, used: str) -> list[Finding]:
    if used == codec or (used == "utf-8" and not name):
        return []
    if not name:
        return [Finding("warning", "102", f"no character set declared and not UTF-8: read as {used}", _MSH18)]
    if not codec:
        return [Finding("warning", "103", f"character set not known (table 0211): read as {used}", _MSH18)]
    return [Finding("warning", "102", f"the bytes are not in the declared character set: read as {used}", _MSH18)]
