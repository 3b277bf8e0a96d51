"""Which plans of a case its patient forbids to be told (`profiles.restriction`), and whether any is left that may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from fhir_gateway.cases.insured import is_self_pay
from fhir_gateway.cases.model import CaseFile, Json, Moment, NotBilled
from profiles.restriction import Asked, forbidden, restricts, turns

Means = Callable[[Json, Json, Json], bool]
"""Does an actor (a Reference) of a Consent mean a payor of a Coverage? Asked with the Coverage, the actor and the Consent."""
NOTHING: Final = NotBilled()


def not_billed(file: CaseFile, means: Means, at: Moment) -> NotBilled:
    """What the Consents of a case forbid of the case's service. A denial that names no payer leaves none; one of each plan that is held neither."""
    consents = [r.resource for r in file.records if r.resource.get("resourceType") == "Consent" and restricts(r.resource)]
    if not consents:
        return NOTHING
    service = f"ServiceRequest/{file.referral.get('id')}"
    plans = {
        r.reference: r.resource
        for r in file.records
        if r.resource.get("resourceType") == "Coverage" and r.resource.get("status") == "active" and not is_self_pay(r.resource)
    }
    every = Asked((service,), lambda _actor, _consent: False, at.today, at.zone)
    cut = {name for name, plan in plans.items() if forbidden(consents, every._replace(about=(name, service), payer=partial(means, plan)))}
    alone = forbidden(consents, every) or (bool(plans) and len(cut) == len(plans))
    return NotBilled(alone, frozenset(cut), tuple(sorted(turns(consents, at.today, at.zone))))


def with_restrictions(file: CaseFile, means: Means, at: Moment) -> CaseFile:
    """The case with what its patient forbids."""
    found = not_billed(file, means, at)
    return file if found == file.not_billed else replace(file, not_billed=found)
