"""A CoverageEligibilityRequest in the store: who and what it is about, whom to ask, and the answer that goes beside it in the same transaction.

The rules channel answers at once. Any other channel is asked through the outbox: its answer is `queued` until it comes (`pipeline.eligibility`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_gateway.cases.insured import digest
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage.payer import UNKNOWN, Payer
from fhir_gateway.coverage.rules import Question, answered, head
from fhir_gateway.pipeline import members
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
    """The answers to the active requests among what was written, each stored for the owner of its request; those waited for end with their request."""
    requests = [one for one in written if one.type == TYPE]
    asked = [one for one in requests if not one.deleted and one.resource.get("status") == "active"]
    ended = [one for one in requests if one not in asked and one.version > 1]
    return [*(_answer(tx, one, payers, at) for one in asked), *(answer for one in ended for answer in _ended(tx, one))]


def asking(tx: Transaction, request: Json, payers: Payers, at: Moment, key: str) -> Asking:
    """Who and what a request is about, as far as the caller may see it (`pipeline.members`). Without coverages when its member is not known here."""
    patient = members.patient(tx, request)
    payer, coverages = members.insured(tx, request, patient, payers) if patient else (None, [])
    subscriber = members.holder(tx, coverages[0][1], patient) if coverages and patient else {}
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


def _ended(tx: Transaction, request: Stored) -> list[Stored]:
    """The answers still waited for, cancelled: nobody asks any more (R4 Financial Resource Status)."""
    found = tx.on_behalf_of(GATEWAY).search(ANSWER, parse_query(ANSWER, [("request", request.reference), ("outcome", "queued")])).entries
    waiting = [one for one in found if one.resource.get("status") == "active"]
    return [
        tx.on_behalf_of(Principal("gateway", one.owner, tx.principal.name)).resources.update({**one.resource, "status": "cancelled"})
        for one in waiting
    ]


def withheld(tx: Transaction, asked: Asking, payers: Payers) -> bool:
    """Does the patient want one of the plans not to be told?"""
    held = tx.on_behalf_of(GATEWAY).resources.read_many([name for name, _ in asked.coverages])
    return not all(may_tell(tx, coverage, payers, asked.at) for coverage in held.values())


def _subject(asked: Asking) -> Json:
    if asked.patient:
        return {"reference": f"Patient/{asked.patient['id']}"}
    given: Json = asked.request["patient"]
    return given if not str(given.get("reference", "")).startswith("#") else {"display": "not known here"}
