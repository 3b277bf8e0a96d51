"""JSON text to values and back without bending anything: decimals keep their digits, duplicate keys are refused.

The standard library's reader is used because it can see duplicate keys (a later one silently winning is how two systems come to read
the same resource differently); msgspec writes because it knows Decimal.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final, NoReturn

import msgspec

from fhir_gateway.validation.issue import InvalidResourceError, Issue

MAX_DEPTH: Final = 64
"""Levels of nesting accepted. R4 examples stay below 20; the reader itself would give up near 1,000."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_sorting = msgspec.json.Encoder(decimal_format="number", order="sorted")


class _Fault(ValueError):
    """Raised inside the JSON reader's hooks, where only an exception can leave."""


def decode(raw: bytes) -> dict[str, Any]:
    """Bytes of one JSON object → dict (fractions as Decimal). Raises InvalidResourceError for anything else; a UTF-8 BOM is tolerated."""
    value = decode_any(raw)
    if not isinstance(value, dict):
        raise _refused("The body must be one JSON object")
    return value


def decode_any(raw: bytes) -> Any:
    """The same for any JSON value."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise _refused(f"The body is not UTF-8 text (byte {fault.start})") from None
    if _too_deep(raw):
        raise _refused(f"The JSON is nested more than {MAX_DEPTH} levels deep")
    try:
        value = _decoder.decode(text.strip())
        if _SURROGATE.search(raw):
            encode(value)
    except _Fault as fault:
        raise _refused(str(fault)) from None
    except json.JSONDecodeError as fault:
        raise _refused(f"Not JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}") from None
    except UnicodeEncodeError:
        raise _refused("The JSON holds half a character (an unpaired \\ud800 to \\udfff)") from None
    except (ValueError, ArithmeticError):  # int() beyond the digits Python reads, Decimal beyond its largest exponent
        raise _refused("The JSON holds a number too long to be read") from None
    return value


def encode(resource: Any) -> bytes:
    """The canonical text: UTF-8, no spaces, keys in the order given, decimals with the digits they came with."""
    return _encoder.encode(resource)


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))
_STEP: Final = tuple({0x7B: 1, 0x5B: 1, 0x7D: -1, 0x5D: -1}.get(byte, 0) for byte in range(256))


def spelled(resource: Any) -> bytes:
    """The text with keys sorted: the same for the same content in any order of keys, and another for other digits (0.4 is not 0.40)."""
    return _sorting.encode(resource)


def _too_deep(raw: bytes) -> bool:
    """Counts brackets outside strings, only when the body has enough of them to be in doubt."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _ALL_BUT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # None goes on
        raise _Fault(f"The key '{twice}' stands twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise _Fault(f"{name} is not a JSON number")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_constant, strict=True)


def _refused(text: str) -> InvalidResourceError:
    return InvalidResourceError([Issue("fatal", "structure", text)])
