"""What a Consent says about a second opinion: permits, denies, withdrawn, or about something else.

An absent actor, purpose or period means any. R4 gives the root provision no type: an active Consent permits, a nested
provision is an exception to the one around it (Consent.provision.provision).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from fhir_gateway.cases.days import span
from fhir_gateway.cases.evidence import Entry, codings, walk
from fhir_gateway.cases.model import Json, Moment
from profiles.restriction import OPT_OUT, SOURCE_ROLES

# Actor roles that name who gives the records and who gets them (v3-ParticipationType, v3-RoleClass, v3-RoleCode).
RECIPIENT_ROLES: Final = frozenset({"PRCP", "IRCP", "REFT", "RESPRSN", "PAYOR", "UNDWRT"})

# Reasons that settle nothing: an older consent may still permit.
UNDECIDED: Final = frozenset({"consent-not-covering", "consent-lapsed", "consent-not-yet-in-force", "unsigned", "retracted"})


def says(entry: Entry, sources: Collection[str], clinic: Collection[str], purposes: Collection[str], at: Moment) -> str | None:
    """None when the Consent permits, else the reason it does not.

    sources: names of the senders and requester; clinic: names of the clinic; purposes: v3-ActReason codes that serve.
    """
    resource = entry.resource
    if {code for _, code in codings(resource.get("policyRule"))} & OPT_OUT:
        return "consent-denied"
    root = resource.get("provision")
    if not isinstance(root, dict):
        return None
    if not speaks(resource, sources, clinic, purposes):
        return "consent-not-covering"
    permits = root.get("type") != "deny"
    for exception in _nested(root, not permits):
        kind, rule = exception
        if _covers(rule, sources, clinic, purposes) and _in_force(rule, at) and not _narrower(rule):
            permits = kind
    return None if permits else "consent-denied"


def speaks(resource: Json, sources: Collection[str], clinic: Collection[str], purposes: Collection[str]) -> bool:
    """Is the Consent about this referral's records at all, in force or withdrawn? One about what the health plan is told is not."""
    root = resource.get("provision")
    return not isinstance(root, dict) or (_covers(root, sources, clinic, purposes) and not _of_plans(root))


def identity(element: Any) -> set[str]:
    """The names a Reference gives: reference, identifier value, display."""
    if not isinstance(element, dict):
        return set()
    found = [element.get("reference"), element.get("display"), *walk(element, "identifier.value")]
    return {name.casefold() for name in found if isinstance(name, str) and name}


def _nested(rule: Json, default: bool) -> list[tuple[bool, Json]]:
    """Exceptions from the outside in, each with whether it permits."""
    found: list[tuple[bool, Json]] = []
    for inner in walk(rule, "provision"):
        if isinstance(inner, dict):
            permits = {"permit": True, "deny": False}.get(str(inner.get("type")), default)
            found += [(permits, inner), *_nested(inner, not permits)]
    return found


def _covers(rule: Json, sources: Collection[str], clinic: Collection[str], purposes: Collection[str]) -> bool:
    asked = {code for _, code in (pair for concept in walk(rule, "purpose") for pair in codings(concept))}
    if asked and not asked & set(purposes):
        return False
    givers: set[str] = set()
    takers: set[str] = set()
    for actor in walk(rule, "actor"):
        roles = {code for _, code in codings(actor.get("role"))} if isinstance(actor, dict) else set()
        if roles & RECIPIENT_ROLES:
            takers |= identity(actor.get("reference"))
        elif roles & SOURCE_ROLES:
            givers |= identity(actor.get("reference"))
    return _names_any(takers, clinic) and _names_any(givers, sources)


def _names_any(named: set[str], wanted: Collection[str]) -> bool:
    return not named or not wanted or bool(named & {name.casefold() for name in wanted})


def _in_force(rule: Json, at: Moment) -> bool:
    begins, ends = (next(iter(walk(rule, f"period.{end}")), None) for end in ("start", "end"))
    first, last = span(begins, at.zone), span(ends, at.zone)
    return (first is None or first.low <= at.today) and (last is None or last.high >= at.today)


def _of_plans(rule: Json) -> bool:
    """A rule about insurance alone says nothing of the records."""
    named = [str(name) for name in walk(rule, "data.reference.reference")]
    return bool(named) and all(name.startswith("Coverage/") for name in named)


def _narrower(rule: Json) -> bool:
    """A rule about some data only (class, code, labels, named resources) is no answer for the case as a whole."""
    return any(element in rule for element in ("class", "code", "securityLabel", "data", "action", "dataPeriod"))
