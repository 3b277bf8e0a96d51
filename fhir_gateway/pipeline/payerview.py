"""Payers at the pipeline's doors: what is closed to them, what they may write, and what staff release to them (ADR 0032).

What a payer sees is the store's to say (`store.payerview`); here are the rules that need more than rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases.opinion import is_opinion
from fhir_gateway.coverage.payer import Payer, payer_of
from fhir_gateway.errors import InvalidError, NotFoundError, NotOpenError, operation_outcome
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.payerview.shares import releasable
from fhir_gateway.validation import Issue, encode
from profiles.payerview import RELEASED, WRITTEN

Json = dict[str, Any]
VIEWS: Final = "payer-views"
"""Kind of the outbox job that makes anew what payers are shown. payload: since (an id), step, after (a key in the store)."""
BATCH: Final = 200


def closed(principal: Principal, what: str) -> None:
    """Raises NotOpenError for a payer, before anything is looked at."""
    if principal.role == "payer":
        raise NotOpenError(f"{what} is not open to payers")


def refusal(principal: Principal, what: str) -> tuple[int, bytes] | None:
    """As `closed`, as an answer: HTTP status and OperationOutcome for a payer, None for anybody else."""
    try:
        closed(principal, what)
    except NotOpenError as fault:
        return fault.http, encode(operation_outcome(fault.issues))
    return None


def resolver(payers: Iterable[Payer]) -> Callable[[Sequence[Json]], str | None]:
    """The store's question which payer some payors mean, answered by these payers."""
    known = tuple(payers)

    def named(payors: Sequence[Json]) -> str | None:
        found = payer_of(known, payors)
        return found.name if found else None

    return named


def view_again(tx: Transaction) -> str:
    """Show nobody anything, and have what payers are shown made anew, batch by batch; the key of the first job."""
    tx.shares.forget()
    since = new_id()
    tx.outbox.put(VIEWS, f"{VIEWS}/{since}/0", {"since": since, "step": 0, "after": 0})
    return f"{VIEWS}/{since}/0"


def show_next(tx: Transaction, payload: Json) -> None:
    """One batch of that, and the job of the next."""
    after = tx.shares.settle_next(payload["after"], BATCH)
    if after is not None:
        step = payload["step"] + 1
        tx.outbox.put(VIEWS, f"{VIEWS}/{payload['since']}/{step}", {**payload, "step": step, "after": after})


def guard_payer(tx: Transaction, held: Json | None, resource: Json) -> None:
    """Raises NotOpenError for a write that is no payer's, InvalidError for one about what is not shown to it: whether that exists is not told."""
    kind = resource.get("resourceType")
    if held is not None:
        raise NotOpenError("A payer changes nothing")
    if kind not in WRITTEN:
        raise NotOpenError(f"A payer creates {' and '.join(WRITTEN)}, and nothing else")
    issues = list(_answers(tx, resource) if kind == "ClaimResponse" else _asks(tx, resource))
    if issues:
        raise InvalidError(issues[0].text, issues=issues)


def _asks(tx: Transaction, request: Json) -> Iterable[Issue]:
    """A request for eligibility is about a member, under a Coverage of the payer's own."""
    under = request.get("insurance") or []
    if not under:
        yield _not_found("CoverageEligibilityRequest.insurance", "Name the Coverage that is asked about")
    yield from _covered(tx, request, under)


def _answers(tx: Transaction, response: Json) -> Iterable[Issue]:
    """A decision answers a Claim that was put to this payer."""
    claim = _held(tx, response.get("request"), "Claim")
    if claim is None:
        yield _not_found("ClaimResponse.request", "Name the Claim put to you that this answers")
        return
    if response.get("use") != claim.get("use"):
        yield Issue("error", "invalid", "The use must be that of the Claim", "ClaimResponse.use")
    if _reference(response.get("patient")) != _reference(claim.get("patient")):
        yield Issue("error", "invalid", "The patient must be that of the Claim", "ClaimResponse.patient")
    yield from _covered(tx, response, response.get("insurance") or [])


