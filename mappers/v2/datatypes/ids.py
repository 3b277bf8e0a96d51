"""CX, EI, EIP, HD, PLN, DLN to Identifier (guide: data type maps CX rows 3-13, EI row 3, which drops EI.2-4; PLN rows 3-6; DLN rows 3-7).

The system of an identifier is the registered one, else the universal id, else a URI of the sender's namespace: an identifier without system matches
anybody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from mappers.result import Json
from mappers.v2.context import Context
from mappers.v2.datatypes.codes import concept
from mappers.v2.datatypes.text import one_line, part, parts, subs
from mappers.v2.datatypes.times import put_period
from mappers.v2.message import SUB, Repetition
from mappers.v2.table import Datatype, takes
from profiles.canonical import sender_system

TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
SSN: Final = "http://hl7.org/fhir/sid/us-ssn"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
CHECK_DIGIT: Final = "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit"
CHECK_SCHEME: Final = "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit"
# FHIR R4 "known identifier systems", by their OID
REGISTERED: Final = {
    "2.16.840.1.113883.4.1": SSN,
    "2.16.840.1.113883.4.6": NPI,
    "2.16.840.1.113883.4.7": "urn:oid:2.16.840.1.113883.4.7",
    "2.16.840.1.113883.4.927": "http://hl7.org/fhir/sid/us-mbi",
    "2.16.840.1.113883.4.572": "http://hl7.org/fhir/sid/us-medicare",
}
ID_KINDS: Final = "http://terminology.hl7.org/CodeSystem/v2-0301"
_URI_KINDS: Final = frozenset({"", "ISO", "UUID", "GUID", "URI"})
_OID: Final = re.compile(r"[0-2](\.(0|[1-9]\d*)){2,}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
_TYPE_CODE: Final = re.compile(r"[A-Za-z0-9./+-]{1,12}")


own_system: Final = lru_cache(maxsize=4096)(sender_system)
"""`sender_system`, remembered: a sender has few namespaces and names them in every field."""


def assigner_system(namespace: str, universal: str, kind: str, ctx: Context) -> str:
    """HD as a system URI."""
    if universal:
        if kind in ("ISO", "") and _OID.fullmatch(universal):
            return REGISTERED.get(universal, "urn:oid:" + universal)
        if kind in ("UUID", "GUID", "") and _UUID.fullmatch(universal):
            return "urn:uuid:" + universal.lower()
        if kind in ("URI", "") and _URI.fullmatch(universal):
            return universal
        return own_system(ctx.sender, universal)
    return own_system(ctx.sender, namespace)


def identifier(value: str, authority: Repetition, kind: str, ctx: Context) -> Json:
    """Identifier of `value` with the HD in `authority` and the type code `kind` (table 0203), either of which may be missing."""
    namespace, universal, scheme = parts(authority, 3) if authority else ("", "", "")
    out: Json = {}
    if kind:
        out["type"] = {"coding": [{"system": TYPES, "code": kind}]} if _TYPE_CODE.fullmatch(kind) else {"text": one_line(kind)}
    out["system"] = _national(value, namespace, kind) if not universal else ""
    if not out["system"]:
        out["system"] = assigner_system(namespace, universal, scheme, ctx)
    out["value"] = value
    if namespace or (universal and scheme not in _URI_KINDS):
        out["assigner"] = _assigner(namespace, universal, scheme)
    return out


def _assigner(namespace: str, universal: str, scheme: str) -> Json:
    """Who assigned it, by name; a universal id of a kind FHIR has no URI for stands here as sent (guide: HD[Organization] rows 3-6)."""
    out: Json = {}
    if universal and scheme not in _URI_KINDS:
        out["identifier"] = {"type": {"coding": [{"system": ID_KINDS, "code": one_line(scheme)}]}, "value": universal}
    if namespace:
        out["display"] = namespace
    return out


def _national(value: str, namespace: str, kind: str) -> str:
    if kind == "NPI" and namespace in ("", "NPI", "CMS") and value.isdecimal() and len(value) == 10:
        return NPI
    if (kind == "SS" and not namespace) or namespace in ("USSSA", "SSA"):
        return SSN
    return ""


def _check_digit(out: Json, digit: str, scheme: str) -> None:
    extension = []
    if digit:
        extension.append({"url": CHECK_DIGIT, "valueString": digit})
    if scheme:
        extension.append({"url": CHECK_SCHEME, "valueString": scheme})
    if extension:
        out["extension"] = extension


@takes(1, 2, 3, 4, 5, 7, 8)
def cx(repetition: Repetition, ctx: Context) -> Json | None:
    """Identifier. CX.6 and 9-12 (facility, jurisdiction, agency, security check) are kept on it."""
    return cx_typed(repetition, ctx, "")


def cx_typed(repetition: Repetition, ctx: Context, default: str) -> Json | None:
    value, digit, scheme, _, kind = parts(repetition, 5)
    if not value:
        return None
    out = identifier(value, subs(repetition, 4), kind or default, ctx)
    if digit or scheme:
        _check_digit(out, digit, scheme)
    if len(repetition) > 6:
        put_period(out, part(repetition, 7), part(repetition, 8), ctx, (7, 8))
    return out


def cx_as(kind: str) -> Datatype:
    """Identifier of type `kind` unless CX.5 says another."""

    @takes(1, 2, 3, 4, 5, 7, 8)
    def cx_with_type(repetition: Repetition, ctx: Context) -> Json | None:
        return cx_typed(repetition, ctx, kind)

    return cx_with_type


@takes(1, marks=f"system={SSN}")
def ssn(repetition: Repetition, ctx: Context) -> Json | None:
    """A social security number in an ST (PID-19, IN2-2): US Social Security, as the field's definition says."""
    value = part(repetition, 1)
    return {"type": {"coding": [{"system": TYPES, "code": "SS"}]}, "system": SSN, "value": value} if value else None


