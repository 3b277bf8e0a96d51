"""FHIRPath constraints of R4 that say which elements go together, as plain functions compiled once: type or backbone element → its rules.

Source: the `constraint`s of severity error in the StructureDefinitions of the case resources and of the datatypes they use (FHIR R4 4.0.1). What needs
more than that is in `rules`; tests/validation/test_invariants.py lists every constraint with what is done about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fhir_gateway.validation.walk import At, Walk

Json = dict[str, Any]
Rule = Callable[[Json, At, Walk], None]

UCUM: Final = "http://unitsofmeasure.org"
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFIED: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_NUMBER: Final = (int, float, Decimal)
_ABATED: Final = frozenset({"resolved", "remission", "inactive"})


def has(value: Json, name: str) -> bool:
    """Does the element stand, as a value or as extensions beside one? `value[x]`: any of the choices."""
    if name.endswith("[x]"):
        return any(key.lstrip("_").startswith(name[:-3]) for key in value)
    return name in value or f"_{name}" in value


def before(one: Any, other: Any) -> bool:
    """Does one date or time certainly lie before the other? Judged on the precision both share; times by their zones."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    if "T" in one and "T" in other:
        try:
            return datetime.fromisoformat(one) < datetime.fromisoformat(other)
        except (ValueError, TypeError):
            return False  # a fault of its own, or a leap second
    shared = min(len(one), len(other), 10)
    return one[:shared] < other[:shared]


# What goes together


def _one_of(key: str, *names: str) -> Rule:
    listed = " or ".join((", ".join(names[:-1]), names[-1]))

    def rule(value: Json, at: At, walk: Walk) -> None:
        if not any(has(value, name) for name in names):
            walk.error("invariant", f"{key}: {listed} must be given", at)

    return rule


def _only_with(key: str, name: str, other: str) -> Rule:
    def rule(value: Json, at: At, walk: Walk) -> None:
        if has(value, name) and not has(value, other):
            walk.error("invariant", f"{key}: {name} needs {other}", (at, other))

    return rule


def _not_both(key: str, name: str, other: str) -> Rule:
    def rule(value: Json, at: At, walk: Walk) -> None:
        if has(value, name) and has(value, other):
            walk.error("invariant", f"{key}: {name} and {other} may not stand together", (at, other))

    return rule


def _just_one(key: str, name: str, other: str) -> Rule:
    def rule(value: Json, at: At, walk: Walk) -> None:
        if has(value, name) == has(value, other):
            walk.error("invariant", f"{key}: either {name} or {other} must stand, not both", at)

    return rule


def _both_or_none(value: Json, at: At, walk: Walk) -> None:
    """rat-1, whose last part lets a ratio be empty when an extension stands for it."""
    ends = has(value, "numerator"), has(value, "denominator")
    if ends[0] != ends[1] or not (ends[0] or "extension" in value):
        walk.error("invariant", "rat-1: numerator and denominator must both stand", at)


def _not_negative(key: str, name: str) -> Rule:
    def rule(value: Json, at: At, walk: Walk) -> None:
        number = value.get(name)
        if isinstance(number, _NUMBER) and number < 0:
            walk.error("invariant", f"{key}: {name} may not be negative", (at, name))

    return rule


def _all(*rules: Rule) -> Rule:
    def rule(value: Json, at: At, walk: Walk) -> None:
        for one in rules:
            one(value, at, walk)

    return rule


# Datatypes


def _measure(key: str, *, positive: bool = False, whole: bool = False) -> Rule:
    """age-1, cnt-3, dis-1: a value has a code, and the system is UCUM."""

    def rule(value: Json, at: At, walk: Walk) -> None:
        number = value.get("value")
        if has(value, "value") and "code" not in value:
            walk.error("invariant", f"{key}: a value needs its code", (at, "code"))
        if value.get("system", UCUM) != UCUM:
            walk.error("invariant", f"{key}: the system must be {UCUM}", (at, "system"))
        if positive and isinstance(number, _NUMBER) and number <= 0:
            walk.error("invariant", f"{key}: the value must be above 0", (at, "value"))
        if whole and (value.get("code", "1") != "1" or "." in str(number)):
            walk.error("invariant", f'{key}: a count is a whole number with code "1"', at)

    return rule


def _duration(value: Json, at: At, walk: Walk) -> None:
    """drt-1."""
    if "code" in value and (value.get("system") != UCUM or not has(value, "value")):
        walk.error("invariant", f"drt-1: a code needs a value, and the system {UCUM}", at)


def _range(value: Json, at: At, walk: Walk) -> None:
    """rng-2 where both ends are in one unit; sqty-1 of both."""
    _simple(value, at, walk)
    low, high = value.get("low"), value.get("high")
    if isinstance(low, dict) and isinstance(high, dict) and all(low.get(k) == high.get(k) for k in ("system", "code", "unit")):
        least, most = low.get("value"), high.get("value")
        if isinstance(least, _NUMBER) and isinstance(most, _NUMBER) and least > most:
            walk.error("invariant", "rng-2: low may not be above high", at)


def _simple(value: Json, at: At, walk: Walk) -> None:
    """sqty-1: low and high are SimpleQuantities."""
    for name in ("low", "high"):
        end = value.get(name)
        if isinstance(end, dict) and has(end, "comparator"):
            walk.error("invariant", f"sqty-1: {name} may not have a comparator", ((at, name), "comparator"))


