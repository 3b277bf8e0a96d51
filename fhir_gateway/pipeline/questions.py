"""REF^I15: which case is asked about, for whoever answers (RRI^I15). The question changes nothing."""

from __future__ import annotations

from typing import Final

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.links import record_links
from mappers.result import Finding, Location, Mapped, Refused

WHERE: Final = Location("RF1", 1, 6)


def asked_about(tx: Transaction, mapped: Mapped) -> Case | None:
    """The case a status request is about, None when the message asks nothing.

    Only cases of the sender's own referrals are known to it.
    Raises Refused: AE 101 for a question without a number, 204 for a number no such case has, 205 for one that several have.
    """
    if all(step.kind != "status" for step in mapped.events):
        return None
    if not mapped.asked:
        raise Refused([finding for finding in mapped.findings if finding.severity == "error"], "AE")
    asking = tx.on_behalf_of(Principal("referrer", mapped.header.sender))
    links = record_links([dict(identifier) for identifier in mapped.asked])
    for strong in (True, False):
        found = asking.cases.by_keys(link.key for link in links if link.strong is strong)
        if len(found) > 1:
            raise Refused([Finding("error", "205", "several referrals have this number", WHERE)], "AE")
        if found:
            return found[0]
    raise Refused([Finding("error", "204", "no referral of yours has this number", WHERE)], "AE")
