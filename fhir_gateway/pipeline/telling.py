"""HL7 v2 messages to partners, put together from what is stored: replies on a case's moves, answers to questions, requests for records."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from fhir_gateway.cases import chase, machine, outcome
from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.pipeline.casefile import assemble
from fhir_gateway.pipeline.delivery import Delivery
from fhir_gateway.pipeline.replies import Reply, Style, status_answer, write_replies
from fhir_gateway.settings import Settings
from fhir_gateway.store import Case, Job, Partner, Stored, Transaction
from mappers.v2.write.er7 import Envelope, Party
from mappers.v2.write.osu import osu
from mappers.v2.write.rri import rri
from mappers.v2.write.segments import Subject
from profiles.canonical import canonical

Json = dict[str, Any]
TASK_IDS: Final = canonical("NamingSystem", "task")
"""Identifier system of our Tasks as partners know them, the coordination Task's (our number of a case) among them: the value is the Task's id."""
SCHEDULE: Final = frozenset({"booked", "moved", "called-off", "missed"})
OPINION: Final = frozenset({"interim", "outcome"})


def reply(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """What the sender of a referral is told of one move of its case, as far as it is registered for it."""
    case, partner = _addressed(tx, job)
    if case is None or partner is None:
        return []
    event, state = str(job.payload["event"]), str(job.payload["state"])
    told = {"status"} if event == "receive" else set(machine.tells(event, state))
    wanted = {telling for telling in told if _wants(partner, telling) and (telling in SCHEDULE) == (job.payload["topic"] == "appointment")}
    made = _reply(tx, case, state, job.payload.get("task"), job.payload.get("appointment"))
    if not wanted or made is None:
        return []
    written = write_replies(_style(partner), wanted, made, _envelope(tx, job, partner, settings))
    return [_delivery(partner, message) for message in written]


def answer(tx: Transaction, job: Job, settings: Settings) -> list[Delivery]:
    """RRI^I15: how the referral stands that a REF^I15 asked about."""
    case, partner = _addressed(tx, job)
    if case is None or partner is None or not (partner.wants("rri") or partner.wants("osu")):
        return []
    made = _reply(tx, case, case.state, None)
    return [] if made is None else [_delivery(partner, status_answer(made, _envelope(tx, job, partner, settings)))]


def requests(tx: Transaction, job: Job, tasks: Iterable[Stored], case: Case, partner: Partner, settings: Settings) -> list[Delivery]:
    """The records asked for as notes to the referral's status, one message for all of them."""
    made = _reply(tx, case, case.state, None)
    if made is None or not partner.wants("requests"):
        return []
    notes = [_wanted(task.resource) for task in tasks]
    write = osu if _style(partner) == "osu" else rri
    return [_delivery(partner, write(made.subject, made.standing, _envelope(tx, job, partner, settings), notes=notes))]


def _wanted(task: Json) -> str:
    """One request in a sentence: what, by when, and its LOINC code."""
    what = str((task.get("code") or {}).get("text") or "a record")
    coded = next((code for one in walk(task, "input.valueCodeableConcept") for system, code in codings(one) if system == "http://loinc.org"), "")
    until = chase.wanted_by(task)
    asks = "Please tell us" if "question" in {code for _, code in codings(task.get("code"))} else "Please send"
    return f"{asks}{f' by {until}' if until else ''}: {what}{f' (LOINC {coded})' if coded else ''} [Task {task['id']}]"


def _addressed(tx: Transaction, job: Job) -> tuple[Case | None, Partner | None]:
    case = tx.cases.get(f"ServiceRequest/{job.payload['case']}")
    return case, tx.partners.get(case.owner) if case is not None and case.owner else None


def _wants(partner: Partner, telling: str) -> bool:
    if telling in SCHEDULE:
        return partner.wants("siu")
    return partner.wants("opinion") if telling in OPINION else partner.wants("rri") or partner.wants("osu")


