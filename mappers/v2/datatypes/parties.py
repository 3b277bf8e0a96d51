"""XCN, CNN, NDL, XON, HD, PL to references: the practitioner, organisation or place becomes a draft of its own, once per message.

Guide: XCN[Practitioner], CNN[Practitioner], NDL[PractitionerRole] rows 3-5, XON[Organization] rows 3-16, HD[Organization] rows 3-6, PL[Location].
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2 import identity
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import concept, fixed
from mappers.v2.datatypes.ids import CHECK_DIGIT, CHECK_SCHEME, assigner_system, identifier
from mappers.v2.datatypes.people import human_name, name_use
from mappers.v2.datatypes.text import part, parts, subs
from mappers.v2.datatypes.times import put_period
from mappers.v2.message import SUB, Repetition
from mappers.v2.table import Datatype, takes
from profiles.canonical import NAMESPACE, sender_system

PHYSICAL: Final = "http://terminology.hl7.org/CodeSystem/location-physical-type"
# PL components from the widest to the narrowest place, with the code of location-physical-type where it has one (PL.1 point of care has none that fits all)
PLACES: Final = ((4, "si", "Site"), (7, "bu", "Building"), (8, "lvl", "Level"), (1, "", ""), (2, "ro", "Room"), (3, "bd", "Bed"))


def practitioner(ctx: Context, name: Json, identified: Json | None) -> Draft:
    """The practitioner draft of this message with that identifier, or that name: the same number is the same person, under another name too."""
    names = []
    if identified:
        names.append(("Practitioner", identity.id_text(identified)))
    elif name:
        names.append(("Practitioner", identity.name_text(name)))
    found = next((ctx.known[n] for n in names if n in ctx.known), None)
    if found is not None:
        if name and name not in found.resource.get("name", ()):
            found.resource.setdefault("name", []).append(name)
        return found
    draft = ctx.new("Practitioner")
    if identified:
        draft.resource["identifier"] = [identified]
    if name:
        draft.resource["name"] = [name]
    draft.merge = "enrich"
    return ctx.remember(draft, *names)


@takes(1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 19, 20, 21)
def xcn(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to a Practitioner; source table, facility, representation, context, jurisdiction are kept on the reference."""
    number, _, given, middle, suffix, prefix, degree = parts(repetition, 7)
    count = len(repetition)
    suffixes = [suffix, degree, part(repetition, 21)] if count > 4 else []
    name = human_name(subs(repetition, 2), given, middle, suffixes, prefix)
    if not number and not name:
        return None
    identified = None
    if number and count < 9:
        identified = identifier(number, [], "", ctx)
    elif number:
        identified = identifier(number, subs(repetition, 9), part(repetition, 13), ctx)
        extension = [{"url": u, "valueString": v} for n, u in ((11, CHECK_DIGIT), (12, CHECK_SCHEME)) if (v := part(repetition, n))]
        if extension:
            identified["extension"] = extension
    else:
        for component in (9, 11, 12, 13):
            ctx.leave(component)
    if name and count > 9:
        name_use(name, part(repetition, 10), ctx, 10)
        put_period(name, part(repetition, 19), part(repetition, 20), ctx, (19, 20))
    elif not name:
        ctx.leave(10)
    return reference(practitioner(ctx, name, identified))


@takes(1)
def cnn_reference(repetition: Repetition, ctx: Context) -> Json | None:
    """CNN (as NDL.1): id, family, given, middle, suffix, prefix, degree, source, namespace, universal id, its type."""
    number = part(repetition, 1)
    suffixes = [part(repetition, 5), part(repetition, 7)]
    name = human_name(repetition[1:2], part(repetition, 3), part(repetition, 4), suffixes, part(repetition, 6))
    if not number and not name:
        return None
    return reference(practitioner(ctx, name, identifier(number, repetition[8:11], "", ctx) if number else None))