def _covered(tx: Transaction, resource: Json, under: Sequence[Json]) -> Iterable[Issue]:
    kind = resource["resourceType"]
    for place, one in enumerate(under):
        coverage = _held(tx, one.get("coverage"), "Coverage")
        if coverage is None or _reference(coverage.get("beneficiary")) != _reference(resource.get("patient")):
            yield _not_found(f"{kind}.insurance[{place}].coverage", "This is no Coverage of this patient with you")


def _held(tx: Transaction, value: Any, type: str) -> Json | None:
    name = _reference(value)
    found = tx.resources.read_many([name]).get(name) if name.startswith(f"{type}/") else None
    return found.resource if found else None


def _reference(value: Any) -> str:
    return str(value.get("reference", "")) if isinstance(value, dict) else ""


def _not_found(where: str, text: str) -> Issue:
    return Issue("error", "not-found", text, where)


@dataclass(frozen=True, slots=True)
class Releases:
    """What staff release to a payer, wired once. Each is an act of its own: nothing is released because it was attached to something."""

    store: Store
    clock: Callable[[], datetime]

    def release(self, principal: Principal, name: str, document: str, payer: str) -> None:
        """Show a payer one document of a case. document: `DocumentReference/id` or `DiagnosticReport/id`. Audited as a disclosure, once.

        Raises NotFoundError for no such case or document in it, InvalidError for what may not be released to this payer.
        """

        def work(tx: Transaction) -> None:
            case, held = self._found(tx, name, document)
            if payer not in tx.shares.shown_to("ServiceRequest", case.service_request_id):
                raise InvalidError(f"The service of this case is not shown to '{payer[:64]}': it is no payer of the case, or is not to be billed")
            if not _asked(tx, case, payer):
                raise InvalidError(
                    f"'{payer[:64]}' has not been asked to authorise anything of this case: documents are shown with such a request only"
                )
            if is_opinion(held.resource):
                raise InvalidError("The opinion is never released to a payer", held.reference)
            if not releasable(held.resource):
                raise InvalidError(
                    "A document that is withdrawn, or labelled as sensitive, can't be released to a payer", f"{held.type}.meta.security"
                )
            if payer not in tx.shares.shown_to(held.type, held.id):
                tx.shares.release(held.type, held.id, payer, case.service_request_id)
                tx.audit.append("disclose", held.type, held.id, detail=f"to payer {payer}, for case {case.service_request_id}")

        self._run(principal, work)

    def take_back(self, principal: Principal, name: str, document: str, payer: str) -> None:
        """End a release. What the payer has read it has read. Raises NotFoundError, also for a document that was not released to this payer."""

        def work(tx: Transaction) -> None:
            case, held = self._found(tx, name, document)
            if not tx.shares.take_back(held.type, held.id, payer, case.service_request_id):
                raise NotFoundError(f"{held.reference} was not released to '{payer[:64]}' for this case")
            tx.audit.append("disclosure-ended", held.type, held.id, detail=f"to payer {payer}, for case {case.service_request_id}")

        self._run(principal, work)

    def _found(self, tx: Transaction, name: str, document: str) -> tuple[Case, Stored]:
        case = tx.cases.get(name) if tx.principal.sees_everything else None
        if case is None:
            raise NotFoundError("There is no such case")
        held = next((record.stored for record in tx.cases.records_of(case) if record.stored.reference == document), None)
        if held is None or held.type not in RELEASED:
            raise NotFoundError(f"The case has no document {document[:80]}; name one of its {' or '.join(RELEASED)} resources")
        return case, held

    def _run(self, principal: Principal, work: Callable[[Transaction], None]) -> None:
        with translated():
            self.store.run(principal, self.clock(), work)


def _asked(tx: Transaction, case: Case, payer: str) -> bool:
    """Was a request for authorisation put to this payer for the case? Only then has it anything to judge documents for (minimum necessary, 45 CFR 164.502(b))."""
    claims = (record.stored.id for record in tx.cases.records_of(case) if record.stored.type == "Claim")
    return any(payer in tx.shares.shown_to("Claim", id) for id in claims)
