"""XPN, XAD, XTN to HumanName, Address, ContactPoint (guide: data type maps XPN rows 3-19, FN rows 3-11, XAD, XTN rows 3-30)."""

from __future__ import annotations

from typing import Final

from mappers.result import Json
from mappers.v2.context import Context
from mappers.v2.datatypes.text import part, parts, subs
from mappers.v2.datatypes.times import dr_part, put_period
from mappers.v2.message import Repetition
from mappers.v2.table import Datatype, takes

EXT: Final = "http://hl7.org/fhir/StructureDefinition/"
_FAMILY: Final = ((2, "humanname-own-prefix"), (3, "humanname-own-name"), (4, "humanname-partner-prefix"), (5, "humanname-partner-name"))
_PHONE_PARTS: Final = ((5, "contactpoint-country"), (6, "contactpoint-area"), (7, "contactpoint-local"), (8, "contactpoint-extension"))


def human_name(family: Repetition, given: str, middle: str, suffixes: list[str], prefix: str) -> Json:
    """The parts XPN and XCN share."""
    out: Json = {}
    surname = part(family, 1) if family else ""
    if len(family) > 1:
        extension = [{"url": EXT + url, "valueString": v} for n, url in _FAMILY if (v := part(family, n))]
        if not surname:
            surname = " ".join(v for n in (2, 3, 4, 5) if (v := part(family, n)))
        if extension:
            out["_family"] = {"extension": extension}
    if surname:
        out["family"] = surname
    if given or middle:
        out["given"] = [g for g in (given, middle) if g]
    if prefix:
        out["prefix"] = [prefix]
    if suffixes and (found := [s for s in suffixes if s]):
        out["suffix"] = found
    return out


@takes(1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14)
def xpn(repetition: Repetition, ctx: Context) -> Json | None:
    """HumanName; representation, context and called-by are kept on it."""
    count = len(repetition)
    _, given, middle, suffix, prefix, degree = parts(repetition, 6)
    suffixes = [suffix, degree, part(repetition, 14)] if count > 3 else []
    out = human_name(subs(repetition, 1), given, middle, suffixes, prefix)
    if not out:
        return None
    if count > 6:
        _name_details(out, repetition, ctx)
    return out


def _name_details(out: Json, repetition: Repetition, ctx: Context) -> None:
    name_use(out, part(repetition, 7), ctx, 7)
    start, end = part(repetition, 12), part(repetition, 13)
    if start or end:
        put_period(out, start, end, ctx, (12, 13))
        ctx.leave(10)
    elif len(repetition) > 9:
        put_period(out, *dr_part(repetition, 10), ctx, (10, 10))
    if order := part(repetition, 11):
        out["extension"] = [{"url": EXT + "humanname-assembly-order", "valueCode": order}]


def name_use(out: Json, kind: str, ctx: Context, component: int) -> None:
    """XPN.7 / XCN.10 by table 0200; a type FHIR has no use for stays a kept component."""
    if not kind:
        return
    found = ctx.tables.translate("0200-name-use", kind)
    if found is None:
        ctx.leave(component)
    else:
        out["use"] = found.code


@takes(1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 14)
def xad(repetition: Repetition, ctx: Context) -> Json | None:
    """Address."""
    out: Json = {}
    _, other, city, state, postal_code, country, _, _, district = parts(repetition, 9)
    _lines(out, subs(repetition, 1), other)
    for name, value in (("city", city), ("state", state), ("postalCode", postal_code), ("country", country), ("district", district)):
        if value:
            out[name] = value
    if not out:
        return None
    if len(repetition) > 6:
        _address_details(out, repetition, ctx)
    return out


def _lines(out: Json, street: Repetition, other: str) -> None:
    """SAD: the whole street line, street name and dwelling number may come apart (guide: SAD[Address])."""
    lines: list[str] = []
    details: list[Json | None] = []
    name, dwelling = part(street, 2), part(street, 3)
    first = part(street, 1) or " ".join(p for p in (dwelling, name) if p)
    if first:
        lines.append(first)
        extension = [
            {"url": EXT + url, "valueString": v} for url, v in (("iso21090-ADXP-streetName", name), ("iso21090-ADXP-houseNumber", dwelling)) if v
        ]
        details.append({"extension": extension} if extension else None)
    if other:
        lines.append(other)
        details.append(None)
    if lines:
        out["line"] = lines
        if any(details):
            out["_line"] = details


