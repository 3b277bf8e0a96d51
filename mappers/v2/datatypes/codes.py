"""CE, CWE, CNE, CF, IS, ID to CodeableConcept and Coding (guide: data type maps CWE[CodeableConcept] rows 3-15, CE rows 3-8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from mappers.result import Json
from mappers.v2.context import Context
from mappers.v2.datatypes.text import one_line, part
from mappers.v2.message import Repetition
from mappers.v2.paths import Primitive
from mappers.v2.table import Datatype, takes
from profiles.canonical import sender_system
from profiles.conceptmaps import Tables

V2: Final = "http://terminology.hl7.org/CodeSystem/v2-"
_HL7_TABLE: Final = re.compile(r"HL7(\d{4})", re.IGNORECASE)
_OID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_URI: Final = re.compile(r"(https?://|urn:)\S+")
LONGEST: Final = 400
"""Coded values with more characters than this are read anew each time: what is remembered stays small whatever is sent."""

JUDGED: Final = frozenset({("OBR", 4), ("OBX", 3), ("TXA", 2), ("DG1", 3), ("PR1", 3)})
"""Fields whose code says what a record is: a code there that only its sender knows closes no item of any checklist."""

LOCAL: Final = "L"
"""Table 0396: a code without a system is the sender's own."""

OWN: Final = sender_system("", "").rstrip(":")
"""How the URI of a sender's own code system begins."""

Own = tuple[str, str, str]
"""System, code and display of a code that only its sender knows."""

_TRIPLETS: Final = ((1, 7), (4, 8), (10, 13))  # identifier, text and system follow each other; the version stands elsewhere


def coding_system(name: str, ctx: Context) -> str:
    """CWE.3 as a URI: known names by ConceptMap 0396, HL7nnnn tables, OIDs, URIs; any other name is the sender's own and becomes a URI of that
    sender.
    """
    return _system(name, ctx.sender, ctx.tables)


def _system(name: str, sender: str, tables: Tables) -> str:
    found = tables.translate("0396-coding-system", name)
    if found is not None:
        return found.code
    if match := _HL7_TABLE.fullmatch(name):
        return V2 + match[1]
    if _OID.fullmatch(name):
        return "urn:oid:" + name
    if _URI.fullmatch(name):
        return name
    return sender_system(sender, name)


def concept(repetition: Repetition, ctx: Context, table: str = "") -> Json | None:
    """CodeableConcept. table ("0074"): the HL7 table whose code system is meant when the sender names none."""
    read = _read if sum(map(len, repetition)) <= LONGEST else _read.__wrapped__
    codings, text, left, own = read(tuple(repetition), table, ctx.sender, ctx.tables)
    ctx.left |= left
    if own is not None and (ctx.segment.name, ctx.number) in JUDGED and not (ctx.segment.name == "DG1" and ctx.segment.raw(2)):
        ctx.miss(*own)  # where DG1-2 names the method, that is the system
    out: Json = {}
    if codings:
        out["coding"] = [dict(c) for c in codings]
    if text:
        out["text"] = text
    return out or None


@lru_cache(maxsize=4096)
def _read(components: tuple[str, ...], table: str, sender: str, tables: Tables) -> tuple[list[Json], str, int, Own | None]:
    """(codings, text, components left over, a code only its sender knows) of a coded value. Senders say the same few codes all day, so what a code is
    read as is remembered.
    """
    codings: list[Json] = []
    text = part(components, 9)
    left = 0
    for first, version in _TRIPLETS:
        if first > len(components):
            break
        coding, over = _coding(components, first, version, table if first == 1 else "", sender, tables)
        left |= over
        if coding is None:
            continue
        if "code" in coding:
            codings.append(coding)
        elif not text:
            text = coding["display"]
        elif text != coding["display"]:
            codings.append(coding)
    if not text and len(codings) == 1 and "system" not in codings[0] and "display" not in codings[0]:
        text = codings[0]["code"]
    return codings, text, left, _standard(codings, sender, tables)


def _standard(codings: list[Json], sender: str, tables: Tables) -> Own | None:
    """Put beside the sender's own codes what the clinic says they are; answers the first of them when no code is of a system others know.

    Beside and not before: the first coding is the one identity keys are made of, and what a code is taken to mean may change.
    """
    own: Own | None = None
    known = False
    for coding in list(codings):
        if "code" not in coding:
            continue
        system = coding.get("system") or sender_system(sender, LOCAL)
        if (found := tables.standard(system, coding["code"])) is not None:
            codings.append({"system": found.system, "code": found.code} | ({"display": found.display} if found.display else {}))
            known = True
        elif not system.startswith(OWN):
            known = True
        elif own is None:
            own = system, coding["code"], coding.get("display", "")
    return None if known else own