def _style(partner: Partner) -> Style:
    return "osu" if "osu" in partner.replies else "rri"


def _envelope(tx: Transaction, job: Job, partner: Partner, settings: Settings) -> Envelope:
    """The same for the same job, so that a message sent again is the same message. answers: MSH-10 of the message that asked, where one did."""
    control_id = b32encode(sha256(job.key.encode()).digest())[:16].decode()
    sender = Party(settings.application, settings.facility or settings.clinic_name)
    return Envelope(sender, Party(partner.application, partner.facility), job.queued_at, control_id, str(job.payload.get("answers") or ""))


def _delivery(partner: Partner, message: bytes) -> Delivery:
    return Delivery("mllp", f"{partner.mllp_host}:{partner.mllp_port}", message, tls=partner.mllp_tls)


def _reply(tx: Transaction, case: Case, state: str, version: int | None, visit: list[str] | None = None) -> Reply | None:
    """version: of the coordination Task, visit: id and version of the Appointment, as they were when there was something to tell."""
    held = assemble(tx, case)
    if held is None or held.task is None:
        return None
    then = tx.resources.vread("Task", held.task.id, version) if version else held.task
    reason = str(((then or held.task).resource.get("statusReason") or {}).get("text") or "")
    referral = held.file.referral
    subject = Subject(
        referral,
        held.file.patient,
        {"system": TASK_IDS, "value": held.task.id},
        _party(tx, next(iter(walk(referral, "requester.reference")), "")),
        _party(tx, next(iter(walk(referral, "performer.reference")), "")),
    )
    met = tx.resources.vread("Appointment", visit[0], int(visit[1])) if visit else None
    appointment = met.resource if met is not None and not met.deleted else held.file.appointment
    note = returned_note(tx, case, held.task.resource)
    author = _signed_by(tx, note) if note else {}
    replaced = next((str(name) for name in walk(note or {}, "relatesTo.target.reference")), "")
    earlier = tx.resources.read_many([replaced]).get(replaced) if replaced else None
    return Reply(subject, state, reason, appointment, _actors(tx, appointment), note, author or None, earlier.resource if earlier else None)


def returned_note(tx: Transaction, case: Case, task: Json) -> Json | None:
    """The consultation note, where it may go back to the referrer: permitted when it was issued, and not revoked since."""
    permission = (case.gates or {}).get("permission", {}).get("state")
    name = outcome.document_of(task, "note")
    if not name or not outcome.may_return(task) or permission != "satisfied":
        return None
    stored = tx.resources.read("DocumentReference", name)
    return None if stored is None or stored.deleted else stored.resource


def _signed_by(tx: Transaction, note: Json) -> Json:
    """The author of a note as held, or as named on it: a signed note goes out with who signed it."""
    author: Json = next(iter(walk(note, "author")), {})
    named = {"identifier": [author["identifier"]]} if author.get("identifier") else {}
    named |= {"name": [{"text": author["display"]}]} if author.get("display") else {}
    return _party(tx, str(author.get("reference", ""))) or named


def _actors(tx: Transaction, appointment: Json | None) -> Mapping[str, Json]:
    names = [str(name) for name in walk(appointment or {}, "participant.actor.reference")]
    return {name: stored.resource for name, stored in tx.resources.read_many(names).items() if stored.type != "Patient"}


def _party(tx: Transaction, name: str) -> Json:
    """Who stands behind a reference, as a person or organisation with a name; a role by the person in it."""
    found = tx.resources.read_many([name]).get(name) if "/" in name else None
    if found is None:
        return {}
    if found.type != "PractitionerRole":
        return found.resource
    person = next((str(one) for one in walk(found.resource, "practitioner.reference")), "")
    behind = tx.resources.read_many([person]).get(person) if person else None
    own = {key: found.resource[key] for key in ("telecom",) if key in found.resource}
    return {**(behind.resource if behind else {}), **own} if behind else found.resource
