"""OBX → Observation.

Guide: OBX[Observation]. Deviations: every OBX is an Observation of its own, OBX-4 in the sub-id extension (row 6 leaves it to others, and merging by
code loses synoptic reports); repetitions of OBX-5 are components, those of text lines; `<15` in NM is text with a warning; OBX-25 is a performer
directly. Documents (ED, RP, text over several OBX) are made by `documents`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes import measures
from mappers.v2.datatypes.codes import as_extension, coded, cwe, fixed, status, translated
from mappers.v2.datatypes.ids import ei, ei_identifier
from mappers.v2.datatypes.parties import cwe_organization, xcn, xon, xon_draft
from mappers.v2.datatypes.people import xad
from mappers.v2.datatypes.text import ft, part, subs
from mappers.v2.datatypes.times import date_time, dr, dtm, elements, time_of_day
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.segments.msh import ABSENT
from mappers.v2.segments.nte import followers
from mappers.v2.table import field, segment, structural, takes, target

EXT: Final = "http://hl7.org/fhir/StructureDefinition/"
SUBID: Final = EXT + "observation-v2-subid"
TEXTS: Final = frozenset({"ST", "TX", "FT"})
NOT_ASKED: Final = fixed("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-asked", "Not Asked")
Value = Callable[[Repetition, Repetition, Context], Json | None]


def _number(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    """NM; what is no number stays readable as text."""
    text = part(repetition, 1)
    if not text:
        return None
    found = measures.quantity(text, units, ctx)
    return {"valueQuantity": found} if found else {"valueString": text}


def _text(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    found = ft.convert(repetition, ctx)
    return {"valueString": found} if found else None


def _first(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    for component in range(2, len(repetition) + 1):
        ctx.leave(component)
    found = part(repetition, 1)
    return {"valueString": found} if found else None


def _concept(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    found = cwe.convert(repetition, ctx)
    for component in range(14, len(repetition) + 1):
        ctx.leave(component)
    return {"valueCodeableConcept": found} if found else None


def _date_time(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    text = part(repetition, 1)
    if not text:
        return None
    found = date_time(text, ctx)
    return {"valueString": text} if found is None else elements("valueDateTime", found)


def _time(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    text = part(repetition, 1)
    found = time_of_day(text, ctx)
    return {"valueTime": found} if found else {"valueString": text} if text else None


def _period(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    found = dr.convert(repetition, ctx)
    return {"valuePeriod": found} if found else None


def _array(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    return measures.sampled([repetition], units, ctx) or _text(repetition, units, ctx)


def _quantity(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    text = part(repetition, 1)
    found = measures.quantity(text, subs(repetition, 2) or units, ctx) if text else None
    return {"valueQuantity": found} if found else None


# OBX-2 (table 0125) to value[x]: guide rows 7-30. Types not listed are read as text, first component first, the others kept.
VALUES: Final[dict[str, Value]] = {
    "NM": _number,
    "SN": measures.structured,
    "ST": _first,
    "TX": _text,
    "FT": _text,
    "CE": _concept,
    "CWE": _concept,
    "CNE": _concept,
    "CF": _concept,
    "IS": _concept,
    "ID": _concept,
    "DT": _date_time,
    "TS": _date_time,
    "DTM": _date_time,
    "TM": _time,
    "DR": _period,
    "NR": measures.numeric_range,
    "NA": _array,
    "CQ": _quantity,
}


def _value(repetition: Repetition, ctx: Context) -> Json | None:
    segment_ = ctx.segment
    units = segment_.repetitions(6)
    return VALUES.get(segment_.value(2), _first)(repetition, units[0] if units else [], ctx)


@takes()
def single(repetition: Repetition, ctx: Context) -> Json | None:
    """value[x] of a field without repetitions; texts join theirs as lines."""
    raw = ctx.segment.raw(5)
    if ctx.message.delimiters.repetition not in raw:
        return _value(repetition, ctx)
    if ctx.segment.value(2) not in TEXTS:
        return None
    found = [ft.convert(r, ctx) for r in ctx.segment.repetitions(5)]
    return {"valueString": "\n".join(f for f in found if f)} if any(found) else None


@takes()
def repeated(repetition: Repetition, ctx: Context) -> Json | None:
    """One component per repetition, all of the same code."""
    segment_ = ctx.segment
    if ctx.message.delimiters.repetition not in segment_.raw(5) or segment_.value(2) in TEXTS:
        return None
    value = _value(repetition, ctx)
    if value is None:
        return None
    code = segment_.repetitions(3)
    return {"code": (cwe.convert(code[0], ctx) if code else None) or {"extension": [ABSENT]}, **value}


@takes(1, 2, 3)
def units_taken(repetition: Repetition, ctx: Context) -> Json | None:
    """OBX-6 went into the quantity, if OBX-5 made one; otherwise it is kept."""
    if ctx.segment.value(2) not in ("NM", "SN", "NR", "NA", "CQ"):
        return None
    values = ctx.segment.repetitions(5)
    numeric = values and any(measures.number(part(values[0], n)) is not None for n in (1, 2))
    return {} if numeric else None


@takes(1, 2, 3, 4)
def sub_id(repetition: Repetition, ctx: Context) -> Json | None:
    """OBX-4: ST before 2.8.2, OG since (guide: OG[Extension-Subidentifier])."""
    inner: list[Json] = []
    names = (("original-sub-identifier", 1), ("group", 2), ("sequence", 3), ("identifier", 4))
    for name, component in names:
        if text := part(repetition, component):
            value = measures.number(text) if name in ("group", "sequence") else None
            inner.append({"url": name, "valueDecimal": value} if value is not None else {"url": name, "valueString": text})
    return {"url": SUBID, "extension": inner} if inner else None


@takes(1, 2, 3, 4)
def device(repetition: Repetition, ctx: Context) -> Json | None:
    """OBX-18 as logical reference: the instrument is named, not described."""
    found = ei_identifier(repetition, ctx)
    return {"type": "Device", "identifier": found} if found else None


OBX = segment(
    "OBX",
    target(
        "Observation",
        field("OBX-3", "code", cwe),  # row 5
        field("OBX-4", "extension[]", sub_id),  # row 6
        field("OBX-5", "*", single, shown="value[x]"),  # rows 7-30
        field("OBX-5", "component[]", repeated),
        field("OBX-6", "*", units_taken, shown="valueQuantity.unit"),  # rows 31-36
        field("OBX-7", "referenceRange[range].text", ft),  # row 37
        field("OBX-8", "interpretation[]", translated("0078-interpretation", "0078")),  # row 38
        field(
            "OBX-10", "extension[]", as_extension(EXT + "observation-nature-of-abnormal-test", "valueCodeableConcept", coded("0080"))
        ),  # rows 40-41
        field("OBX-11", "status", status("0085-observation-status", "0085", "unknown")),  # rows 42-47
        field("OBX-14", "effectiveDateTime", dtm),  # row 50
        field("OBX-15", "performer[]", cwe_organization),  # row 51
        field("OBX-16", "performer[]", xcn),  # row 53
        field("OBX-17", "method", cwe),  # row 56
        field("OBX-18", "device", device),  # row 57
        field("OBX-19", "extension[]", as_extension(EXT + "observation-analysis-date-time", "valueDateTime", dtm)),  # rows 58-59
        field("OBX-20", "bodySite", coded("0163")),  # row 60
        field("OBX-21", "identifier[]", ei("FILL")),  # rows 61-62
        field("OBX-23", "performer[]", xon),  # row 64
        field("OBX-25", "performer[]", xcn),  # rows 68-70
        field("OBX-29", "category[]", coded("0936")),  # rows 74-75
    ),
    target("Organization", field("OBX-24", "address[]", xad)),  # row 66
    structural("OBX-1"),
    structural("OBX-2"),
)


def laboratory(node: Node, ctx: Context) -> dict[str, Draft]:
    """The Organization of OBX-23, so that OBX-24 can give its address."""
    named = node.segment.repetitions(23)
    if not named:
        return {}
    ctx.segment, ctx.number = node.segment, 23
    draft = xon_draft(named[0], ctx)
    return {"Organization": draft} if draft else {}


def observation(node: Node, ctx: Context, specimen: Draft | None = None) -> Draft:
    """The Observation of one OBX with its notes."""
    draft = ctx.add(ctx.new("Observation"))
    resource = draft.resource
    OBX.map(node.segment, ctx, Observation=draft, **laboratory(node, ctx))
    resource.setdefault("code", {"extension": [ABSENT]})
    resource.setdefault("status", "unknown")
    resource["subject"] = reference(ctx.patient)
    if specimen is not None:
        resource["specimen"] = reference(specimen)
    if node.segment.value(11) == "N" and not any(name.startswith("value") for name in resource):  # invariant obs-6
        resource["dataAbsentReason"] = NOT_ASKED
    followers(node, draft, ctx)
    return draft