def _coding(components: Sequence[str], first: int, version: int, table: str, sender: str, tables: Tables) -> tuple[Json | None, int]:
    """(Coding, components left over) of the triplet that begins at `first`."""
    code, display, name = (part(components, n) for n in range(first, first + 3))
    if not code and not display:
        return None, _names(components, first, version)
    coding: Json = {}
    if code:
        if name:
            coding["system"] = _system(name, sender, tables)
        elif table:
            coding["system"] = V2 + table
        if edition := part(components, version):
            coding["version"] = edition
        coding["code"] = one_line(code)
    if display:
        coding["display"] = display
    return coding, 0 if code else _names(components, first, version)


def _names(components: Sequence[str], first: int, version: int) -> int:
    """The system and version of no code, which are left over."""
    return 1 << first + 2 | 1 << version if len(components) > first + 1 else 0


@takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
def cwe(repetition: Repetition, ctx: Context) -> Json | None:
    """CodeableConcept; components from 14 on (OIDs and value sets) are kept."""
    return concept(repetition, ctx)


def coded(table: str) -> Datatype:
    """CodeableConcept whose codes belong to HL7 table `table` ("0074") when the sender names no system: ID, IS and CWE alike."""

    @takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    def coded_concept(repetition: Repetition, ctx: Context) -> Json | None:
        return concept(repetition, ctx, table)

    return coded_concept


def translated(key: str, table: str) -> Datatype:
    """CodeableConcept with the FHIR code first (ConceptMap `key`) and the sender's own beside it; untranslated codes stay as they are."""

    @takes(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    def translated_concept(repetition: Repetition, ctx: Context) -> Json | None:
        out = concept(repetition, ctx, table)
        found = ctx.translate(key, part(repetition, 1), part(repetition, 2))
        if out is not None and found is not None:
            coding: Json = {"system": found.system, "code": found.code}
            if found.display:
                coding["display"] = found.display
            if all(c.get("system") != found.system or c.get("code") != found.code for c in out["coding"]):
                out["coding"].insert(0, coding)
        return out

    return translated_concept


def table_coding(key: str, value: str, ctx: Context) -> Json | None:
    """A bare code as the Coding a ConceptMap gives it."""
    found = ctx.translate(key, value) if value else None
    if found is None:
        return None
    coding: Json = {"system": found.system, "code": found.code}
    if found.display:
        coding["display"] = found.display
    return coding


def coding_of(table: str) -> Datatype:
    """A Coding: the first triplet only."""

    @takes(1, 2, 3, 7)
    def first_coding(repetition: Repetition, ctx: Context) -> Json | None:
        coding, left = _coding(repetition, 1, 7, table, ctx.sender, ctx.tables)
        ctx.left |= left
        return coding

    return first_coding


def fixed(system: str, code: str, display: str = "") -> Json:
    """A CodeableConcept the table says, not the message."""
    coding: Json = {"system": system, "code": code}
    if display:
        coding["display"] = display
    return {"coding": [coding]}


def as_extension(url: str, value_name: str, datatype: Datatype) -> Datatype:
    """The value of `datatype` inside an extension: `as_extension(URL, "valueCodeableConcept", cwe)`."""

    def extension(repetition: Repetition, ctx: Context) -> Json | None:
        value = datatype.convert(repetition, ctx)
        if value is None:
            return None
        if isinstance(value, Primitive):
            if value.extension:  # the models know no extensions on an extension's value: the original is kept beside it
                ctx.leave(1)
            return {"url": url, value_name: value.value}
        return {"url": url, value_name: value}

    return Datatype(datatype.name, extension, datatype.uses, f"url={url}")


ALTERNATE: Final = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


def status(key: str, table: str, default: str = "") -> Datatype:
    """A code of a required binding whose source says more: the original goes along as `alternate-codes` when the translation is not exact or has a
    text.

    An unknown code is reported (103); it becomes `default` with the original beside it, or is kept when there is no default.
    """

    @takes(1, 2, 3, 4, 5, 6, 7, 8, 9)
    def bound_code(repetition: Repetition, ctx: Context) -> str | Primitive | None:
        value = part(repetition, 1)
        if not value and not default:
            return None
        found = ctx.translate(key, value, part(repetition, 2))
        if found is not None and found.exact and len(repetition) == 1:
            return found.code
        if found is None:
            ctx.find("103", f"code not in table {table}", 1)
            if not default:
                return None
        original = concept(repetition, ctx, table)
        code = found.code if found is not None else default
        return Primitive(code, [{"url": ALTERNATE, "valueCodeableConcept": original}] if original else [])

    return bound_code
