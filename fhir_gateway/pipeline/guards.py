"""What no write may do, whatever entrance it comes by: pass by the case's state machine, or cut a case from its referral."""

from __future__ import annotations

from typing import Any

from fhir_gateway.cases import custody, machine
from fhir_gateway.errors import ConflictError, TransitionError
from fhir_gateway.pipeline.adoption import guard_plan, guard_plan_delete
from fhir_gateway.pipeline.codetables import guard_map
from fhir_gateway.pipeline.payerview import closed, guard_payer
from fhir_gateway.pipeline.subscriptions import guard_subscription
from fhir_gateway.store import Transaction

Json = dict[str, Any]


def guard_write(tx: Transaction, held: Json | None, resource: Json) -> None:
    """Raises TransitionError when a write on a case's Task or referral, or of a consignment, is no legal move, with the legal ones named; for
    checklists see `guard_plan`, for ConceptMaps `guard_map`, for Subscriptions `guard_subscription`, for what payers
    write `guard_payer`.
    """
    if tx.principal.role == "payer":
        guard_payer(tx, held, resource)
    kind = resource.get("resourceType")
    if kind == "PlanDefinition":
        guard_plan(tx, held, resource)
    if kind == "ConceptMap":
        guard_map(tx, resource)
    if kind == "Subscription":
        guard_subscription(resource)
    if kind == "Task" and (refusal := custody.refusal(held, resource)):
        raise TransitionError(refusal, "Task.businessStatus")
    if kind not in ("Task", "ServiceRequest") or held is None:
        return
    case = tx.cases.get(f"{kind}/{held['id']}")
    if case is None:
        return
    try:
        if kind == "Task":
            machine.check_task_write(held, resource)
        else:
            machine.check_request_write(case.state, str(held.get("status")), str(resource.get("status")))
    except machine.IllegalTransition as refusal:
        raise TransitionError(str(refusal), f"{kind}.status") from None


def guard_delete(tx: Transaction, held: Json) -> None:
    """Raises ConflictError for the referral or the Task of a case, which ends by a transition and never by disappearing, and for a checklist.

    Raises NotOpenError for a payer.
    """
    closed(tx.principal, "Deleting")
    kind, identity = held["resourceType"], held["id"]
    if kind == "PlanDefinition":
        guard_plan_delete(held)
    if kind not in ("ServiceRequest", "Task"):
        return
    case = tx.cases.get(f"{kind}/{identity}")
    if case is not None and identity in (case.service_request_id, case.task_id):
        raise ConflictError(f"{kind}/{identity} belongs to a case, which ends by a transition, not by deletion")
