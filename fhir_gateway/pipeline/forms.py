"""What the clinic asks for, as a Questionnaire made from one of its checklists (`cases.questionnaire`). Made when it is asked for, stored nowhere."""

from __future__ import annotations

from typing import Any

from fhir_gateway.cases.inforce import is_checklist
from fhir_gateway.cases.questionnaire import questionnaire
from fhir_gateway.errors import GoneError, NotFoundError
from fhir_gateway.pipeline.checklists import TYPE, Checklists, Lists, compiled
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Transaction
from profiles.codesystems import answer_types

Json = dict[str, Any]


def form_of(tx: Transaction, checklists: Checklists, id: str) -> Json:
    """The Questionnaire of `PlanDefinition/id`, in force or not, under the base list in force.

    Read on the gateway's behalf: what the clinic asks for is for every sender to know. Raises NotFoundError, also for a PlanDefinition that is no
    checklist of the clinic's, and GoneError.
    """
    lists = checklists.current(tx)
    stored = tx.on_behalf_of(GATEWAY).resources.read(TYPE, id)
    if stored is None:
        if id in lists.plans:  # shipped, and not yet in the store
            return _rendered(checklists, lists, lists.plans[id], tx)
    elif stored.deleted:
        raise GoneError(f"{TYPE}/{id} was deleted")
    elif not stored.owner and is_checklist(stored.resource):
        return _rendered(checklists, lists, stored.resource, tx)
    raise NotFoundError(f"There is no checklist {TYPE}/{id[:64]}")


def _rendered(checklists: Checklists, lists: Lists, plan: Json, tx: Transaction) -> Json:
    return questionnaire(compiled(plan, checklists.base(tx, plan, lists.plans)), plan, answer_types())
