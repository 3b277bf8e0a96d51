"""What a payer told a person about an insurance, on the telephone or at its portal, entered as its answer: for payers that answer no machine, or not now."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.paper import Sheet
from fhir_gateway.coverage import heard
from fhir_gateway.coverage.heard import Heard
from fhir_gateway.errors import InvalidError, TransitionError
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.enquiry import TYPE
from fhir_gateway.pipeline.entered import Insured, check_told, insured, keep
from fhir_gateway.pipeline.steps import step
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.search import parse_query

Json = dict[str, Any]
MOST: Final = 1_000_000_000
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
BY_PERSON: Final[Json] = {"display": "asked by telephone or at the payer's portal"}
"""The question, where no machine has asked it. R4 wants a Reference here; one may be words alone."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """Wired once."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    settings: Settings

    def enter(self, principal: Principal, name: str, told: Heard, proof: Sheet | None = None) -> Json:
        """Keep the answer, with its proof; the case's flat answer afterwards. It counts like one that came by machine: the newest that settles something.

        Raises InvalidError for what an answer can't lack or no case can be answered about, TransitionError for a patient who pays without insurance,
        NotFoundError for no such case.
        """
        check_told(told.by, told.said, proof, where="CoverageEligibilityResponse.disposition", most=self.settings.message_bytes)
        self._check(told)

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            now = self.clock()
            own, seen = insured(tx, self.casework, case, principal, now)
            if case.self_pay:
                raise TransitionError("The patient pays without insurance: no plan is to be asked", "CoverageEligibilityResponse.insurance")
            if seen.coverage is None:
                raise InvalidError("The case holds no Coverage that could be answered about", "CoverageEligibilityResponse.insurance")
            subject = seen.held.file.referral["subject"]
            moment = self.casework.moment(now)
            about = (seen.coverage, seen.plan)
            made = heard.answer(told, about, subject, seen.payor, request=_question(own, seen), day=seen.day, at=moment)
            stored = keep(own, made, proof, subject, principal, now)
            tx.audit.append("eligibility-entered", stored.type, stored.id)
            return [stored]

        return step(self.store, self.casework, self.clock, principal, name, "eligibility-entered", work)

    def _check(self, told: Heard) -> None:
        if told.in_force is None and not told.about_service:
            raise InvalidError("Say at least one thing the payer said", "CoverageEligibilityResponse.insurance")
        if told.in_force is False and told.about_service:
            raise InvalidError("What is not in force covers nothing: say only that", "CoverageEligibilityResponse.insurance.item")
        amounts = [one for amount in told.amounts.values() for one in amount if one is not None]
        if any(not one.is_finite() or not 0 <= one <= MOST for one in amounts):
            raise InvalidError(f"An amount is zero or more, up to {MOST:,}", "CoverageEligibilityResponse.insurance.item.benefit")
        if not _CURRENCY.fullmatch(told.currency):
            raise InvalidError("A currency is three capital letters (ISO 4217)", "CoverageEligibilityResponse.insurance.item.benefit")
        share = told.amounts.get("coinsurance")
        if share is not None and share.value is not None and share.value > 100:
            raise InvalidError("A share is a hundred percent at most", "CoverageEligibilityResponse.insurance.item.benefit")


def _question(tx: Transaction, seen: Insured) -> Json:
    """The newest question about this insurance, else words."""
    subject = str(seen.held.file.referral["subject"].get("reference", ""))
    query = parse_query(TYPE, [("patient", subject), ("status", "active"), ("_sort", "-_lastUpdated"), ("_count", "50")])
    found = tx.search(TYPE, query).entries if subject.startswith("Patient/") else ()
    asked = (one for one in found if seen.coverage in walk(one.resource, "insurance.coverage.reference"))
    return next(({"reference": one.reference} for one in asked), BY_PERSON)
