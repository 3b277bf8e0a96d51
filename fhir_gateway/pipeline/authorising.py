"""Prior authorisation of a case: asked for, entered with its proof, printed. The state table (`coverage.authorisation`) says what may be done; what is
written are the resources it is read from.

What is asked for and what staff enter is the clinic's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_gateway.cases.paper import Sheet
from fhir_gateway.coverage import asking
from fhir_gateway.coverage.asking import ACT, Told
from fhir_gateway.coverage.authorisation import Standing, acts, may
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.pages.authorisation import proof_page
from fhir_gateway.pages.letter import full_name
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.authorisations import queue
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.entered import check_told, insured, keep
from fhir_gateway.pipeline.steps import legal, step
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Authorising:
    """Wired once."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    settings: Settings

    def ask(self, principal: Principal, name: str, *, expedited: bool = False) -> Json:
        """Make the Claim that asks the payer who pays first; the case's flat answer afterwards.

        Raises TransitionError where nothing is to be asked (asked already, granted, not needed, self-pay), InvalidError where there is nobody to ask.
        """

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            own, seen = insured(tx, self.casework, case, principal, self.clock())
            self._may(seen.stands, "ask")
            if case.self_pay:
                raise TransitionError("The patient pays without insurance: no plan is to be asked", "Claim.insurance")
            if seen.coverage is None:
                raise InvalidError("The case holds no Coverage whose payer could be asked", "Claim.insurance")
            id = new_id()
            made = asking.claim(
                seen.held.file.referral,
                seen.coverage,
                seen.payor,
                id=id,
                clinic=self.settings.clinic_name,
                now=self.clock(),
                day=seen.day,
                fast=expedited,
            )
            legal([made])
            stored = own.resources.create(made, id=id, fresh=True)
            queue(own, stored, self.casework.payers.of(own, [seen.plan], seen.payor))
            tx.audit.append("ask-authorisation", stored.type, stored.id, detail="expedited" if expedited else "")
            return [stored]

        return step(self.store, self.casework, self.clock, principal, name, "authorise", work)

    def claim(self, principal: Principal, id: str, *, expedited: bool = False) -> Stored:
        """As `ask`, for the case of `ServiceRequest/id`; the Claim. Only the clinic asks. Raises NotFoundError for whoever may not."""
        if not principal.sees_everything:
            raise NotFoundError("There is no such case")
        flat = self.ask(principal, f"ServiceRequest/{id}", expedited=expedited)
        with translated(), self.store.snapshot(principal) as tx:
            return writes.read(tx, "Claim", str(flat["money"]["claim"]).removeprefix("Claim/"))

    def enter(self, principal: Principal, name: str, told: Told, proof: Sheet | None = None) -> Json:
        """What the payer told a person, with its proof: words (`told.said`), or a file beside them; the case's flat answer afterwards.

        A Provenance says who entered it and, for a file, what it was taken from. Raises InvalidError for what an answer can't lack, TransitionError.
        """
        self._check(told, proof)

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            own, seen = insured(tx, self.casework, case, principal, self.clock())
            self._may(seen.stands, ACT[told.decision])
            request = own.resources.read_many([seen.stands.claim]).get(seen.stands.claim) if seen.stands.claim else None
            made = asking.answer(
                told,
                seen.held.file.referral["subject"],
                seen.payor,
                request=request.reference if request else None,
                coverage=seen.coverage,
                surgical=asking.indicator(request.resource) if request else (),
                now=self.clock(),
            )
            stored = keep(own, made, proof, seen.held.file.referral["subject"], principal, self.clock())
            tx.audit.append(f"authorisation:{told.decision}", stored.type, stored.id)
            return [stored]

        return step(self.store, self.casework, self.clock, principal, name, f"authorisation:{told.decision}", work)

    def page(self, principal: Principal, name: str) -> str:
        """The proof, printable (HTML): who was asked what and when, and who answered what and when. Raises NotFoundError."""
        now = self.clock()
        with translated(), self.store.snapshot(principal) as tx:
            case = tx.cases.get(name)
            if case is None:
                raise NotFoundError("There is no such case")
            own, seen = insured(tx, self.casework, case, principal, self.clock())
            names = [one for one in (seen.stands.claim, seen.stands.response) if one]
            found = own.resources.read_many(names)
            patient = full_name(seen.held.file.patient)
        self.store.audit_later(principal, "print-authorisation", "ServiceRequest", case.service_request_id, now)
        number = next((str(one.get("value")) for one in seen.held.file.referral.get("identifier", ()) if one.get("value")), case.service_request_id)
        words = seen.stands.words(now, self.settings.zone)
        shown = [found[one].resource for one in names if one in found]
        written = now.astimezone(self.settings.zone).date()
        return proof_page(words, shown, clinic=self.settings.clinic_name, patient=patient, referral=number, written=written, zone=self.settings.zone)

    def _may(self, stands: Standing, act: str) -> None:
        if may(act, stands.state, "clinic") is None:
            legal_acts = ", ".join(acts(stands.state, "clinic"))
            raise TransitionError(f"The authorisation is {stands.state}: {act} is not possible; possible is {legal_acts}", "Claim.status")

    def _check(self, told: Told, proof: Sheet | None) -> None:
        check_told(told.by, told.said, proof, where="ClaimResponse.processNote", most=self.settings.message_bytes)
        if told.decision in ("granted", "granted-in-part") and not told.ref.strip():
            raise InvalidError("What is granted has a number the payer will know it by", "ClaimResponse.preAuthRef")
        if told.begins and told.until and told.until < told.begins:
            raise InvalidError("It would end before it begins", "ClaimResponse.preAuthPeriod")
