"""Which payer is shown which resource: one pure rule over everything held about a person. What it does not name is shown to nobody.

Coverage          active, no self-pay, to whoever its payor is
Patient           to whom one of those Coverages, or a service, is shown
ServiceRequest    of a case that is billed to a plan: to the payers of the Coverages it names, and to whom a Claim for it was put
Claim             a request for authorisation, to the payer of its focal Coverage, as long as the service is billed
…Request          for eligibility: to who asked it, and to the payer of its focal Coverage
…Response         to whom the request it answers is shown; without one, to the payer of its Coverage
documents         to whom they were released, as long as the service is billed and no label forbids it

Whatever a Consent of the person forbids a payer to be told is not shown to it (`profiles.restriction`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fhir_gateway.store.search.references import local
from fhir_gateway.store.stored import Json, Stored
from profiles.payerview import RELEASED
from profiles.selfpay import self_pay

Payers = frozenset[str]
NOBODY: Final[Payers] = frozenset()
LIVE: Final[dict[str, frozenset[str]]] = {
    "Claim": frozenset({"active", "cancelled"}),
    "ClaimResponse": frozenset({"active", "cancelled"}),
    "Coverage": frozenset({"active"}),
    "CoverageEligibilityRequest": frozenset({"active", "cancelled"}),
    "CoverageEligibilityResponse": frozenset({"active", "cancelled"}),
    "DiagnosticReport": frozenset({"final", "amended", "corrected", "appended"}),
    "DocumentReference": frozenset({"current"}),
    "ServiceRequest": frozenset({"active", "on-hold", "revoked", "completed"}),
}
"""Statuses in which a resource says something; in any other it is withdrawn or not yet said."""
PATIENT: Final = {
    "Claim": "patient",
    "ClaimResponse": "patient",
    "Coverage": "beneficiary",
    "CoverageEligibilityRequest": "patient",
    "CoverageEligibilityResponse": "patient",
    "Consent": "patient",
    "ServiceRequest": "subject",
    **dict.fromkeys(RELEASED, "subject"),
}
"""The element that says whom a resource is about."""
_UNLABELLED: Final = frozenset({"U", "L", "M", "N"})
_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


Forbids = Callable[[str, Collection[str]], bool]
"""Is a payer forbidden to be told? Asked with "Type/id" of a resource, and of the Coverage and ServiceRequest it is under."""


def nothing_forbidden(_payer: str, _about: Collection[str]) -> bool:
    """Nobody has forbidden anything."""
    return False


class Held(NamedTuple):
    """A resource with its surrogate key."""

    pk: int
    stored: Stored


class Known(NamedTuple):
    """What is known about a person. resources: of the types of PATIENT, and Patients; of ServiceRequests only those that are cases billed to a plan.

    released: surrogate key of a document → payers it is released to for such a case. attached: of a document → keys of the Binaries it names.
    withheld: the patient pays for some case herself, so that what does not say which service it is about is shown to nobody.
    """

    resources: Sequence[Held]
    payers_of: Callable[[Json], Payers]
    released: Mapping[int, Payers] = {}
    attached: Mapping[int, Collection[int]] = {}
    withheld: bool = False
    forbids: Forbids = nothing_forbidden


def owner_of(payer: str) -> str:
    """The owner of what a payer writes: a name no sender's organisation has."""
    return f"payer/{payer}"


def patient_of(resource: Json) -> str:
    """The id of the Patient it is about, "" for none held here."""
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    here = local(_reference(resource.get(PATIENT.get(resource["resourceType"], ""))))
    return here[1] if here and here[0] == "Patient" else ""


def releasable(resource: Json) -> bool:
    """May a document be released at all? Not while it is withdrawn, or labelled as more than normally confidential or as of a sensitive kind."""
    labels = (resource.get("meta") or {}).get("security") or ()
    plain = all(label.get("system") == _CONFIDENTIALITY and label.get("code") in _UNLABELLED for label in labels)
    return resource["resourceType"] in RELEASED and plain and _live(resource)


def shares(known: Known) -> dict[tuple[str, int], str]:
    """(payer, surrogate key) → the Patient it is about, for everything that is shown."""
    rule = _Rule(known)
    found = {(payer, held.pk): patient_of(held.stored.resource) for held in known.resources for payer in rule.shown(held)}
    for pk in {pk for _, pk in found}:
        for payer in known.released.get(pk, ()):
            found |= {(payer, binary): found[payer, pk] for binary in known.attached.get(pk, ()) if (payer, pk) in found}
    return found


