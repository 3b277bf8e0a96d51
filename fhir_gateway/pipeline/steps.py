"""One step in a case: the case locked, something done to it, the case judged again, its answer given; all of it in one transaction.

Whoever changes a case on a person's word (`actions`, `opinion`, `custody`) says what is to be written; the rest is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases import actions, machine
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case
from fhir_gateway.validation import validate

Json = dict[str, Any]
Work = Callable[[Transaction, Case, Stored], list[Stored]]
"""Given the transaction on behalf of the case's owner, the case and its coordination Task: writes, and answers what was written."""

ACTORS: Final = {"administrator": "clinic", "clinic": "clinic", "gateway": "rule", "referrer": "referrer"}


def step(store: Store, casework: Casework, clock: Callable[[], datetime], principal: Principal, name: str, action: str, work: Work) -> Json:
    """Do `work` to a case and answer its flat answer afterwards. action: what the audit calls it. Raises NotFoundError for no such case."""

    def whole(tx: Transaction) -> Json:
        case = tx.cases.get(name, lock=True)
        task = tx.resources.read("Task", case.task_id) if case and case.task_id else None
        if case is None or task is None:
            raise NotFoundError("There is no such case")
        written = work(tx.on_behalf_of(Principal("gateway", case.owner, principal.name)), case, task)
        tx.audit.append(action, "Task", task.id)
        casework.after(tx, written, clock())
        return casework.flat(tx, f"ServiceRequest/{case.service_request_id}", None, clock())

    with translated():
        return store.run(principal, clock(), whole)


def transition(task: Json, event: str, principal: Principal) -> machine.T:
    """The transition an event makes from where the case is. Raises TransitionError naming the legal ones."""
    try:
        return machine.move(machine.state_of(task), event, ACTORS.get(principal.role, ""))
    except machine.IllegalTransition as refusal:
        raise TransitionError(str(refusal), "Task.businessStatus") from None


def follow(tx: Transaction, case: Case, state: str) -> list[Stored]:
    """The referral's own status brought in step with a case state; empty when it is already."""
    referral = tx.resources.read("ServiceRequest", case.service_request_id)
    if referral is None or referral.deleted:
        return []
    status = actions.request_status(state, str(referral.resource.get("status")))
    if status == referral.resource.get("status"):
        return []
    return [tx.resources.update({**referral.resource, "status": status}, clock=referral.clock)]


def legal(resources: Sequence[Json]) -> None:
    """Raises InvalidError for what was made of a person's words and is no legal FHIR."""
    faults = [issue for resource in resources for issue in validate(resource) if issue.severity in ("fatal", "error")]
    if faults:
        raise InvalidError(faults[0].text, issues=faults)
