"""What staff do to a case from the command line (and later from the worklist): the same Tasks a FHIR client may write, made in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fhir_gateway.cases import actions, chase, machine
from fhir_gateway.cases.requirement import Checklist
from fhir_gateway.errors import InvalidError, NotFoundError
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.chasing import make_requests
from fhir_gateway.pipeline.steps import Work, follow, step, transition
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Actions:
    """Every method raises NotFoundError for no such case, and answers the case's flat answer afterwards unless it says otherwise."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]
    verdicts: frozenset[str]

    def move(self, principal: Principal, name: str, event: str, why: str = "") -> Json:
        """Move a case. Raises TransitionError naming the legal events, InvalidError for an opinion, which is more than a move."""

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            to = transition(task.resource, event, principal).to
            if event in machine.OPINIONS:
                raise InvalidError(
                    "An opinion is issued with what it says: `fhir-gateway case opinion`, or ServiceRequest/[id]/$opinion", "Task.output"
                )
            return [tx.resources.update(actions.moved_because(task.resource, to, self.clock(), why)), *follow(tx, case, to)]

        return self._done(principal, name, f"move:{event}", work)

    def confirm(self, principal: Principal, name: str) -> Json:
        """Settle that an unconfirmed case asks for a second opinion."""

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            return [tx.resources.update(actions.confirmed(task.resource, self.clock()))]

        return self._done(principal, name, "confirm", work)

    def request(self, principal: Principal, name: str, items: Sequence[str], due: date | None = None) -> Json:
        """Ask the referrer for records: those named, or every required one that is lacking; and what decides whether one is required. An item already
        asked for is not asked again.
        """

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            flat, checklist = self._judged(tx, case)
            held = [stored.resource for stored in tx.cases.tasks_of(case)]
            by_id = {item["id"]: item for item in flat["items"]}
            wanted = [by_id[self._item(checklist, item).id] for item in items] or chase.lacking(flat)
            return make_requests(tx, task, wanted, checklist, held, self.clock(), self.casework.settings, due)

        return self._done(principal, name, "request", work)

    def waive(self, principal: Principal, name: str, item: str, why: str, until: date | None = None) -> Json:
        """Do without one record. Raises InvalidError for an item that may not be waived, or without a reason."""

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            requirement = self._item(self._judged(tx, case)[1], item)
            if not requirement.waivable:
                raise InvalidError(f"{item} is required without exception by this checklist and can't be waived", "Task.input")
            if not why.strip():
                raise InvalidError("A waiver needs a reason", "Task.statusReason")
            return [tx.resources.create(actions.waiver(task.resource, item, now=self.clock(), who=principal.name, why=why, until=until))]

        return self._done(principal, name, f"waive:{item}", work)

    def judge(self, principal: Principal, name: str, record: str, verdict: str, item: str = "", why: str = "") -> Json:
        """Say of a record that it is confirmed, or why it will not do. Raises InvalidError for a verdict nobody knows or a record not of this case."""

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            if verdict not in self.verdicts:
                raise InvalidError(f"'{verdict}' is no verdict; use one of {', '.join(sorted(self.verdicts))}", "Task.businessStatus")
            if record not in {row.stored.reference for row in tx.cases.records_of(case)}:
                raise NotFoundError(f"{record} is no record of this case")
            if item:
                self._item(self._judged(tx, case)[1], item)
            said = actions.judgement(task.resource, record, verdict, now=self.clock(), who=principal.name, item=item, why=why)
            return [tx.resources.create(said)]

        return self._done(principal, name, f"judge:{verdict}", work)

    def _done(self, principal: Principal, name: str, action: str, work: Work) -> Json:
        return step(self.store, self.casework, self.clock, principal, name, action, work)

    def _judged(self, tx: Transaction, case: Case) -> tuple[Json, Checklist]:
        return self.casework.answer(tx.on_behalf_of(GATEWAY), case, self.clock())

    @staticmethod
    def _item(checklist: Checklist, item: str) -> Any:
        found = next((requirement for requirement in checklist.items if requirement.id == item), None)
        if found is None:
            raise NotFoundError(f"{item} is no item of {checklist.title}")
        return found
