"""Who a Consent means when it forbids to tell a payer, and what therefore does not leave the house."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.insured import is_self_pay
from fhir_gateway.cases.model import CaseFile, Moment
from fhir_gateway.cases.notbilled import with_restrictions
from fhir_gateway.cases.permission import identity
from fhir_gateway.pipeline.payers import Payers, organizations
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import parse_query
from profiles.restriction import Asked, forbidden

Json = dict[str, Any]


def restricted(tx: Transaction, file: CaseFile, payers: Payers, at: Moment) -> CaseFile:
    """A case with the plans its patient forbids to be told. tx: of one who sees everything."""
    return with_restrictions(file, partial(_means, tx, payers), at)


def may_tell(tx: Transaction, coverage: Stored, payers: Payers, at: Moment, *, about: Iterable[str] = ()) -> bool:
    """May the payer of a Coverage be told? Not while the patient pays without it, or forbids it. about: "Type/id" of the service and of what would be told."""
    if is_self_pay(coverage.resource):
        return False
    staff = tx.on_behalf_of(GATEWAY)
    consents = _consents(staff, str(next(iter(walk(coverage.resource, "beneficiary.reference")), "")))
    means = partial(_means, staff, payers, coverage.resource)
    return not consents or not forbidden(consents, Asked((coverage.reference, *about), means, at.today, at.zone))


def _consents(tx: Transaction, patient: str) -> list[Json]:
    """The active Consents of a person, under whichever Patient."""
    if not patient.startswith("Patient/"):
        return []
    people = ",".join(f"Patient/{id}" for id in sorted(tx.identities.person(patient.removeprefix("Patient/"))))
    query = parse_query("Consent", [("patient", people), ("status", "active"), ("_count", "1000")])
    return [stored.resource for stored in tx.search("Consent", query).entries]


def _means(tx: Transaction, payers: Payers, coverage: Json, actor: Json, consent: Json) -> bool:
    """The same name, number or Organization as a payor of the Coverage; or the payer that is configured for both."""
    inside = [one for one in walk(consent, "contained") if isinstance(one, dict) and actor.get("reference") == f"#{one.get('id')}"]
    payors = [one for one in walk(coverage, "payor") if isinstance(one, dict)]
    if _names(tx, actor, inside) & set().union(*(_names(tx, one, walk(coverage, "contained")) for one in payors)):
        return True
    meant = payers.of(tx, [{"payor": [actor, *inside]}])
    return meant is not None and meant == payers.of(tx, [coverage])


def _names(tx: Transaction, party: Json, inside: Iterable[Json]) -> set[str]:
    """By what a party is known: its reference, and the numbers and names of the Organization it is."""
    text = str(party.get("reference", ""))
    held = [*organizations(tx, [party]), *(one for one in inside if text == f"#{one.get('id')}")]
    told = identity({name: value for name, value in party.items() if not str(value).startswith("#")})
    return told | {str(value).casefold() for one in held for path in ("identifier.value", "name") for value in walk(one, path)}
