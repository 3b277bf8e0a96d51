"""Writing down what was noticed about cases, once each (an identity key per issue)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import combinations
from typing import Any

from fhir_gateway import metrics
from fhir_gateway.cases import noticed
from fhir_gateway.cases.choice import BASE
from fhir_gateway.cases.evidence import walk
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.search.references import local
from mappers.result import IdentityKey

Json = dict[str, Any]


def notice(tx: Transaction, written: Sequence[Stored], opened: Sequence[str], judged: Sequence[Judged], at: datetime, zone: tzinfo) -> dict[str, str]:
    """After cases were judged: two referrals for one question, two cases of one person after all, and orders for tests that are held. What the sender
    should know of its own orders, by reference.
    """
    for one in {one.case.service_request_id: one for one in judged}.values():
        if one.case.service_request_id in opened:
            _two_referrals(tx, one, at)
    if tx.identities.joined:
        _met_by_merge(tx, [stored.id for stored in written if stored.type == "Patient"], at)
    carried_out = {str(reference) for stored in written for reference in walk(stored.resource, "basedOn.reference")}
    hints: dict[str, str] = {}
    for order in written:
        if order.type == "ServiceRequest" and not order.deleted and order.id not in opened and order.reference not in carried_out:
            hint = _test_held(tx, order, at, zone)
            if hint is not None:
                hints[order.reference] = hint
    return hints


def _two_referrals(tx: Transaction, judged: Judged, at: datetime) -> None:
    identity, patient, group = judged.case.service_request_id, judged.case.patient_id, judged.tumour_group
    if patient is None or group == BASE:
        return
    for other in tx.cases.for_patient([patient]):
        if other.service_request_id != identity and not other.closed and other.tumour_group == group:
            first, second = sorted((identity, other.service_request_id))
            _once(tx, f"{first}\t{second}", noticed.two_referrals(patient, first, second, group, at))


def _met_by_merge(tx: Transaction, patients: Sequence[str], at: datetime) -> None:
    for person in {tx.identities.person(patient) for patient in patients}:
        cases = [case for case in tx.cases.for_patient(person) if not case.closed] if len(person) > 1 else []
        for first, second in combinations(sorted(cases, key=lambda case: case.service_request_id), 2):
            if first.patient_id is not None and first.patient_id != second.patient_id:
                pair = (first.service_request_id, second.service_request_id)
                _once(tx, "\t".join(pair), noticed.met_by_merge(first.patient_id, *pair, at))


def _test_held(tx: Transaction, order: Stored, at: datetime, zone: tzinfo) -> str | None:
    """Written down when an open case holds what this order asks for; the sentence its sender is answered with."""
    type, patient = local(str(next(iter(walk(order.resource, "subject.reference")), ""))) or ("", "")
    if type != "Patient" or tx.cases.get(order.reference) is not None:
        return None
    for case in tx.cases.for_patient([patient]):
        items = (case.evaluation or {}).get("items", ())
        held = noticed.held_for(order.resource, items, at.astimezone(zone).date())
        if held is not None and not case.closed:
            if _once(tx, f"{order.id}\t{held['id']}", noticed.already_held(patient, order.id, held, at)):
                metrics.AVOIDED_TESTS.inc()
            return noticed.held_in_words(held)
    return None


def _once(tx: Transaction, name: str, issue: Json) -> bool:
    """Write the issue unless it was written before."""
    key = IdentityKey(f"DetectedIssue:{issue['code']['coding'][0]['code']}", name)
    if tx.keys.find([key]):
        return False
    identity = new_id()
    tx.keys.claim([key], "DetectedIssue", identity, strict=True)
    tx.resources.create(issue, id=identity, fresh=True)
    return True
