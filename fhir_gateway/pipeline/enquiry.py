"""A CoverageEligibilityRequest in the store: who and what it is about, whom to ask, and the answer that goes beside it in the same transaction.

The rules channel answers at once. Any other channel is asked through the outbox: its answer is `queued` until it comes (`pipeline.eligibility`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.insured import digest
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.payer import UNKNOWN, Payer
from fhir_gateway.coverage.rules import Question, answered, head
from fhir_gateway.pipeline.payers import Payers
from fhir_gateway.pipeline.restrictions import may_tell
from fhir_gateway.security.principal import GATEWAY, Principal
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.search import parse_query
from profiles.eligibility import CHANNEL, COVERAGE_CHECKED, REJECTIONS, WHO_FIXES

Json = dict[str, Any]

TYPE: Final = "CoverageEligibilityRequest"
ANSWER: Final = "CoverageEligibilityResponse"
KIND: Final = "eligibility"
"""Kind of the outbox job that asks a payer."""
NOT_FOUND: Final = ("75", "Subscriber/Insured Not Found", "No member with these data is known here; compare the member number with the card")
"""X12 element 901 (DOMAIN 4.2), what it is called, and what to do."""

WITHHELD: Final = "The payer was not asked: the patient pays without this plan, or wants it not to be told. Settle the cost with the patient."


@dataclass(frozen=True, slots=True)
class Asking:
    """One question as a channel is given it. coverages: (reference, Coverage). patient: {} where none is held. key: the same however often it is tried.

    subscriber: who holds the first coverage, {} where that is the patient or is not held.
    """

    request: Json
    coverages: Sequence[tuple[str, Json]]
    patient: Json
    payer: Payer
    at: Moment
    key: str
    subscriber: Json = field(default_factory=dict)


def answer_all(tx: Transaction, written: Sequence[Stored], payers: Payers, at: Moment) -> list[Stored]:
    """The answers to the active requests among what was written, each stored for the owner of its request."""
    asked = [one for one in written if one.type == TYPE and not one.deleted and one.resource.get("status") == "active"]
    return [_answer(tx, one, payers, at) for one in asked]


def asking(tx: Transaction, request: Json, payers: Payers, at: Moment, key: str) -> Asking:
    """Who and what a request is about, as far as the caller may see it. Without coverages when its member is not known here."""
    patient = _patient(tx, request)
    coverages = _coverages(tx, request, patient) if patient else []
    payer = payers.of(tx, [held for _, held in coverages[:1]], request.get("insurer"))
    subscriber = _held(tx, coverages[0][1], patient) if coverages and patient else {}
    return Asking(request, coverages, patient.resource if patient else {}, payer or UNKNOWN, at, key, subscriber)


def error(asked: Asking, code: str, display: str, text: str, fixer: str, channel: str) -> Json:
    """An answer that says what went wrong and who must fix it."""
    coded = {"coding": [{"system": REJECTIONS, "code": code, "display": display}]} if code else {}
    made = {**frame(asked, channel), "outcome": "error"}
    return made | {"error": [{"extension": [{"url": WHO_FIXES, "valueCode": fixer}], "code": {**coded, "text": text}}]}


def frame(asked: Asking, channel: str) -> Json:
    """What every answer says beside what the payer says."""
    response = {"resourceType": ANSWER, "extension": [{"url": CHANNEL, "valueCode": channel}], **head(asked.request, asked.at)}
    response["patient"] = _subject(asked)
    response["outcome"] = "queued"
    response["insurer"] = insurer(asked)
    insurances = [
        {"extension": [{"url": COVERAGE_CHECKED, "valueString": digest(held)}], "coverage": {"reference": name}} for name, held in asked.coverages
    ]
    return response | ({"insurance": insurances} if insurances else {})


def insurer(asked: Asking) -> Json:
    """The insurer as asked, with the name the clinic knows it by."""
    given = {name: value for name, value in asked.request["insurer"].items() if name != "reference" or not str(value).startswith("#")}
    return {**given, "display": asked.payer.title} if asked.payer.name else given or {"display": "payer not named"}


def _answer(tx: Transaction, stored: Stored, payers: Payers, at: Moment) -> Stored:
    key = f"{KIND}/{stored.id}/{stored.version}"
    asked = asking(tx, stored.resource, payers, at, key)
    writer = tx.on_behalf_of(Principal("gateway", stored.owner, tx.principal.name))
    if not asked.coverages:
        code, display, text = NOT_FOUND
        return writer.resources.create(error(asked, code, display, text, "referrer", "rules"))
    if asked.payer.channel != "rules":
        if withheld(tx, asked, payers):
            return writer.resources.create(error(asked, "", "", WITHHELD, "clinic", asked.payer.channel))
        queued = writer.resources.create(frame(asked, asked.payer.channel))
        tx.outbox.put(KIND, key, {"request": stored.id, "response": queued.id, "payer": asked.payer.name})
        return queued
    question = Question({**stored.resource, "insurer": insurer(asked), "patient": _subject(asked)}, asked.coverages, asked.payer, at)
    return writer.resources.create(answered(question))


def withheld(tx: Transaction, asked: Asking, payers: Payers) -> bool:
    """Does the patient want one of the plans not to be told?"""
    held = tx.on_behalf_of(GATEWAY).resources.read_many([name for name, _ in asked.coverages])
    return not all(may_tell(tx, coverage, payers, asked.at) for coverage in held.values())


def _subject(asked: Asking) -> Json:
    if asked.patient:
        return {"reference": f"Patient/{asked.patient['id']}"}
    given: Json = asked.request["patient"]
    return given if not str(given.get("reference", "")).startswith("#") else {"display": "not known here"}


def _patient(tx: Transaction, request: Json) -> Stored | None:
    """The Patient held: the one referred to, or the only one that has an identifier of the contained one."""
    name = str(request["patient"].get("reference", ""))
    if name.startswith("Patient/"):
        stored = tx.resources.read("Patient", name.partition("/")[2])
        return stored if stored is not None and not stored.deleted else None
    told = [*walk(_contained(request, name), "identifier"), *walk(request["patient"], "identifier")]
    tokens = [f"{one.get('system', '')}|{one['value']}" for one in told if isinstance(one, dict) and one.get("system") and one.get("value")]
    return _only(_found(tx, "Patient", "identifier", tokens)) if tokens else None


def _held(tx: Transaction, coverage: Json, patient: Stored) -> Json:
    """Who holds a policy, where that is somebody else."""
    name = next((str(one) for one in walk(coverage, "subscriber.reference")), "")
    if name == patient.reference or not name.startswith(("Patient/", "RelatedPerson/")):
        return {}
    stored = tx.resources.read_many([name]).get(name)
    return stored.resource if stored is not None and not stored.deleted else {}


def _coverages(tx: Transaction, request: Json, patient: Stored) -> list[tuple[str, Json]]:
    """Those asked about, of this patient: by reference, or held with the member number of a contained one. Where none is named: all that are held."""
    names = [str(name) for name in walk(request, "insurance.coverage.reference")]
    if names and all(name.startswith("Coverage/") for name in names):
        read = tx.resources.read_many(names)
        found = [read[name] for name in names if name in read and not read[name].deleted]
    else:
        members = {str(number) for name in names for number in walk(_contained(request, name), "subscriberId")}
        held = _found(tx, "Coverage", "beneficiary", [f"Patient/{patient.id}"])
        found = [one for one in held if not names or str(one.resource.get("subscriberId")) in members]
    return [(one.reference, one.resource) for one in found if _is_of(one, patient)]


def _is_of(coverage: Stored, patient: Stored) -> bool:
    return str(next(iter(walk(coverage.resource, "beneficiary.reference")), "")) in (patient.reference, "")


def _found(tx: Transaction, type: str, parameter: str, values: Sequence[str]) -> list[Stored]:
    text = ",".join(value.replace("\\", "\\\\").replace(",", "\\,") for value in values)
    return list(tx.search(type, parse_query(type, [(parameter, text), ("_count", "50")])).entries)


def _only(found: Sequence[Stored]) -> Stored | None:
    return found[0] if len(found) == 1 else None


def _contained(request: Json, name: str) -> Json:
    return next((one for one in walk(request, "contained") if isinstance(one, dict) and name == f"#{one.get('id')}"), {})
