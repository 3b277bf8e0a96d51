"""NM1 with N3, N4, PER, DMG, REF, INS → references, contact points and the contained resources of an answer that came as a file.

Source: 005010X279A1 loops 2100A–D and 2120C/D; NM108 (element 66), PER03 (365), REF01 (128), INS02 (1069).
"""

from __future__ import annotations

from typing import Final

from mappers.result import Json
from mappers.x12.loops import Loop
from mappers.x12.segment import Segment
from mappers.x12.values import day

NPI: Final = "http://hl7.org/fhir/sid/us-npi"
_ID_SYSTEMS: Final = {"XX": NPI, "FI": "urn:oid:2.16.840.1.113883.4.4"}
_ID_TYPES: Final = {"MI": "MB", "XX": "NPI", "FI": "TAX"}
_NUMBERS: Final = {"TE": "phone", "WP": "phone", "HP": "phone", "FX": "fax", "EM": "email", "UR": "url"}
_GENDERS: Final = {"F": "female", "M": "male", "U": "unknown"}
_RELATIONS: Final = {"18": "self", "01": "spouse", "19": "child"}
CLASSES: Final = {"6P": "group", "1L": "group", "18": "plan"}
"""REF01 → class of the Coverage."""
_V2_0203: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_RELATION: Final = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
_CLASS: Final = "http://terminology.hl7.org/CodeSystem/coverage-class"


def name_text(nm1: Segment) -> str:
    """How a person or organisation is called: given names first."""
    return " ".join(filter(None, (nm1.text(4), nm1.text(5), nm1.text(3), nm1.text(7))))


def reference(nm1: Segment) -> Json:
    """A provider by name and number; nothing is claimed about a resource that holds it. {} when NM1 says neither. A social security number is left out."""
    made: Json = {"type": "Practitioner" if nm1.value(2) == "1" else "Organization"}
    if nm1.value(9) and nm1.value(8) != "34":
        made["identifier"] = _identifier(nm1)
    if name := name_text(nm1):
        made["display"] = name
    return made if len(made) > 1 else {}


def contacts(loop: Loop) -> list[Json]:
    """The ContactPoints of its PER segments."""
    found: list[Json] = []
    for per in loop.named("PER"):
        for element in (3, 5, 7):
            if (system := _NUMBERS.get(per.value(element))) and (value := per.text(element + 1)):
                found.append({"system": system, "value": value})
    return found


def patient(loop: Loop, id: str) -> Json:
    """A contained Patient of loop 2100C or 2100D."""
    nm1 = loop.segments[0]
    made: Json = {"resourceType": "Patient", "id": id}
    if nm1.value(9):
        made["identifier"] = [_identifier(nm1)]
    name: Json = {"family": nm1.text(3), "given": [given for given in (nm1.text(4), nm1.text(5)) if given], "suffix": [nm1.text(7)]}
    if kept := {key: value for key, value in name.items() if value and value != [""]}:
        made["name"] = [kept]
    if dmg := loop.first("DMG"):
        if gender := _GENDERS.get(dmg.value(3)):
            made["gender"] = gender
        if dmg.value(1) == "D8" and (born := day(dmg.value(2))):
            made["birthDate"] = born
    if address := _address(loop):
        made["address"] = [address]
    return made


def payer(loop: Loop | None) -> Json:
    """A contained Organization of loop 2100A."""
    made: Json = {"resourceType": "Organization", "id": "payer"}
    nm1 = loop.segments[0] if loop else None
    if nm1 and nm1.value(9):
        made["identifier"] = [_identifier(nm1)]
    made["name"] = (name_text(nm1) if nm1 else "") or "Payer not named in the answer"
    return made


def coverage(subscriber: Loop, person: Loop, period: Json) -> Json:
    """A contained Coverage: the subscriber's number, the person it covers, group and plan numbers, relationship."""
    made: Json = {"resourceType": "Coverage", "id": "coverage", "status": "active"}
    if number := subscriber.segments[0].value(9):
        made["subscriberId"] = number
    if person is not subscriber:
        made["subscriber"] = {"reference": "#subscriber"}
    made["beneficiary"] = {"reference": "#patient"}
    if (ins := person.first("INS")) and ins.value(2):
        made["relationship"] = {"coding": [{"system": _RELATION, "code": _RELATIONS.get(ins.value(2), "other")}]}
    if period:
        made["period"] = period
    made["payor"] = [{"reference": "#payer"}]
    if classes := [_class(ref) for ref in subscriber.named("REF") if ref.value(1) in CLASSES and ref.value(2)]:
        made["class"] = classes
    return made


def _class(ref: Segment) -> Json:
    made: Json = {"type": {"coding": [{"system": _CLASS, "code": CLASSES[ref.value(1)]}]}, "value": ref.text(2)}
    return {**made, "name": ref.text(3)} if ref.text(3) else made


def _identifier(nm1: Segment) -> Json:
    qualifier = nm1.value(8)
    made: Json = {}
    if qualifier in _ID_TYPES:
        made["type"] = {"coding": [{"system": _V2_0203, "code": _ID_TYPES[qualifier]}]}
    if qualifier in _ID_SYSTEMS:
        made["system"] = _ID_SYSTEMS[qualifier]
    return {**made, "value": nm1.text(9)}


def _address(loop: Loop) -> Json:
    n3, n4 = loop.first("N3"), loop.first("N4")
    lines = [line for line in (n3.text(1), n3.text(2)) if line] if n3 else []
    made: Json = {"line": lines} if lines else {}
    if n4:
        made |= {
            key: text for key, text in (("city", n4.text(1)), ("state", n4.text(2)), ("postalCode", n4.text(3)), ("country", n4.text(4))) if text
        }
    return made