def _offset(value: Json, at: At, walk: Walk) -> None:
    """tim-9."""
    when = value.get("when")
    if "offset" in value and (not when or (isinstance(when, list) and {"C", "CM", "CD", "CV"} & {w for w in when if isinstance(w, str)})):
        walk.error("invariant", "tim-9: an offset needs a when, other than a meal itself", (at, "offset"))


def _trigger(value: Json, at: At, walk: Walk) -> None:
    """trd-3."""
    kind = str(value.get("type", ""))
    wanted = {"named-event": "name", "periodic": "timing[x]"}.get(kind, "data" if kind.startswith("data-") else "")
    if wanted and not has(value, wanted):
        walk.error("invariant", f"trd-3: a trigger of type {kind[:30]} needs {wanted}", at)


# Resources


def _condition(value: Json, at: At, walk: Walk) -> None:
    """con-4 and con-5: what clinicalStatus may be beside an abatement, and that none stands on what was entered in error."""
    codes = _codes(value.get("clinicalStatus"), _CLINICAL)
    if has(value, "abatement[x]") and not codes & _ABATED:
        walk.error("invariant", "con-4: what has abated is inactive, resolved or in remission", (at, "clinicalStatus"))
    if "clinicalStatus" in value and "entered-in-error" in _codes(value.get("verificationStatus"), _VERIFIED):
        walk.error("invariant", "con-5: what was entered in error has no clinicalStatus", (at, "clinicalStatus"))


def _codes(concept: Any, system: str) -> set[str]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return {
        coding["code"]
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, dict) and coding.get("system") == system and isinstance(coding.get("code"), str)
    }


def _list(value: Json, at: At, walk: Walk) -> None:
    """lst-1, lst-2, lst-3."""
    entries, mode = value.get("entry"), value.get("mode")
    if has(value, "emptyReason") and entries:
        walk.error("invariant", "lst-1: a list with entries has no emptyReason", (at, "emptyReason"))
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            continue
        if has(entry, "deleted") and mode != "changes":
            walk.error("invariant", "lst-2: deleted only in a list of changes", (((at, "entry"), position), "deleted"))
        if has(entry, "date") and mode != "working":
            walk.error("invariant", "lst-3: an entry's date only in a working list", (((at, "entry"), position), "date"))


def _organization(value: Json, at: At, walk: Walk) -> None:
    """org-1, org-2, org-3: a name or an identifier; nothing of it is at home."""
    if not has(value, "name") and not value.get("identifier"):
        walk.error("invariant", "org-1: an organization needs a name or an identifier", at)
    for key, name in (("org-3", "telecom"), ("org-2", "address")):
        items = value.get(name)
        for position, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and item.get("use") == "home":
                walk.error("invariant", f"{key}: the {name} of an organization is never of use home", (((at, name), position), "use"))


def _parameter(value: Json, at: At, walk: Walk) -> None:
    """inv-1 of Parameters."""
    if sum(has(value, name) for name in ("value[x]", "resource", "part")) != 1:
        walk.error("invariant", "inv-1: a parameter has one of value, resource and part", at)


def _task(value: Json, at: At, walk: Walk) -> None:
    """inv-1 of Task."""
    if before(value.get("lastModified"), value.get("authoredOn")):
        walk.error("invariant", "inv-1: lastModified may not lie before authoredOn", (at, "lastModified"))


RULES: Final[dict[str, Rule]] = {
    "Age": _measure("age-1", positive=True),
    "AppointmentParticipant": _one_of("app-1", "type", "actor"),
    "Attachment": _only_with("att-1", "data", "contentType"),
    "AuditEventEntity": _not_both("sev-1", "name", "query"),
    "Condition": _condition,
    "ConditionEvidence": _one_of("con-2", "code", "detail"),
    "ConditionStage": _one_of("con-1", "summary", "assessment"),
    "Consent": _one_of("ppc-1", "policy", "policyRule"),
    "ContactPoint": _only_with("cpt-2", "value", "system"),
    "Count": _measure("cnt-3", whole=True),
    "CoverageEligibilityResponseInsuranceItem": _just_one("ces-1", "category", "productOrService"),
    "DataRequirementCodeFilter": _just_one("drq-1", "path", "searchParam"),
    "DataRequirementDateFilter": _just_one("drq-2", "path", "searchParam"),
    "Distance": _measure("dis-1"),
    "Duration": _duration,
    "Expression": _one_of("exp-1", "expression", "reference"),
    "List": _list,
    "ObservationReferenceRange": _all(_one_of("obs-3", "low", "high", "text"), _simple),
    "Organization": _organization,
    "ParametersParameter": _parameter,
    "Range": _range,
    "Ratio": _both_or_none,
    "ServiceRequest": _only_with("prr-1", "orderDetail", "code"),
    "Task": _task,
    "TimingRepeat": _all(
        _only_with("tim-1", "duration", "durationUnit"),
        _only_with("tim-2", "period", "periodUnit"),
        _not_negative("tim-4", "duration"),
        _not_negative("tim-5", "period"),
        _only_with("tim-6", "periodMax", "period"),
        _only_with("tim-7", "durationMax", "duration"),
        _only_with("tim-8", "countMax", "count"),
        _offset,
        _not_both("tim-10", "timeOfDay", "when"),
    ),
    "TriggerDefinition": _all(_not_both("trd-1", "data", "timing[x]"), _only_with("trd-2", "condition", "data"), _trigger),
}

_TAG: Final = re.compile(r"<[^>]*>")


def blank(div: str) -> bool:
    """txt-2: has a narrative nothing to read and nothing to see?"""
    return "<img" not in div and not _TAG.sub("", div).replace("&nbsp;", "").strip()
