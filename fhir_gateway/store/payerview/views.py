"""A resource as a payer sees it: the elements of its view, without texts, contained resources and extensions that others wrote for others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from fhir_gateway.store.stored import Json, Stored, encode
from profiles.eligibility import CHANNEL, PERSON
from profiles.payerview import EXTENSIONS, VIEWS

SUBSETTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
"""Nobody is to take it for the whole (search.html#summary)."""
_LEFT_OUT: Final = frozenset({"id", "text", "contained"})
_NAMED: Final = ("payor", "insurer")
"""References whose display is kept: it is the payer's own name. Others may name people."""
_FORMER: Final = ("old", "maiden", "nickname", "temp")


@dataclass(frozen=True, slots=True)
class Around:
    """What has to be known beside a resource. coverages: those shown to this payer. members: the numbers those know the Patient by. appointment: of the
    case a ServiceRequest is, "" for none.
    """

    payer: str
    coverages: Collection[str] = ()
    members: Collection[str] = ()
    appointment: str = ""


def seen(stored: Stored, around: Around) -> Stored:
    """The version as this payer sees it. The caller has made sure that it is shown at all."""
    made = reduced(stored.resource, around)
    return Stored(stored.type, stored.id, stored.version, stored.last_updated, stored.deleted, "", encode(made), stored.clock, None, made)


def reduced(resource: Json, around: Around) -> Json:
    """The elements of the type's view; of a type without one nothing but its name."""
    type = str(resource["resourceType"])
    view = VIEWS.get(type)
    meta = resource.get("meta") or {}
    made: Json = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    made["meta"] = {name: meta[name] for name in ("versionId", "lastUpdated") if name in meta} | {"tag": [SUBSETTED]}
    for name, value in resource.items():
        if view is not None and name in view.elements and not _staffs_words(name, resource) and (kept := _kept(value, name)) is not None:
            made[name] = kept
    for name in _NAMED:
        made |= {name: _payer(made[name], around.payer)} if name in made else {}
    refine = _REFINED.get(type)
    if refine is not None:
        refine(made, around)
    return {name: value for name, value in made.items() if value not in ([], {}, None)}


def _staffs_words(name: str, resource: Json) -> bool:
    """What a person wrote down of a payer's answer is told in the clinic's own words, which were not meant for the payer."""
    told = [one for one in resource.get("extension", ()) if one.get("url") == CHANNEL]
    return name == "disposition" and any(one.get("valueCode") == PERSON for one in told)


def _payer(value: Any, payer: str) -> Any:
    """The payer itself, without the Organization it is held as here: that is not shown, and an answer that named it would be refused."""
    if isinstance(value, list):
        return [_payer(one, payer) for one in value]
    told = {name: part for name, part in value.items() if name != "reference"}
    return told if "display" in told or "identifier" in told else told | {"display": payer}


def _kept(value: Any, name: str) -> Any:
    """A value without what is not shown; None when nothing is left."""
    if isinstance(value, list):
        return [kept for one in value if (kept := _kept(one, name)) is not None] or None
    if not isinstance(value, dict):
        return value
    if "modifierExtension" in value:  # its meaning may be turned round by what can't be shown
        return None
    if str(value.get("reference", "")).startswith("#"):
        value = {key: part for key, part in value.items() if key != "reference"}
    made = {key: kept for key, part in value.items() if _may(key, value, name) and (kept := _kept(part, key)) is not None}
    known = [one for one in value.get("extension", ()) if isinstance(one, dict) and one.get("url") in EXTENSIONS]
    return (made | ({"extension": known} if known else {})) or None


def _may(key: str, value: Json, name: str) -> bool:
    if key in _LEFT_OUT or key == "extension" or key.startswith("_"):
        return key == "text" and name not in ("code", "category")  # words of a code or a note; a Narrative is only ever at the top
    return key != "display" or "code" in value or name in _NAMED


def _patient(made: Json, around: Around) -> None:
    """Numbers the plan itself gave, and the name as it is now."""
    made["identifier"] = [one for one in made.get("identifier", ()) if one.get("value") in around.members]
    made["name"] = [one for one in made.get("name", ()) if one.get("use") not in _FORMER]


def _service(made: Json, around: Around) -> None:
    """The appointment is the date of the service; what the referral wished for is not told beside it."""
    if around.appointment:
        for name in ("occurrenceDateTime", "occurrencePeriod", "occurrenceTiming"):
            made.pop(name, None)
        made["occurrenceDateTime"] = around.appointment


def _coverage(made: Json, around: Around) -> None:
    """Of several payors only the one who asks."""
    if len(made.get("payor", ())) > 1:
        made["payor"] = [{"type": "Organization", "display": around.payer}]


def _insurance(made: Json, around: Around) -> None:
    """Only what is said under this payer's own Coverages."""
    made["insurance"] = [one for one in made.get("insurance", ()) if (one.get("coverage") or {}).get("reference") in around.coverages]


_REFINED: Final[dict[str, Callable[[Json, Around], None]]] = {
    "Claim": _insurance,
    "ClaimResponse": _insurance,
    "Coverage": _coverage,
    "CoverageEligibilityRequest": _insurance,
    "CoverageEligibilityResponse": _insurance,
    "Patient": _patient,
    "ServiceRequest": _service,
}
