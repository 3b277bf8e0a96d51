r"""Escape sequences of HL7 v2 (chapter 2.7), decoded once, after splitting, and written back.

Decoded: `\F\ \S\ \T\ \R\ \E\ \P\` (delimiters), `\Xhh..\` (bytes in the message's own character set), `\.br\ \.sp\ \.ce\ \.sk\ \.fi\ \.nf\ \.in\
\.ti\` (formatting), `\H\ \N\` (highlight, which plain text cannot carry), `\Cxxyy\ \Mxxyyzz\` (ISO 2022 switches). An unknown sequence or a lone
escape character is text and stays as it is (UNC paths in RP fields are full of them).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Characters that never leave the mapper: C0 but tab and line ends, DEL, C1."""

_FORMATS: Final = {"br": "\n", "sp": "\n", "ce": "\n", "sk": " ", "fi": "", "nf": "", "in": "", "ti": ""}
_COUNTED: Final = frozenset({"sp", "sk"})
_ISO2022: Final = ("iso2022_jp_2", "iso2022_kr")


@lru_cache(maxsize=64)
def decoder(field: str, component: str, repetition: str, escape: str, subcomponent: str, truncation: str, codec: str) -> Callable[[str], str]:
    """A function that decodes one already split value. The arguments are the message's delimiters and the codec its bytes were read with."""
    plain = {"F": field, "S": component, "T": subcomponent, "R": repetition, "E": escape, "P": truncation, "H": "", "N": ""}
    mark = re.escape(escape)
    pattern = re.compile(rf"{mark}([FSTREPHN]|[Xx][0-9A-Fa-f]*|[CM][0-9A-Fa-f]{{4,6}}|\.[A-Za-z]{{2}}[+-]?\d{{0,4}}){mark}")

    def replace(match: re.Match[str]) -> str:
        token = match[1]
        known = plain.get(token)
        if known is not None:
            return known
        if token[0] in "Xx":
            return _hexadecimal(token[1:], codec)
        if token[0] == ".":
            return _formatting(token, match[0])
        return match[0]

    def decode(value: str) -> str:
        if escape not in value:
            return value
        if escape + "M" in value or escape + "C" in value:
            value = _switched(value, escape)
        return pattern.sub(replace, value)

    return decode


def _formatting(token: str, original: str) -> str:
    name, count = token[1:3].lower(), token[3:].lstrip("+-")
    text = _FORMATS.get(name)
    if text is None:
        return original
    return text * min(int(count), 200) if count and name in _COUNTED else text


def _hexadecimal(digits: str, codec: str) -> str:
    if len(digits) % 2:
        digits = "0" + digits
    data = bytes.fromhex(digits)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _switched(value: str, escape: str) -> str:
    """Text with `\\C` and `\\M` character set switches: read as the ISO 2022 stream it spells, left alone when that is not possible."""
    pattern = re.compile(rf"{re.escape(escape)}[CM]((?:[0-9A-Fa-f]{{2}}){{2,3}}){re.escape(escape)}")
    if not value.isascii():
        return value
    stream = pattern.sub(lambda m: "\x1b" + bytes.fromhex(m[1]).decode("latin-1"), value)
    for codec in _ISO2022:
        try:
            return CONTROLS.sub("", stream.encode("latin-1").decode(codec))
        except UnicodeError:
            continue
    return value


def encode(text: str, *, field: str, component: str, repetition: str, escape: str, subcomponent: str) -> str:
    """Text as one value of a message we write: delimiters escaped, line ends as `\\.br\\`, control characters removed."""
    out = text.replace(escape, f"{escape}E{escape}")
    for mark, letter in ((field, "F"), (component, "S"), (repetition, "R"), (subcomponent, "T")):
        out = out.replace(mark, f"{escape}{letter}{escape}")
    out = out.replace("\r\n", "\n").replace("\r", "\n").replace("\n", f"{escape}.br{escape}")
    return CONTROLS.sub("", out)
