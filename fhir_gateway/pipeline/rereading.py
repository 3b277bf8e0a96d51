"""Telling whoever relied on a record that it is another now: the reviewer what changed, everybody who read it that it was taken back. Once per version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases import changes
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from mappers.result import IdentityKey

Json = dict[str, Any]
HELD: Final = ("accepted", "expiring")
READING: Final = frozenset({"read", "vread"})


def reread(tx: Transaction, judged: Sequence[Judged], at: datetime) -> None:
    """After cases were judged: a Communication for each record they had relied on that was written anew."""
    again = {stored.reference: stored for stored in tx.written() if stored.version > 1}
    for one in judged if again else ():
        relied_on = {name for item in (one.before or {}).get("items", ()) if item["state"] in HELD for name in item["suppliedBy"]}
        for name in sorted(relied_on & again.keys()):
            _tell(tx, one, again[name], at)


def _tell(tx: Transaction, one: Judged, stored: Stored, at: datetime) -> None:
    taken_back = stored.deleted or stored.resource.get("status") in changes.RETRACTED
    reviewing = one.after["case"]["state"] in changes.REVIEW
    readers = sorted({f"{who or organisation}" for _, organisation, who, action in tx.audit.of(stored.type, stored.id) if action in READING})
    if not reviewing and not (taken_back and readers):
        return
    key = IdentityKey("Communication:case-notice", f"{one.case.service_request_id}\t{stored.reference}\t{stored.version}")
    before = tx.resources.vread(stored.type, stored.id, stored.version - 1)
    if tx.keys.find([key]) or before is None:
        return
    told = ["It was deleted"] if stored.deleted else changes.changes(before.resource, stored.resource)
    code = "record-retracted" if taken_back else "record-changed"
    what = "was taken back by its sender" if taken_back else "changed after the review began"
    words = f"{stored.reference} {what}, version {before.version} to {stored.version}. " + "; ".join(told or ["nothing but its version"])
    made = changes.notice(
        code,
        patient=f"Patient/{one.case.patient_id}" if one.case.patient_id else None,
        case=one.case.service_request_id,
        record=stored.reference,
        owner=one.task.resource.get("owner") if one.task is not None else None,
        words=words,
        readers=readers if taken_back else (),
        now=at,
    )
    identity = new_id()
    tx.keys.claim([key], "Communication", identity, strict=True)
    tx.resources.create(made, id=identity, fresh=True)
