"""Issuing an opinion: its elements, its note and its patient summary recorded, the case moved, in one transaction.

What may be returned to the referrer is the permission gate's to say, at the moment of issue: the documents then belong to the referrer as well as
to the clinic; otherwise they are the clinic's alone, and so are the elements. The coordination Task says which (`return-to-referrer`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from fhir_gateway.cases import actions, outcome
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.opinion import Fault, Opinion, OpinionError, read
from fhir_gateway.cases.opinionform import expression, flat_form
from fhir_gateway.errors import InvalidError
from fhir_gateway.pages.letter import full_name
from fhir_gateway.pages.opinion import note_page, summary_page
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.steps import follow, legal, step, transition
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import Issue

Json = dict[str, Any]
PAGES: Final = {"note": note_page, "patient-summary": summary_page}


@dataclass(frozen=True, slots=True)
class Opinions:
    """Wired once. clinic: its name. zone: its time zone."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    clinic: str
    zone: tzinfo

    def issue(self, principal: Principal, name: str, given: Any, *, interim: bool = False, places: Mapping[str, str] | None = None) -> Json:
        """Issue an opinion in the flat form (see `cases.opinion`); the case's flat answer afterwards.

        interim: it does not close the case. places: FHIRPath by place in the flat form, where it was given as Parameters. Raises InvalidError with
        every located fault, TransitionError naming the legal moves, NotFoundError for no such case.
        """
        try:
            opinion = read(given, interim=interim, now=self.clock())
        except OpinionError as fault:
            raise _invalid(fault, places) from None

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            to = transition(task.resource, _event(interim), principal).to
            if unknown := _nobody(tx, opinion.author):
                raise _invalid(unknown, places)
            written, made = self._recorded(tx, case, task, opinion, principal)
            moved = actions.moved_because(task.resource, to, self.clock(), "") | {"output": made}
            legal([moved])
            return [*written, tx.resources.update(moved), *follow(tx, case, to)]

        return step(self.store, self.casework, self.clock, principal, name, _event(interim), work)

    def issue_parameters(self, principal: Principal, name: str, parameters: Json) -> Json:
        """The same from a legal Parameters resource."""
        try:
            given, interim, places = flat_form(parameters)
        except OpinionError as fault:
            raise _invalid(fault, {}) from None
        return self.issue(principal, name, given, interim=interim, places=places)

    def _recorded(self, tx: Transaction, case: Case, task: Stored, opinion: Opinion, principal: Principal) -> tuple[list[Stored], list[Json]]:
        """The documents written, and what the coordination Task is to hold."""
        name = f"ServiceRequest/{case.service_request_id}"
        flat, referral, patient = self.casework.addressed(tx.on_behalf_of(GATEWAY), name, self.clock())
        permitted = flat["gates"]["permission"]["state"] == "satisfied"
        keeper = tx if permitted else tx.on_behalf_of(Principal("gateway", "", principal.name))
        number = str(next(iter(walk(referral, "identifier.value")), case.service_request_id))
        written: list[Stored] = []
        pointers: list[Json] = []
        for kind, page in PAGES.items():
            html = page(opinion, clinic=self.clinic, patient=full_name(patient), referral=number, zone=self.zone)
            old = self._superseded(tx, outcome.document_of(task.resource, kind), principal)
            made = outcome.document(
                kind, opinion, html, id=new_id(), referral=referral, clinic=self.clinic, now=self.clock(), replaces=old.id if old else ""
            )
            legal([made])
            written += [keeper.resources.create(made, id=made["id"], fresh=True), *([old] if old else [])]
            pointers.append(outcome.output(kind, valueReference={"reference": f"DocumentReference/{made['id']}"}))
        elements = outcome.outputs(opinion)
        if not permitted:
            apart = outcome.held_apart(task.resource, elements, self.clock())
            legal([apart])
            written.append(keeper.resources.create(apart))
            elements = [outcome.output("outcome", valueReference={"reference": f"Task/{written[-1].id}"})]
        return written, [*elements, *pointers, outcome.output("return-to-referrer", valueBoolean=permitted)]

    def _superseded(self, tx: Transaction, id: str, principal: Principal) -> Stored | None:
        """The earlier document marked as replaced, on its own owner's behalf: whoever may not see it does not come to see it by this."""
        old = tx.resources.read("DocumentReference", id) if id else None
        if old is None or old.deleted:
            return None
        return tx.on_behalf_of(Principal("gateway", old.owner, principal.name)).resources.update(outcome.superseded(old.resource))


def _nobody(tx: Transaction, author: Json) -> OpinionError | None:
    """The fault of an author who is referred to and not held here."""
    reference = author.get("reference")
    if reference is None or tx.resources.read_many([str(reference)]):
        return None
    return OpinionError([Fault("author.reference", "not-found", "names nobody held here")])


def _event(interim: bool) -> str:
    return "interim-opinion" if interim else "issue-opinion"


def _invalid(fault: OpinionError, places: Mapping[str, str] | None) -> InvalidError:
    """Located as it was given: by its place in the flat form, or by FHIRPath with the place in the words."""
    if places is None:
        issues = [Issue("error", one.code, one.text, one.where) for one in fault.faults]
    else:
        issues = [Issue("error", one.code, f"{one.where} {one.text}", expression(one.where, dict(places))) for one in fault.faults]
    return InvalidError(issues[0].text, issues=issues)