@takes(1)
def ndl(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to the Practitioner of an NDL; time and place of the participation are kept on the reference."""
    inner = subs(repetition, 1)
    return cnn_reference.convert(inner, ctx) if inner else None


def organization(ctx: Context, name: str, identified: Json | None) -> Draft:
    """The organisation draft of this message with that identifier or name."""
    names: list[tuple[str, ...]] = []
    if identified:
        names.append(("Organization", identity.id_text(identified)))
    if name:
        names.append(("Organization", identity.folded(name), "" if not identified else identity.id_text(identified)))
    found = next((ctx.known[n] for n in names if n in ctx.known), None)
    if found is not None:
        if name and found.resource.setdefault("name", name) != name and name not in (aliases := found.resource.setdefault("alias", [])):
            aliases.append(name)
        return found
    draft = ctx.new("Organization")
    if identified:
        draft.resource["identifier"] = [identified]
    if name:
        draft.resource["name"] = name
    draft.merge = "enrich"
    return ctx.remember(draft, *names)


def xon_draft(repetition: Repetition, ctx: Context) -> Draft | None:
    """The Organization of an XON: XON.10 is its id, XON.3 the id of older versions."""
    name, _, old, digit, scheme, _, kind, _, _, new = parts(repetition, 10)
    number = new or old
    if not name and not number:
        return None
    identified = None
    if number:
        identified = identifier(number, subs(repetition, 6), kind, ctx)
        extension = [{"url": u, "valueString": v} for u, v in ((CHECK_DIGIT, digit), (CHECK_SCHEME, scheme)) if v]
        if extension:
            identified["extension"] = extension
        if new and old:
            ctx.leave(3)
    else:
        for component in (4, 5, 6, 7):
            ctx.leave(component)
    return organization(ctx, name, identified)


@takes(1, 3, 4, 5, 6, 7, 10)
def xon(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to an Organization."""
    draft = xon_draft(repetition, ctx)
    return reference(draft) if draft else None


@takes(1, 2, 3)
def hd_organization(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to an Organization known by an HD: the namespace is its name, the universal id its identifier."""
    namespace, universal, kind = (part(repetition, n) for n in (1, 2, 3))
    if not namespace and not universal:
        return None
    identified: Json = {"system": sender_system(ctx.sender, kind), "value": universal or namespace}
    if universal:
        system = assigner_system("", universal, kind, ctx)
        if not system.startswith(NAMESPACE):
            identified = {"system": "urn:ietf:rfc:3986", "value": system}
    return reference(organization(ctx, namespace, identified))


@takes(1, 2, 3, 4, 5, 6)
def cwe_organization(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to an Organization known by a code (OBX-15; guide: CWE[Organization])."""
    described = concept(repetition[:3], ctx)
    if described is None:
        return None
    coding = described.get("coding", [{}])[0]
    for component in (4, 5, 6):
        ctx.leave(component)
    code = coding.get("code")
    identified = {"system": coding.get("system") or assigner_system("", "", "", ctx), "value": code} if code else None
    return reference(organization(ctx, coding.get("display") or described.get("text", "") if code != described.get("text") else "", identified))


def adopt(draft: Draft, ctx: Context) -> Draft:
    """A Practitioner or Organization filled by a table, made part of the result; one already known by its identifier or name takes its elements over
    instead.
    """
    resource = draft.resource
    kind = resource["resourceType"]
    names: list[tuple[str, ...]] = [(kind, identity.id_text(i)) for i in resource.get("identifier", ())]
    if not names:
        held = resource.get("name")
        text = identity.folded(held) if isinstance(held, str) else identity.name_text(held[0]) if held else ""
        names = [(kind, text, "") if kind == "Organization" else (kind, text)] if text else []
    draft.merge = "enrich"
    found = next((ctx.known[n] for n in names if n in ctx.known), None)
    if found is None:
        return ctx.remember(draft, *names)
    _take_over(found.resource, resource)
    for name in names:
        ctx.known.setdefault(name, found)
    return found


def _take_over(held: Json, more: Json) -> None:
    for name, value in more.items():
        if isinstance(value, list):
            mine = held.setdefault(name, [])
            mine.extend(v for v in value if v not in mine)
        elif name == "name" and held.get("name", value) != value:
            held.setdefault("alias", []).append(value)
        else:
            held.setdefault(name, value)


def with_function(datatype: Datatype, key: str, system: str, code: str, display: str) -> Datatype:
    """A backbone element around a reference: `{key: reference, "type": [fixed]}` for Encounter.participant and Appointment.participant."""

    def participant(repetition: Repetition, ctx: Context) -> Json | None:
        found = datatype.convert(repetition, ctx)
        return None if found is None else {"type": [fixed(system, code, display)], key: found}

    return Datatype(datatype.name, participant, datatype.uses)


@takes(1, 2, 3, 4, 6, 7, 8, 9)
def pl(repetition: Repetition, ctx: Context) -> Json | None:
    """Reference to the narrowest Location; each wider place is a Location of its own, linked by partOf (guide: PL[Location])."""
    draft = place(repetition, ctx)
    if draft is None:
        ctx.leave(6)
        return None
    kind = part(repetition, 6)
    if kind:
        types = draft.resource.setdefault("type", [])
        wanted = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0305", "code": kind}]}
        if wanted not in types:
            types.append(wanted)
    return reference(draft)


def place(repetition: Repetition, ctx: Context) -> Draft | None:
    held: Draft | None = None
    trail: list[str] = []
    count = len(repetition)
    for component, code, display in PLACES:
        if component > count or not (inner := subs(repetition, component)):
            continue
        name = part(inner, 1) or part(inner, 2)
        if not name:
            continue
        trail.append(f"{component}:{name}")
        known = ctx.known.get(("Location", *trail))
        held = known or _level(ctx, tuple(trail), name, inner, fixed(PHYSICAL, code, display) if code else None, held)
    description = part(repetition, 9)
    if held is None and description:
        trail.append(f"9:{description}")
        held = ctx.known.get(("Location", *trail)) or _level(ctx, tuple(trail), description, [], None, None)
    elif held is not None and description and held.resource.setdefault("description", description) != description:
        ctx.leave(9)
    return held


def _level(ctx: Context, trail: tuple[str, ...], name: str, inner: Repetition, physical: Json | None, whole: Draft | None) -> Draft:
    draft = ctx.new("Location", mode="instance", name=name)
    if universal := part(inner, 2):
        kind = part(inner, 3)
        draft.resource["identifier"] = [
            {**({"type": {"text": kind}} if kind else {}), "system": assigner_system("", universal, kind, ctx), "value": name}
        ]
    if physical:
        draft.resource["physicalType"] = physical
    if whole:
        draft.resource["partOf"] = reference(whole)
    draft.merge = "enrich"
    draft.keys = (identity.key("Location", ctx.sender, SUB.join(trail).replace(SUB, "/")),)
    return ctx.remember(draft, ("Location", *trail))
