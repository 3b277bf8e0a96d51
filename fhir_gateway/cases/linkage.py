"""Are two Patients one person? A Linkage is what was last said about a pair; Patient.link is what follows from it. Pure.

    Linkage.item.type            Patient.link.type of the first, of the second
    source, historical           replaces, replaced-by (and the second is no longer active)
    source, alternate            seealso, seealso
    active false                 none: they are two people, and are never joined by a guess again

FHIR R4 linkage.html, patient.html#links. The kinds of `other` link a client may write itself (refer) are left alone here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Json
from profiles.canonical import canonical

RECORDED: Final = canonical("StructureDefinition", "linkage-recorded")
RECIPROCAL: Final = {"replaces": "replaced-by", "replaced-by": "replaces", "seealso": "seealso", "refer": "seealso"}
# Patient.link.type by (this item's type, the other item's).
_LINK: Final = {
    ("source", "historical"): "replaces",
    ("historical", "source"): "replaced-by",
}


class Pair(NamedTuple):
    """What a Linkage says. first, second: Patient ids in the order of its items; types: Linkage.item.type of each."""

    first: str
    second: str
    types: tuple[str, str]
    active: bool


def pair_of(linkage: Json) -> Pair | None:
    """The two Patients a Linkage is about; None for one about anything else, or about one Patient twice."""
    items = [item for item in walk(linkage, "item") if isinstance(item, dict)]
    names = [str(reference).removeprefix("Patient/") for item in items for reference in walk(item, "resource.reference")]
    types = [str(item.get("type")) for item in items]
    whole = all(str(reference).startswith("Patient/") for item in items for reference in walk(item, "resource.reference"))
    if len(items) != 2 or len(names) != 2 or not whole or names[0] == names[1]:
        return None
    return Pair(names[0], names[1], (types[0], types[1]), linkage.get("active") is not False)


def name_of(one: str, other: str) -> str:
    """The pair's name, whichever comes first: the value of its identity key."""
    return "\t".join(sorted((one, other)))


def linkage(first: str, second: str, *, active: bool, who: str, now: datetime) -> Json:
    """A Linkage of two Patients (ids) as somebody here says it, without id. first: the case's own. who: a principal's name, no patient data."""
    return {
        "resourceType": "Linkage",
        "extension": [{"url": RECORDED, "valueDateTime": now.isoformat(timespec="milliseconds")}],
        "active": active,
        "author": {"display": who},
        "item": [
            {"type": "source", "resource": {"reference": f"Patient/{first}"}},
            {"type": "alternate", "resource": {"reference": f"Patient/{second}"}},
        ],
    }


def told(patient: Json, me: str, pair: Pair) -> Json:
    """The Patient (id `me`) as the pair's Linkage has it: linked, or no longer."""
    other, types = (pair.second, pair.types) if me == pair.first else (pair.first, pair.types[::-1])
    held = [link for link in walk(patient, "link") if isinstance(link, dict)]
    kept = [link for link in held if f"Patient/{other}" not in walk(link, "other.reference")]
    was_replaced = any(link.get("type") == "replaced-by" for link in held if link not in kept)
    made = {**patient}
    if pair.active:
        kept.append({"other": {"reference": f"Patient/{other}"}, "type": _LINK.get(types, "seealso")})
    if any(link.get("type") == "replaced-by" for link in kept):
        made["active"] = False
    elif was_replaced:
        made["active"] = True
    made.pop("link", None)
    return {**made, "link": kept} if kept else made


def answered(patient: Json, me: str, other: str, type: str) -> Json:
    """The Patient `me`, told that the Patient `other` links to it by `type`: linked back, unless it names that Patient already."""
    back = RECIPROCAL.get(type)
    if back is None or f"Patient/{other}" in walk(patient, "link.other.reference"):
        return patient
    linked = {**patient, "link": [*walk(patient, "link"), {"other": {"reference": f"Patient/{other}"}, "type": back}]}
    return {**linked, "active": False} if back == "replaced-by" else linked


def whole(me: str, people: Mapping[str, Json]) -> Json | None:
    """One person from Patients by id: the one `me` was merged into, what that one leaves out as `me` has it, the identifiers of all.

    None when `me` is not among them. A chain of merges is followed to its end, once round at most.
    """
    own = people.get(me)
    if own is None:
        return None
    survivor, passed = own, {me}
    while (following := _replaced_by(survivor)) in people and following not in passed:
        passed.add(following)
        survivor = people[following]
    numbers = {
        (str(i.get("system")), str(i.get("value"))): i for patient in people.values() for i in walk(patient, "identifier") if isinstance(i, dict)
    }
    first = {(str(i.get("system")), str(i.get("value"))): i for i in walk(survivor, "identifier") if isinstance(i, dict)}
    rest = [numbers[name] for name in sorted(numbers.keys() - first.keys())]
    made = {**{key: value for key, value in own.items() if key not in ("active", "link", "meta")}, **survivor}
    return {**made, "identifier": [*first.values(), *rest]} if first or rest else made


def _replaced_by(patient: Json) -> str:
    links = [link for link in walk(patient, "link") if isinstance(link, dict) and link.get("type") == "replaced-by"]
    return str(next(iter(walk(links, "other.reference")), "")).removeprefix("Patient/")
