"""What a person forbids to tell payers: the denials of a FHIR R4 Consent, asked about one disclosure at a time. Pure.

Source: 45 CFR 164.522(a)(1)(vi), who pays out of pocket may forbid disclosure to the health plan; Consent.provision, whose nested provisions are exceptions
to the one around them. A denial counts as long as its Consent is active; no other Consent lifts it. What a rule leaves open (actor, purpose, data) means any.
What a denial says in a way that can't be read here (data held elsewhere, or named by number) is taken as meant, what a permission says so is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from profiles.days import span

Json = dict[str, Any]

PAYMENT: Final = frozenset({"HPAYMT", "CLMATTCH", "COVAUTH", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG", "REMITADV"})
"""v3-ActReason: healthcare payment and what is under it."""
SOURCE_ROLES: Final = frozenset({"CST", "INF", "AUT", "ENT", "PROV", "DIST"})
"""v3-ParticipationType, v3-RoleClass: actors who give. Whoever else a denial names is one who is not to get."""
OPT_OUT: Final = frozenset({"OPTOUT", "OPTOUTE"})
_TELLING: Final = frozenset({"access", "disclose", "use"})  # Consent.provision.action (consentaction)
_HERE: Final = re.compile(r"[A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_SOME_DATA: Final = ("class", "code", "dataPeriod", "securityLabel")


class Asked(NamedTuple):
    """A disclosure. about: "Type/id" of what would be told, and of the Coverage and ServiceRequest it is under. document: it is a clinical document.

    payer: does this actor of this Consent mean the payer? Never, for a question about all payers. today: in the clinic's zone.
    """

    about: Collection[str]
    payer: Callable[[Json, Json], bool]
    today: date
    zone: tzinfo
    document: bool = False


def forbidden(consents: Iterable[Json], asked: Asked) -> bool:
    """Does one of these Consents forbid it?"""
    return any(restricts(one) and _decided(one, _root(one), _denies(one), asked) is True for one in consents)


def restricts(consent: Json) -> bool:
    """May the Consent forbid anything at all: active, about privacy, with a denial somewhere?"""
    if consent.get("status") != "active":
        return False
    scopes = _codes(consent.get("scope"))
    if scopes and "patient-privacy" not in scopes:
        return False
    return _denies(consent) or any(rule.get("type") == "deny" for rule in _inside(_root(consent)))


def turns(consents: Iterable[Json], today: date, zone: tzinfo) -> set[date]:
    """Days after today on which a rule of these Consents begins to hold, or does so no more."""
    found: set[date] = set()
    for consent in filter(restricts, consents):
        for rule in (_root(consent), *_inside(_root(consent))):
            first, last = _period(rule, zone)
            found |= {day for day in (first, last and last < date.max and last + timedelta(1)) if isinstance(day, date) and day > today}
    return found


def _decided(consent: Json, rule: Json, denies: bool, asked: Asked) -> bool | None:
    """Whether a rule denies it, None when it says nothing of it. A permission that speaks of others is still looked into for denials, while it lasts."""
    first, last = _period(rule, asked.zone)
    if (first and first > asked.today) or (last and last < asked.today):
        return None
    covers = _covers(consent, rule, denies, asked)
    if denies and not covers:
        return None
    inner = ((one, {"permit": False, "deny": True}.get(str(one.get("type")), not denies)) for one in _list(rule.get("provision")))
    said = [found for one, denial in inner if (found := _decided(consent, one, denial, asked)) is not None]
    if said:
        return any(said)
    return denies if covers else None


def _covers(consent: Json, rule: Json, denies: bool, asked: Asked) -> bool:
    purposes = {code for one in _list(rule.get("purpose")) for code in _codes(one)}
    if purposes and not purposes & PAYMENT:
        return False
    actions = {code for one in _list(rule.get("action")) for code in _codes(one)}
    if actions and not actions & _TELLING:
        return False
    if any(name in rule for name in _SOME_DATA) and not (denies and asked.document):
        return False  # what payers are shown beside released documents is about the plan and the service, not of a class or code
    takers = [one["reference"] for one in _list(rule.get("actor")) if isinstance(one.get("reference"), dict) and _takes(one)]
    return (not takers or any(asked.payer(one, consent) for one in takers)) and _names(rule, denies, asked.about)


def _takes(actor: Json) -> bool:
    return not _codes(actor.get("role")) & SOURCE_ROLES


def _names(rule: Json, denies: bool, about: Collection[str]) -> bool:
    data = [one.get("reference") for one in _list(rule.get("data"))]
    names = [name for one in data if isinstance(one, dict) and _HERE.fullmatch(name := str(one.get("reference", "")))]
    return not data or any(name in about for name in names) or (denies and len(names) < len(data))


def _root(consent: Json) -> Json:
    root = consent.get("provision")
    return root if isinstance(root, dict) else {}


def _denies(consent: Json) -> bool:
    """R4 gives the root no type of its own: the policy does where it is an opt-out. Many give it one all the same."""
    said = _root(consent).get("type")
    return said == "deny" or (said != "permit" and bool(_codes(consent.get("policyRule")) & OPT_OUT))


def _inside(rule: Json) -> Iterator[Json]:
    for one in _list(rule.get("provision")):
        yield one
        yield from _inside(one)


def _period(rule: Json, zone: tzinfo) -> tuple[date | None, date | None]:
    """The first and the last day, None for an end that is open or can't be read."""
    period = rule.get("period")
    begins, ends = (span(period.get(end), zone) if isinstance(period, dict) else None for end in ("start", "end"))
    return begins.low if begins else None, ends.high if ends else None


def _codes(concept: Any) -> set[str]:
    """The codes of a CodeableConcept or a Coding."""
    if not isinstance(concept, dict):
        return set()
    return {str(one["code"]) for one in (concept, *_list(concept.get("coding"))) if one.get("code")}


def _list(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
