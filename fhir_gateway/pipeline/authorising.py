"""Prior authorisation of a case: asked for, entered with its proof, printed. The state table (`coverage.authorisation`) says what may be done; what is
written are the resources it is read from.

What is asked for and what staff enter is the clinic's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from fhir_gateway.cases import paper
from fhir_gateway.cases.days import span
from fhir_gateway.cases.paper import Sheet
from fhir_gateway.coverage import asking
from fhir_gateway.coverage.asking import ACT, Told
from fhir_gateway.coverage.authorisation import Standing, acts, may
from fhir_gateway.coverage.section import plans_of, standing_of
from fhir_gateway.errors import InvalidError, NotFoundError, TooLargeError, TransitionError
from fhir_gateway.pages.authorisation import proof_page
from fhir_gateway.pages.letter import full_name
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.authorisations import queue
from fhir_gateway.pipeline.casefile import Held, assemble
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.restrictions import restricted
from fhir_gateway.pipeline.sniff import media_type
from fhir_gateway.pipeline.steps import legal, step
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id

Json = dict[str, Any]


class _Asked(NamedTuple):
    """A case as an authorisation sees it. coverage: "Coverage/id" that pays first, None when none is held; plan: that Coverage; payor: of it."""

    held: Held
    stands: Standing
    coverage: str | None
    plan: Json
    payor: Json
    day: date | None


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
            own, seen = self._seen(tx, case, principal)
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
            own, seen = self._seen(tx, case, principal)
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
            legal([made])
            stored = own.resources.create(made)
            entered = paper.entered([stored.reference], now=self.clock(), who=principal.name)
            if proof is not None:
                kept = own.resources.create(paper.binary(proof, seen.held.file.referral["subject"]), id=new_id(), fresh=True)
                entered["entity"] = [{"role": "source", "what": {"reference": kept.reference, "display": proof.title or "proof"}}]
            legal([entered])
            own.resources.create(entered)
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
            own, seen = self._seen(tx, case, principal)
            names = [one for one in (seen.stands.claim, seen.stands.response) if one]
            found = own.resources.read_many(names)
            patient = full_name(seen.held.file.patient)
        self.store.audit_later(principal, "print-authorisation", "ServiceRequest", case.service_request_id, now)
        number = next((str(one.get("value")) for one in seen.held.file.referral.get("identifier", ()) if one.get("value")), case.service_request_id)
        words = seen.stands.words(now, self.settings.zone)
        shown = [found[one].resource for one in names if one in found]
        written = now.astimezone(self.settings.zone).date()
        return proof_page(words, shown, clinic=self.settings.clinic_name, patient=patient, referral=number, written=written, zone=self.settings.zone)

    def _seen(self, tx: Transaction, case: Case, principal: Principal) -> tuple[Transaction, _Asked]:
        """The case as it stands now, and the transaction on the clinic's own behalf."""
        staff = tx.on_behalf_of(GATEWAY)
        held = assemble(staff, case)
        if held is None:
            raise NotFoundError("There is no such case")
        now = self.clock()
        flat, _ = self.casework.answer(staff, case, now)
        moment = self.casework.moment(now)
        file = restricted(staff, held.file, self.casework.payers, moment)
        plans = plans_of(file, flat, moment, self.casework.policy.clinic)
        first = next(iter(sorted(plans.first)), None)
        plan = plans.held[first] if first else {}
        payor = next(iter(plan.get("payor") or ()), {"display": "payer not named"})
        day = span(flat["case"].get("appointment"), self.settings.zone)
        own = tx.on_behalf_of(Principal("gateway", "", principal.name))
        return own, _Asked(held, standing_of(held.file, plans, flat, moment), first, plan, payor, day.low if day else None)

    def _may(self, stands: Standing, act: str) -> None:
        if may(act, stands.state, "clinic") is None:
            legal_acts = ", ".join(acts(stands.state, "clinic"))
            raise TransitionError(f"The authorisation is {stands.state}: {act} is not possible; possible is {legal_acts}", "Claim.status")

    def _check(self, told: Told, proof: Sheet | None) -> None:
        if not told.by.strip():
            raise InvalidError("Say who at the payer said so", "ClaimResponse.processNote")
        if not told.said.strip():
            raise InvalidError("An answer is entered with its proof: what was said, or a file", "ClaimResponse.processNote")
        if told.decision in ("granted", "granted-in-part") and not told.ref.strip():
            raise InvalidError("What is granted has a number the payer will know it by", "ClaimResponse.preAuthRef")
        if told.begins and told.until and told.until < told.begins:
            raise InvalidError("It would end before it begins", "ClaimResponse.preAuthPeriod")
        if proof is not None and len(proof.content) > self.settings.message_bytes:
            raise TooLargeError(f"The file is over the limit of {self.settings.message_bytes} bytes", "Binary.data")


def proof_of(content: bytes, title: str) -> Sheet:
    """A file as proof; its content says what it is."""
    return Sheet(content, media_type(content) or "application/octet-stream", title=title)
