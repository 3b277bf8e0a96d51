"""Writing down what happened to a physical thing: asked for, shipped, received, returned, lost. One Task per consignment, its history in its versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from fhir_gateway.cases import custody, machine
from fhir_gateway.cases.custody import Details
from fhir_gateway.cases.model import Consignment, CustodyState
from fhir_gateway.cases.requirement import Requirement
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.steps import legal, step
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Store, Stored, Transaction
from fhir_gateway.store.cases import Case

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Custody:
    """Wired once."""

    store: Store
    casework: Casework
    clock: Callable[[], datetime]

    def record(self, principal: Principal, name: str, item: str, state: str, said: Details = Details()) -> Json:  # noqa: B008 - frozen
        """Something happened to a consignment of an item; the case's flat answer afterwards.

        The consignment meant is the one with the tracking number, else the only one it can have happened to; else it is a new one. Raises
        InvalidError (not a thing, a word nobody knows, several consignments meant), TransitionError naming what may happen, NotFoundError.
        """
        happened = _checked(state, said)

        def work(tx: Transaction, case: Case, task: Stored) -> list[Stored]:
            now = self.clock()
            _, checklist = self.casework.answer(tx.on_behalf_of(GATEWAY), case, now)
            requirement = next((one for one in checklist.items if one.id == item), None)
            if requirement is None:
                raise NotFoundError(f"{item[:64]} is no item of {checklist.title}")
            if not custody.physical(requirement):
                raise InvalidError(f"{item} is no physical thing: there is nothing to ship or return", "Task.input")
            tasks = {stored.id: stored for stored in tx.cases.tasks_of(case)}
            found = custody.consignments([stored.resource for stored in tasks.values()], self.casework.moment(now)).get(item, ())
            meant = _meant(found, happened, said.tracking)
            held = tasks[meant.task].resource if meant else custody.begun(task.resource, item, now)
            changed = self._moved(held, task.resource, requirement, happened, said, principal)
            legal([changed])
            return [tx.resources.update(changed) if meant else tx.resources.create(changed)]

        return step(self.store, self.casework, self.clock, principal, name, f"custody:{happened}", work)

    def _moved(self, held: Json, case_task: Json, item: Requirement, state: CustodyState, said: Details, principal: Principal) -> Json:
        reviewed = machine.state_of(case_task) in machine.REVIEWED
        return custody.moved(held, state, said, now=self.clock(), who=principal.name, reviewed=reviewed, back=custody.must_return(item))


def _checked(state: str, said: Details) -> CustodyState:
    """The state, when it and what is said with it are words that go together."""
    if state not in custody.TASK_STATUS:
        raise InvalidError(f"'{state[:40]}' is nothing that happens to a thing; use one of {', '.join(custody.TASK_STATUS)}", "Task.businessStatus")
    if state == "received" and said.condition not in custody.CONDITIONS:
        words = f"'{said.condition[:40]}' is no condition" if said.condition else "Say in which condition it came"
        raise InvalidError(f"{words}; use one of {', '.join(custody.CONDITIONS)}", "Task.output")
    if state != "received" and said.condition:
        raise InvalidError("A condition is said of what was received", "Task.output")
    if state not in ("requested", "shipped") and said.expected:
        raise InvalidError("An expected day is said of what is on its way", "Task.input")
    if said.containers is not None and said.containers < 1:
        raise InvalidError("The number of containers is at least 1", "Task.input")
    return cast(CustodyState, state)


def _meant(held: Sequence[Consignment], state: CustodyState, tracking: str) -> Consignment | None:
    """The consignment that is meant, None for a new one."""
    if tracking:
        named = [one for one in held if one.tracking == tracking]
        if named and state in custody.NEXT[named[-1].state]:
            return named[-1]
        if named:
            raise _impossible(state, named[-1:])
        held = [one for one in held if not one.tracking]
    able = [one for one in held if state in custody.NEXT[one.state]]
    if len(able) > 1:
        raise InvalidError("There are several consignments this may have happened to; name one by its tracking number", "Task.input")
    if not able and state not in custody.NEXT[""]:
        raise _impossible(state, held)
    return able[0] if able else None


def _impossible(state: str, held: Sequence[Consignment]) -> TransitionError:
    return TransitionError(custody.impossible(state, [one.state for one in held]), "Task.businessStatus")
