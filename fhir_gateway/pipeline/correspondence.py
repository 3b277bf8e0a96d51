"""From the store to what a message about a case needs: the referral, the people, the appointment, the note that may be returned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhir_gateway.cases import machine, outcome
from fhir_gateway.cases.evidence import walk
from fhir_gateway.pipeline.casefile import assemble
from fhir_gateway.pipeline.replies import Reply
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.store import Transaction
from fhir_gateway.store.cases import Case
from mappers.v2.write.er7 import Party
from mappers.v2.write.segments import Subject
from profiles.canonical import sender_system

Json = dict[str, Any]
PEOPLE: Final = frozenset({"Practitioner", "Patient", "RelatedPerson"})
WIDER: Final = 4
"""Places a place is part of that are looked up: room, floor, building, site."""


def reply_of(tx: Transaction, case: Case, us: Party, state: str = "") -> Reply | None:
    """What a message about this case may need, read on the gateway's behalf; None when the referral is gone. us: whose number the case has.

    state: the case state the message is to tell, "" for the present one. The note is there only if the opinion may be returned to the referrer.
    """
    seen = tx.on_behalf_of(GATEWAY)
    held = assemble(seen, case)
    if held is None:
        return None
    task = held.file.task or {}
    number: Json = {"system": sender_system(us.facility or us.application, us.application), "value": case.task_id or case.service_request_id}
    referral = held.file.referral
    requester = _person(seen, referral.get("requester"))
    performer = _person(seen, next(iter(walk(referral, "performer")), None))
    subject = Subject(referral, held.file.patient, number | {"assigner": {"display": us.application}}, requester, performer)
    note = _document(seen, outcome.document_of(task, "note")) if outcome.may_return(task) else None
    return Reply(
        subject,
        state or machine.state_of(held.file.task),
        reason=str(next(iter(walk(task, "statusReason.text")), "")),
        appointment=held.file.appointment,
        actors=_actors(seen, held.file.appointment),
        note=note,
        author=_person(seen, next(iter(walk(note, "author")), None)) if note else None,
        replaces=_document(seen, _replaced(note)) if note else None,
    )


def _person(tx: Transaction, reference: Json | None) -> Json:
    """Who a reference means: a person as held, the practitioner of a role, else only the name that is said; {} for nobody."""
    if not reference:
        return {}
    name = str(reference.get("reference", ""))
    found = tx.resources.read_many([name]).get(name) if name else None
    if found is None:
        display = reference.get("display")
        identified = {"identifier": [reference["identifier"]]} if reference.get("identifier") else {}
        return identified | ({"name": [{"text": display}]} if display else {})
    if found.type == "PractitionerRole":
        inner = found.resource.get("practitioner") or found.resource.get("organization")
        return _person(tx, inner)
    if found.type in PEOPLE:
        return found.resource
    return {**found.resource, "name": [{"text": found.resource.get("name", "")}]}


def _actors(tx: Transaction, appointment: Json | None) -> dict[str, Json]:
    """Whom and what the appointment's participants refer to, with the wider places of a place."""
    actors: dict[str, Json] = {}
    wanted: Iterable[Any] = walk(appointment or {}, "participant.actor.reference")
    for _ in range(1 + WIDER):
        found = tx.resources.read_many([str(name) for name in wanted if name not in actors])
        actors |= {name: stored.resource for name, stored in found.items()}
        wanted = [name for stored in found.values() for name in walk(stored.resource, "partOf.reference") if stored.type == "Location"]
        if not wanted:
            break
    return actors


def _document(tx: Transaction, id: str) -> Json | None:
    name = f"DocumentReference/{id}"
    found = tx.resources.read_many([name]).get(name) if id else None
    return found.resource if found else None


def _replaced(note: Json) -> str:
    """Id of the document this one replaces, "" for none."""
    replaced = (r for r in walk(note, "relatesTo") if r.get("code") == "replaces")
    return str(next((walk(r, "target.reference")[0] for r in replaced if walk(r, "target.reference")), "")).removeprefix("DocumentReference/")
