"""Codes as a person writes them in a table: `LOINC#26346-7 MG Breast - bilateral Diagnostic`, several on lines of their own or after commas."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from fhir_gateway.cases.evidence import DICOM, LOINC
from fhir_gateway.cases.facts import SNOMED
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

# Short name → system. Systems of HL7 terminology and of our own go by `hl7:name` and `own:name`, any other by its whole address.
SYSTEMS: Final[dict[str, str]] = {
    "LOINC": LOINC,
    "SNOMED": SNOMED,
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "DICOM": DICOM,
}
PREFIXES: Final[dict[str, str]] = {"hl7:": "http://terminology.hl7.org/CodeSystem/", "own:": canonical("CodeSystem", "")}
_SHORT: Final = {system: name for name, system in SYSTEMS.items()}
_CODING: Final = re.compile(r"(?:(?P<system>\S*)#)?(?P<code>[^\s#,;]+)(?:\s+(?P<display>.+))?")


class NotationError(ValueError):
    """A text that is no code, in words that say what was expected."""


def write_coding(coding: Json) -> str:
    """One Coding: `SYSTEM#code display`, without a system `code display`."""
    system = coding.get("system")
    code = str(coding.get("code", ""))
    head = code if system is None else f"{_short(system)}#{code}"
    return f"{head} {coding['display']}" if "display" in coding else head


def read_coding(text: str) -> Json:
    """The Coding of a text. Raises NotationError."""
    found = _CODING.fullmatch(text.strip())
    if found is None:
        raise NotationError(
            f"{text.strip()!r} is no code; write SYSTEM#code and then, if you like, its name (LOINC#11529-5 Surgical pathology study)"
        )
    coding: Json = {} if found["system"] is None else {"system": _long(found["system"])}
    return coding | {"code": found["code"]} | ({"display": found["display"]} if found["display"] else {})


def write_lines(codings: Iterable[Json]) -> str:
    """One per line."""
    return "\n".join(write_coding(coding) for coding in codings)


def read_lines(text: str) -> list[Json]:
    """Codings one per line. Raises NotationError."""
    return [read_coding(line) for line in text.splitlines() if line.strip()]


def _short(system: str) -> str:
    if system in _SHORT:
        return _SHORT[system]
    return next((short + system.removeprefix(long) for short, long in PREFIXES.items() if system.startswith(long)), system)


def _long(name: str) -> str:
    if name in SYSTEMS:
        return SYSTEMS[name]
    for short, long in PREFIXES.items():
        if name.startswith(short):
            return long + name.removeprefix(short)
    if ":" not in name:
        raise NotationError(f"{name!r} is no code system; known are {', '.join(SYSTEMS)}, hl7:name, own:name, or the whole address")
    return name