def _address_details(out: Json, repetition: Repetition, ctx: Context) -> None:
    if kind := part(repetition, 7):
        use = ctx.tables.translate("0190-address-use", kind)
        form = ctx.tables.translate("0190-address-type", kind)
        if use is not None:
            out["use"] = use.code
        if form is not None:
            out["type"] = form.code
        if use is None and form is None:
            ctx.leave(7)
    if tract := part(repetition, 10):
        out["extension"] = [{"url": EXT + "iso21090-ADXP-censusTract", "valueString": tract}]
    start, end = part(repetition, 13), part(repetition, 14)
    if start or end:
        put_period(out, start, end, ctx, (13, 14))
        ctx.leave(12)
    elif len(repetition) > 11:
        put_period(out, *dr_part(repetition, 12), ctx, (12, 12))


def xtn_as(default_use: str = "", default_system: str = "phone") -> Datatype:
    """ContactPoint. default_use: of a field that is a home or business number when XTN.2 does not say (PID rows 22, 24)."""

    @takes(1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 18, marks=f"use={default_use}" if default_use else "")
    def xtn(repetition: Repetition, ctx: Context) -> Json | None:
        out = _contact(repetition, ctx, default_system)
        if out is None:
            return None
        if "use" not in out and default_use and out.get("system") != "email":
            out["use"] = default_use
        return out

    return xtn


def _contact(repetition: Repetition, ctx: Context, default_system: str) -> Json | None:
    if len(repetition) == 1:
        value = part(repetition, 1)
        return {"system": "email" if "@" in value else default_system, "value": value} if value else None
    equipment, mail = part(repetition, 3), part(repetition, 4)
    value = _contact_value(repetition, equipment in ("Internet", "X.400") or bool(mail and not equipment), ctx)
    if not value:
        return None
    system = ctx.tables.translate("0202-contact-system", equipment) if equipment else None
    if equipment and (system is None or system.code == "other"):
        ctx.leave(3)
    out: Json = {"system": system.code if system else "email" if mail or "@" in value else default_system, "value": value}
    _contact_details(out, repetition, equipment, ctx)
    return out


def _contact_value(repetition: Repetition, internet: bool, ctx: Context) -> str:
    whole, _, _, mail, country, area, local, extension, _, _, _, plain = parts(repetition, 12)
    composed = " ".join(p for p in (f"+{country.lstrip('+')}" if country and local else "", area, local) if p) if local else ""
    if composed and extension:
        composed += f" X{extension}"
    order = (mail, whole, plain, composed) if internet else (plain, composed, whole, mail)
    value = next((v for v in order if v), "")
    for component, text in ((1, whole), (4, mail), (12, plain)):
        if text and text != value:
            ctx.leave(component)
    return value


def _contact_details(out: Json, repetition: Repetition, equipment: str, ctx: Context) -> None:
    if use := part(repetition, 2):
        found = ctx.tables.translate("0201-contact-use", use)
        if found is not None:
            out["use"] = found.code
        elif use == "NET":  # network address: says the same as equipment Internet
            out["system"] = "email"
        else:
            ctx.leave(2)
    if equipment == "CP":
        if "use" in out and out["use"] != "mobile":
            ctx.leave(3)
        out.setdefault("use", "mobile")
    if len(repetition) > 4:
        extension = [{"url": EXT + url, "valueString": v} for n, url in _PHONE_PARTS if (v := part(repetition, n))]
        if extension:
            out["extension"] = extension
        if len(repetition) > 12:
            put_period(out, part(repetition, 13), part(repetition, 14), ctx, (13, 14))
            rank = part(repetition, 18)
            if rank.isdecimal() and int(rank):
                out["rank"] = int(rank)
            elif rank:
                ctx.leave(18)


xtn = xtn_as()
xtn_home = xtn_as("home")
xtn_work = xtn_as("work")
