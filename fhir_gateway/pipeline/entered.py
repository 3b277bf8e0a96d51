"""What a payer told a person is entered for the insurance of a case that pays first, with its proof. Shared by `authorising` and `hearing`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

from fhir_gateway.cases import paper
from fhir_gateway.cases.days import span
from fhir_gateway.cases.paper import Sheet
from fhir_gateway.coverage.authorisation import Standing
from fhir_gateway.coverage.section import plans_of, standing_of
from fhir_gateway.errors import InvalidError, NotFoundError, TooLargeError
from fhir_gateway.pipeline.casefile import Held, assemble
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.payers import organizations
from fhir_gateway.pipeline.restrictions import restricted
from fhir_gateway.pipeline.sniff import media_type
from fhir_gateway.pipeline.steps import legal
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id

Json = dict[str, Any]


class Insured(NamedTuple):
    """A case and its insurance. stands: the prior authorisation. coverage: "Coverage/id" that pays first, None when none is held; plan: that Coverage;
    payor: of it. day: of the appointment, None while there is none.
    """

    held: Held
    stands: Standing
    coverage: str | None
    plan: Json
    payor: Json
    day: date | None


def insured(tx: Transaction, casework: Casework, case: Case, principal: Principal, now: datetime) -> tuple[Transaction, Insured]:
    """The case as it stands now, and the transaction on the clinic's own behalf. Raises NotFoundError."""
    staff = tx.on_behalf_of(GATEWAY)
    held = assemble(staff, case)
    if held is None:
        raise NotFoundError("There is no such case")
    flat, _ = casework.answer(staff, case, now)
    moment = casework.moment(now)
    file = restricted(staff, held.file, casework.payers, moment)
    plans = plans_of(file, flat, moment, casework.policy.clinic)
    first = next(iter(sorted(plans.first)), None)
    plan = plans.held[first] if first else {}
    payor = _named(staff, next(iter(plan.get("payor") or ()), {"display": "payer not named"}))
    day = span(flat["case"].get("appointment"), moment.zone)
    own = tx.on_behalf_of(Principal("gateway", "", principal.name))
    return own, Insured(held, standing_of(file, plans, flat, moment), first, plan, payor, day.low if day else None)


def _named(tx: Transaction, payor: Json) -> Json:
    """With the name of the Organization it is, for whoever reads the answer."""
    name = next((str(one["name"]) for one in organizations(tx, [payor]) if one.get("name")), "")
    return payor if "display" in payor or not name else {**payor, "display": name}


def check_told(by: str, said: str, proof: Sheet | None, *, where: str, most: int) -> None:
    """Whoever enters an answer says who gave it, and what was said or a file that shows it. Raises InvalidError, TooLargeError."""
    if not by.strip():
        raise InvalidError("Say who at the payer said so", where)
    if not said.strip():
        raise InvalidError("An answer is entered with its proof: what was said, or a file", where)
    if proof is not None and len(proof.content) > most:
        raise TooLargeError(f"The file is over the limit of {most} bytes", "Binary.data")


def keep(own: Transaction, made: Json, proof: Sheet | None, subject: Json, principal: Principal, now: datetime) -> Stored:
    """Write an answer, who entered it (a Provenance), and the file it was taken from. Raises InvalidError."""
    legal([made])
    stored = own.resources.create(made)
    entered = paper.entered([stored.reference], now=now, who=principal.name)
    if proof is not None:
        kept = own.resources.create(paper.binary(proof, subject), id=new_id(), fresh=True)
        entered["entity"] = [{"role": "source", "what": {"reference": kept.reference, "display": proof.title or "proof"}}]
    legal([entered])
    own.resources.create(entered)
    return stored


def proof_of(content: bytes, title: str) -> Sheet:
    """A file as proof; its content says what it is."""
    return Sheet(content, media_type(content) or "application/octet-stream", title=title)
