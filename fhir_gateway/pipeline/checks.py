"""Checks of a case's insurance: queued by themselves once for each insurance and month, or made at once by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from fhir_gateway.cases.days import month_end, span
from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.payer import Payer
from fhir_gateway.errors import ConflictError
from fhir_gateway.pipeline.casefile import CLOSED
from fhir_gateway.pipeline.payers import Payers
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.cases import Case

Json = dict[str, Any]
KIND: Final = "check"
PURPOSES: Final = ("validation", "benefits", "auth-requirements")


def queue_checks(tx: Transaction, judged: Sequence[Judged], payers: Payers, settings: Settings) -> None:
    """Queue the checks these judgements have made due, of payers that are configured; each insurance of a case once a month."""
    if settings.eligibility != "automatic":
        return
    for one in judged:
        check = one.after["money"]["check"]
        before = (one.before or {}).get("money") or {}
        if check is None or check == before.get("check") or one.after["case"]["state"] in CLOSED:
            continue
        first = one.after["money"]["coverage"]
        held = [record.resource for record in one.file.records if record.reference == first]
        if payers.of(tx, held) is not None:
            case = one.case.service_request_id
            tx.outbox.put(KIND, f"{KIND}/{case}/{check}", {"case": case})


def ask(tx: Transaction, case: Case, flat: Json, payers: Payers, at: Moment, clinic: str) -> Stored:
    """The question about the Coverage of a case that pays first, stored as the clinic's own. Raises ConflictError when there is none to ask about."""
    name = str((flat.get("money") or {}).get("coverage") or "")
    coverage = tx.resources.read("Coverage", name.partition("/")[2]) if name else None
    if coverage is None or coverage.deleted or not case.patient_id:
        raise ConflictError("No insurance is held for this case; there is nobody to ask")
    payer = payers.of(tx, [coverage.resource])
    own = tx.on_behalf_of(Principal("gateway", "", tx.principal.name))
    return own.resources.create(_request(case.patient_id, coverage, payer, at, clinic, service_day(flat, at)))


def service_day(flat: Json, at: Moment) -> date:
    """The day to ask about: the appointment while it is in this month, else today, since payers need not answer for later months."""
    booked = span(flat["case"].get("appointment"), at.zone)
    return booked.low if booked and at.today <= booked.low <= month_end(at.today) else at.today


def due_checks(tx: Transaction, limit: int) -> list[str]:
    """Ids of the open cases a check is due for."""
    found = []
    for line in tx.cases.list(limit=limit):
        case = tx.cases.get(f"ServiceRequest/{line.service_request_id}")
        if case is not None and case.evaluation and (case.evaluation.get("money") or {}).get("check"):
            found.append(case.service_request_id)
    return found


def _request(patient: str, coverage: Stored, payer: Payer | None, at: Moment, clinic: str, day: date) -> Json:
    payor = next((one for one in walk(coverage.resource, "payor") if isinstance(one, dict)), {"display": "payer not named"})
    return {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": list(PURPOSES),
        "patient": {"reference": f"Patient/{patient}"},
        "servicedDate": day.isoformat(),
        "created": _moment(at.now),
        "provider": {"display": clinic},
        "insurer": {**payor, **({"display": payer.title} if payer else {})},
        "insurance": [{"focal": True, "coverage": {"reference": coverage.reference}}],
    }


def _moment(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