def st_identifier(kind: str, namespace: str) -> Datatype:
    """A bare text as identifier of a namespace of the sender's (policy numbers, Medicare and Medicaid numbers)."""

    @takes(1)
    def text_identifier(repetition: Repetition, ctx: Context) -> Json | None:
        value = part(repetition, 1)
        if not value:
            return None
        return {"type": {"coding": [{"system": TYPES, "code": kind}]}, "system": sender_system(ctx.sender, namespace), "value": value}

    return text_identifier


def ei_identifier(repetition: Repetition, ctx: Context, kind: str = "") -> Json | None:
    """EI as Identifier: EI.2-4 are its HD. An EI without EI.1 whose universal id stands alone is that universal id."""
    value = part(repetition, 1)
    if not value:
        universal = part(repetition, 3)
        if not universal:
            return None
        out: Json = {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{universal}" if _OID.fullmatch(universal) else universal}
        if kind:
            out = {"type": {"coding": [{"system": TYPES, "code": kind}]}, **out}
        return out
    authority = repetition[1:4]
    if authority and SUB in authority[0]:  # its HD sent as the subcomponents of one component
        authority = authority[0].split(SUB)
    return identifier(value, authority, kind, ctx)


def ei(kind: str = "") -> Datatype:
    """Identifier from an EI, of type `kind` (PLAC, FILL, ...)."""

    @takes(1, 2, 3, 4)
    def entity(repetition: Repetition, ctx: Context) -> Json | None:
        return ei_identifier(repetition, ctx, kind)

    return entity


def eip(component: int, kind: str) -> Datatype:
    """Identifier from one half of an EIP (1 placer's, 2 filler's). Before 2.8 such fields were EI: then all components are one placer's EI."""

    @takes(*((1, 2, 3, 4) if component == 1 else (2,)))
    def pair(repetition: Repetition, ctx: Context) -> Json | None:
        if _is_pair(repetition):
            for other in (n for n in (2, 3, 4) if component == 1):
                ctx.leave(other)
            return ei_identifier(subs(repetition, component), ctx, kind)
        return ei_identifier(repetition, ctx, kind) if component == 1 else None

    return pair


def _is_pair(repetition: Repetition) -> bool:
    """EIP rather than EI: one or two components, either with subcomponents, or the second alone."""
    if len(repetition) > 2:
        return False
    return any("\x1f" in c for c in repetition) or (len(repetition) == 2 and not repetition[0])


@takes(1, 2, 4)
def pln(repetition: Repetition, ctx: Context) -> Json | None:
    """Identifier of a practitioner: PLN.2 is its type (table 0338) and, a number being unique within its kind, its namespace too. PLN.3 (issuing
    state) is kept.
    """
    value, kind = part(repetition, 1), part(repetition, 2)
    if not value:
        return None
    out = identifier(value, [kind] if kind and kind != "NPI" else [], kind, ctx)
    out.pop("assigner", None)  # the type, said again
    if expiry := part(repetition, 4):
        put_period(out, "", expiry, ctx, (3, 4))
    return out


@takes(1, 2, 3)
def dln(repetition: Repetition, ctx: Context) -> Json | None:
    """Driver's licence: DLN.2 the issuing state."""
    value = part(repetition, 1)
    if not value:
        return None
    out = identifier(value, [part(repetition, 2) or "DL"], "DL", ctx)
    if not part(repetition, 2):
        del out["assigner"]
    put_period(out, "", part(repetition, 3), ctx, (2, 3))
    return out


@takes(1, 2, 3, 4, 5, 6)
def cwe_identifier(repetition: Repetition, ctx: Context) -> Json | None:
    """A coded field that names a thing (plan, resource) as Identifier; its text is the type's text."""
    value = part(repetition, 1)
    if not value:
        return None
    described = concept(repetition, ctx) or {}
    coding = described["coding"][0]
    out: Json = {"system": coding.get("system") or sender_system(ctx.sender, ""), "value": value}
    if display := coding.get("display"):
        out["type"] = {"text": display}
    for component in range(4, 7):
        ctx.leave(component)
    return out
