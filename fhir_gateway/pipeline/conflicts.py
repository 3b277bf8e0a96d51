"""What mapping a message again would change, had nobody edited it since: one Task per message and resource, for a person to settle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from fhir_gateway.cases.decisions import TASK_CODES
from fhir_gateway.cases.evidence import walk
from fhir_gateway.errors import ConflictError, NotFoundError
from fhir_gateway.pipeline.rebase import Change, applied, cells
from fhir_gateway.security.principal import Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.stored import decode, encode
from fhir_gateway.validation import InvalidResourceError, validate
from mappers.result import IdentityKey, Json

if TYPE_CHECKING:
    from fhir_gateway.pipeline.replay import Difference

CODE: Final = "mapping-conflict"
OPEN: Final = "requested"
Take = Literal["mapped", "kept"]
"""What stands from now on: what today's mapping says, or what the resource holds."""


def key(inbox_id: str, reference: str) -> IdentityKey:
    """The name of the Task about a message and a resource."""
    return IdentityKey(f"Task:{CODE}", f"{inbox_id}\t{reference}")


def raise_(tx: Transaction, inbox_id: str, held: Stored, found: Sequence[Change], now: datetime) -> list[Stored]:
    """Have a person settle it; what was written. What was settled the same way before, or waits already, is left alone."""
    name = key(inbox_id, held.reference)
    before = _task(tx, name)
    if before is not None and _proposed(before.resource) == found_cells(found):
        return []
    task = _made(inbox_id, held, found, now)
    if before is None:
        identity = new_id()
        tx.keys.claim([name], "Task", identity, strict=True)
        return [tx.resources.create(task, id=identity, fresh=True)]
    return [tx.resources.update({**task, "id": before.id})]


def unsettled(tx: Transaction, inbox_id: str, differences: Iterable[Difference]) -> Iterator[Difference]:
    """The differences without conflicts that a person has settled by keeping what stands."""
    for one in differences:
        task = _task(tx, key(inbox_id, one.reference)) if one.conflicts else None
        if task is not None and task.resource.get("status") == "completed" and _proposed(task.resource) == found_cells(one.conflicts):
            one = replace(one, conflicts=())
        if one.created or one.changes or one.conflicts or one.note:
            yield one


def waiting(tx: Transaction, stored: Iterable[Stored]) -> Iterator[tuple[Stored, list[tuple[str, object, object]]]]:
    """Open conflicts with (path, what the resource holds, what the mapping says)."""
    for task in stored:
        held = tx.resources.read(*_focus(task.resource).split("/"))
        now = cells(held.resource) if held is not None and not held.deleted else {}
        proposed = _proposed(task.resource)
        yield task, [(Change(cell, None, None).path, now.get(cell), value) for cell, value in proposed.items()]


def settle(tx: Transaction, task_id: str, take: Take, who: str, now: datetime) -> list[Stored]:
    """Settle a conflict; what was written. Raises NotFoundError, and ConflictError where it is settled already or what the mapping says does not fit."""
    task = tx.resources.read("Task", task_id)
    if task is None or task.deleted or CODE not in walk(task.resource, "code.coding.code"):
        raise NotFoundError(f"There is no conflict Task/{task_id[:64]}")
    if task.resource.get("status") != OPEN:
        raise ConflictError(f"Task/{task_id} is settled already")
    done: Json = {"type": {"text": "settled by"}, "valueString": f"{take} ({who})"}
    written = [tx.resources.update({**task.resource, "status": "completed", "lastModified": _stamp(now), "output": [done]})]
    if take == "mapped":
        written.append(_taken(tx, task))
    return written


def _taken(tx: Transaction, task: Stored) -> Stored:
    held = tx.resources.read(*_focus(task.resource).split("/"))
    if held is None or held.deleted:
        raise ConflictError(f"{_focus(task.resource)} was deleted")
    content = applied(held.resource, [Change(cell, None, value) for cell, value in _proposed(task.resource).items()])
    if issues := validate(content):
        raise ConflictError(f"What the mapping says no longer fits the rest ({issues[0].expression}: {issues[0].text}); edit the resource instead")
    message = next(str(r) for r in walk(task.resource, "input.valueReference.reference")).removeprefix("Binary/")
    owner = tx.on_behalf_of(Principal("gateway", held.owner))
    return owner.resources.update({**content, "id": held.id}, clock=held.clock, inbox_id=message, expected_version=held.version)


def found_cells(changes: Sequence[Change]) -> dict[tuple[str, str], object]:
    """What the mapping says, by cell, as it reads once it was stored."""
    return {change.cell: decode(encode({"value": change.after}))["value"] for change in changes}


def _task(tx: Transaction, name: IdentityKey) -> Stored | None:
    holder = next(iter(tx.keys.find([name])), None)
    task = tx.resources.read("Task", holder.id) if holder else None
    return None if task is None or task.deleted else task


def _made(inbox_id: str, held: Stored, found: Sequence[Change], now: datetime) -> Json:
    inputs: list[Json] = [{"type": {"text": "message"}, "valueReference": {"reference": f"Binary/{inbox_id}"}}]
    for change in found:
        said = encode({"element": change.cell[0], "item": change.cell[1], "value": change.after}).decode()
        inputs.append({"type": {"text": "proposed"}, "valueString": said})
    named = ", ".join(sorted({change.cell[0] for change in found}))
    return {
        "resourceType": "Task",
        "status": OPEN,
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODES, "code": CODE}]},
        "description": f"Mapping the message again would change {held.reference} where it was edited since: {named}",
        "focus": {"reference": held.reference},
        "authoredOn": _stamp(now),
        "lastModified": _stamp(now),
        "input": inputs,
    }


def _proposed(task: Json) -> dict[tuple[str, str], object]:
    found: dict[tuple[str, str], object] = {}
    for text in walk(task, "input.valueString"):
        try:
            said = decode(str(text).encode())
            found[str(said["element"]), str(said["item"])] = said["value"]
        except (InvalidResourceError, ValueError, KeyError, TypeError):
            continue  # edited by hand: what can't be read proposes nothing
    return found


def _focus(task: Json) -> str:
    return str(next(iter(walk(task, "focus.reference")), "Task/none"))


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")