class _Rule:
    def __init__(self, known: Known) -> None:
        self.known = known
        self.by_name = {held.stored.reference: held.stored for held in known.resources if not held.stored.deleted and _live(held.stored.resource)}
        plans = {name: s.resource for name, s in self.by_name.items() if s.type == "Coverage" and not self_pay(s.resource)}
        self.coverages = {name: self._told(known.payers_of(held), name) for name, held in plans.items()}
        claims = [stored for stored in self.by_name.values() if stored.type == "Claim"]
        self.services = {name: self._billed(stored) for name, stored in self.by_name.items() if stored.type == "ServiceRequest"}
        self.claims = {claim.reference: self._claim(claim) for claim in claims}
        for claim in claims:
            service = _reference(claim.resource.get("referral"))
            if service in self.services:
                self.services[service] |= self.claims[claim.reference]
        self.requests = {name: self._asked(stored) for name, stored in self.by_name.items() if stored.type == "CoverageEligibilityRequest"}
        self.members = self._members()

    def shown(self, held: Held) -> Payers:
        stored = held.stored
        if stored.reference not in self.by_name or "modifierExtension" in stored.resource:
            return NOBODY
        match stored.type:
            case "Patient":
                return self.members.get(stored.id, NOBODY)
            case "Coverage":
                return self.coverages.get(stored.reference, NOBODY)
            case "ServiceRequest":
                return self.services[stored.reference]
            case "Claim":
                return self.claims[stored.reference]
            case "CoverageEligibilityRequest":
                return self.requests[stored.reference]
            case "ClaimResponse" | "CoverageEligibilityResponse":
                return self._answer(stored)
        return self.known.released.get(held.pk, NOBODY) if releasable(stored.resource) else NOBODY

    def _told(self, payers: Payers, *about: str) -> Payers:
        """Those of them that may be told."""
        return frozenset(payer for payer in payers if not self.known.forbids(payer, about))

    def _billed(self, service: Stored) -> Payers:
        named = (_reference(one) for one in service.resource.get("insurance") or ())
        return NOBODY.union(*(self._told(self.coverages.get(name, NOBODY), name, service.reference) for name in named))

    def _claim(self, stored: Stored) -> Payers:
        """Put to a payer under its Coverage; a Claim for a service that is not billed (any more) is nobody's."""
        claim = stored.resource
        service = _reference(claim.get("referral"))
        if claim.get("use") != "preauthorization" or (service not in self.services if service else self.known.withheld):
            return NOBODY
        return self._focal(stored, service)

    def _asked(self, request: Stored) -> Payers:
        if not request.owner.startswith("payer/"):
            return self._focal(request)
        return self._own(request)

    def _own(self, stored: Stored, service: str = "") -> Payers:
        """What a payer wrote itself is shown to it, under any of the Coverages it may be told of."""
        under = [_reference(one.get("coverage")) for one in stored.resource.get("insurance") or ()] or [""]
        writer = frozenset({stored.owner.removeprefix("payer/")})
        return NOBODY.union(*(self._told(writer, name, stored.reference, service) for name in under))

    def _answer(self, stored: Stored) -> Payers:
        """Where what it answers is known it goes to whom that is shown; else an answer names the Coverage it is under."""
        answer = stored.resource
        asked = _reference(answer.get("request"))
        if stored.owner.startswith("payer/"):
            claim = self.by_name.get(asked)
            return self._own(stored, _reference(claim.resource.get("referral")) if claim else "")
        if asked:
            return self._told(self.claims.get(asked, NOBODY) | self.requests.get(asked, NOBODY), stored.reference)
        if stored.type == "ClaimResponse" and (answer.get("use") != "preauthorization" or self.known.withheld):
            return NOBODY
        return self._focal(stored)

    def _focal(self, stored: Stored, service: str = "") -> Payers:
        """The payers of the Coverage that is to be used: the focal one, or the only one there is (Claim.insurance.focal)."""
        under = [one for one in stored.resource.get("insurance") or () if isinstance(one, dict)]
        focal = [one for one in under if one.get("focal") is True] or (under if len(under) == 1 or "focal" not in _keys(under) else [])
        names = [_reference(one.get("coverage")) for one in focal]
        return NOBODY.union(*(self._told(self.coverages.get(name, NOBODY), name, stored.reference, service) for name in names))

    def _members(self) -> dict[str, Payers]:
        """By Patient, whom they are shown to."""
        found: dict[str, Payers] = {}
        for names in (self.coverages, self.services):
            for name, payers in names.items():
                patient = patient_of(self.by_name[name].resource)
                found[patient] = found.get(patient, NOBODY) | payers
        return found


def _live(resource: Json) -> bool:
    return resource["resourceType"] == "Patient" or resource.get("status") in LIVE.get(resource["resourceType"], ())


def _keys(parts: Iterable[Json]) -> set[str]:
    return {key for part in parts for key in part}


def _reference(value: Any) -> str:
    text = value.get("reference") if isinstance(value, dict) else None
    here = local(text) if isinstance(text, str) else None
    return f"{here[0]}/{here[1]}" if here else ""
