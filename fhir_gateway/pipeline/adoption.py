"""Saving a checklist: who may, and what speaks against it. Called before every write of a PlanDefinition, whatever entrance it comes by."""

from __future__ import annotations

import re
from typing import Any

from fhir_gateway.cases.checklist import ChecklistError
from fhir_gateway.cases.inforce import is_checklist, url_of
from fhir_gateway.cases.objections import objections
from fhir_gateway.errors import ConflictError, InvalidError, NotTheClinicError
from fhir_gateway.pipeline.checklists import LOCK, TYPE, Checklists, held, versions
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Transaction
from fhir_gateway.validation import Issue
from profiles import plandefinitions
from profiles.canonical import canonical

Json = dict[str, Any]


def guard_plan(tx: Transaction, before: Json | None, plan: Json) -> None:
    """Let a PlanDefinition pass that is no checklist, or one that may be saved; the lists are held until the transaction ends.

    before: the version it replaces. Raises NotTheClinicError, and InvalidError with every fault as the FHIRPath of its element.
    """
    if not is_checklist(plan):
        if before is not None and is_checklist(before):
            raise InvalidError("This is a checklist, and cases name it as what they were judged by; set its status to retired", f"{TYPE}.url")
        return
    if tx.principal.organisation or not tx.principal.sees_everything:
        raise NotTheClinicError("Only the clinic may write its checklists", f"{TYPE}.url")
    staff = tx.on_behalf_of(GATEWAY)
    staff.lock(LOCK)
    faults = [*_identity(staff, before, plan), *_objections(staff, plan)]
    if faults:
        issues = [Issue("error", "invalid", str(fault), expression(fault)) for fault in faults]
        raise InvalidError(str(faults[0]), issues=issues)


def guard_plan_delete(before: Json) -> None:
    """Raises ConflictError for a checklist."""
    if is_checklist(before):
        raise ConflictError("Cases name this checklist as what they were judged by; set its status to retired instead of deleting it")


def expression(fault: ChecklistError) -> str:
    """The FHIRPath of the element at fault."""
    at = re.sub(r"extension\(([\w-]+)\)", lambda match: f"extension('{canonical('StructureDefinition', match[1])}')", fault.expression)
    return f"{TYPE}.action.where(id = '{fault.action}').{at}" if fault.action else f"{TYPE}.{at}"


def _identity(tx: Transaction, before: Json | None, plan: Json) -> list[ChecklistError]:
    """An id stands for one list for good."""
    shipped = plandefinitions.load().get(str(plan.get("id")))
    stored = tx.resources.read(TYPE, plan["id"]) if "id" in plan else None
    earlier = before if before is not None and is_checklist(before) else shipped
    if stored is not None and stored.owner:
        return [ChecklistError("", "id", "is the id of a PlanDefinition a sender owns; save the checklist under another")]
    if earlier is not None and url_of(earlier) != url_of(plan):
        return [ChecklistError("", "url", f"must stay {url_of(earlier)} under this id; save another list under an id of its own")]
    return []


def _objections(tx: Transaction, plan: Json) -> list[ChecklistError]:
    checklists, named = Checklists(plandefinitions.load()), {"id": "", **plan}
    others = [stored.resource for stored in held(tx) if stored.id != named["id"]]
    lists = checklists.lists(tx, [*others, named]).plans
    return objections(named, checklists.base(tx, named, lists), lists, others, versions(tx, checklists.shipped, url_of(named)))
