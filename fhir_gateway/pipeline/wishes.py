"""What a payer wants to see before it decides on an authorisation: a Task for staff per wish, part of the case, the clinic's own. It ends when the payer
decides; the document itself is shown to the payer by a release (`pipeline.payerview.Releases`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fhir_gateway.cases import actions
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Transaction

Json = dict[str, Any]
CODE: Final = "payer-request"
CLINIC: Final = Principal("gateway", "", "gateway")


def wished(tx: Transaction, judged: Sequence[Judged], at: datetime) -> None:
    """Make the Tasks of new wishes and end those of a request that is decided."""
    for one in {done.case.service_request_id: done for done in judged}.values():
        wanted = [str(text) for text in one.after["money"]["information"]]
        open_tasks = [task for task in one.file.tasks if _ours(task) and task.get("status") == "requested"]
        if one.task is None or not (wanted or open_tasks):
            continue
        own = tx.on_behalf_of(CLINIC)
        for text in wanted:
            if text not in {task.get("description") for task in open_tasks}:
                own.resources.create(_task(one.task.resource, text, str(one.after["money"]["claimResponse"]), at))
        for task in open_tasks:
            if task.get("description") not in wanted:
                own.resources.update({**task, "status": "completed", "lastModified": at.isoformat(timespec="milliseconds")})


def _task(case_task: Json, text: str, response: str, at: datetime) -> Json:
    return actions.child(case_task, CODE, at) | {"description": text, "reasonReference": {"reference": response}}


def _ours(task: Json) -> bool:
    return any(code == CODE for concept in walk(task, "code") for _, code in codings(concept))
