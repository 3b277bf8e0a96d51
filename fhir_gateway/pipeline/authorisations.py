"""Authorisations on their way to a payer that is asked over FHIR, and what comes back: one job that asks, then one after another that asks again while it
is pended. FHIR R4 Claim/$submit; Da Vinci PAS for `$inquire` and the answer as a Bundle.

A payer without such a way is asked by hand; its answer is entered (`pipeline.authorising`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_gateway.cases.answered import created_at
from fhir_gateway.cases.authorised import decided, wanted
from fhir_gateway.cases.evidence import walk
from fhir_gateway.coverage import circuit
from fhir_gateway.coverage.asking import number
from fhir_gateway.coverage.authorisation import OPEN, next_poll
from fhir_gateway.coverage.payer import Payer
from fhir_gateway.pipeline.casework import Casework
from fhir_gateway.pipeline.delivery import Delivery, Later, Outcome, Unsendable
from fhir_gateway.pipeline.intake import FHIR_TYPE
from fhir_gateway.pipeline.payerfhir import sign_in
from fhir_gateway.pipeline.payers import kept_answer, organizations
from fhir_gateway.pipeline.restrictions import may_tell
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Circuit, Job, Stored, Transaction
from fhir_gateway.store.payerview.views import Around, reduced
from fhir_gateway.store.search import parse_query
from fhir_gateway.validation import InvalidResourceError, decode, encode, validate
from profiles.eligibility import RAW_ANSWER

Json = dict[str, Any]

KIND: Final = "authorisation"
"""Kind of the outbox job that asks a payer to authorise, or how it stands."""
ANSWER_BYTES: Final = 1024 * 1024
NEEDED: Final = frozenset({"attachments-needed", "questionnaires-needed"})
"""PASTempCodes: the inputs of a Task by which a payer asks for documents (Da Vinci PAS, Task)."""
PATIENCE: Final = timedelta(days=60)
"""How long a pended request is asked after. A payer that has not decided by then is a person's affair."""


class AnswerError(ValueError):
    """What a payer answered is no answer to this Claim; its words say why, without patient data."""


def queue(tx: Transaction, claim: Stored, payer: Payer | None) -> None:
    """Have a Claim sent, when its payer is asked over FHIR."""
    if payer is not None and payer.channel == "fhir":
        tx.outbox.put(KIND, f"{KIND}/{claim.id}/0", {"claim": claim.id, "time": 0}, lane=f"{KIND}/{claim.id}")


@dataclass(frozen=True, slots=True)
class Authorisations:
    """Everything they need, wired once. The methods are those of `pipeline.eligibility.Enquiries`."""

    casework: Casework
    settings: Settings

    def prepare(self, tx: Transaction, job: Job, now: datetime) -> list[Delivery]:
        """The Claim in bytes; nothing once it is decided. Raises Later while the payer rests, Unsendable where there is no way to ask."""
        claim = _claim(tx, job)
        answer = _answer(tx, claim)
        if answer is not None and decided(answer.resource) not in OPEN:
            return []
        coverages = list(tx.resources.read_many(walk(claim.resource, "insurance.coverage.reference")).values())
        payer = self._payer(tx, claim)
        if payer is None or payer.fhir is None:
            raise Unsendable("the payer is not asked over FHIR (any more)")
        self._allowed(tx, claim, coverages, now)
        held = tx.payers.circuit(payer.name)
        if (until := circuit.rests(held.failures, held.rests_until, now)) is not None:
            raise Later(until)
        operation = "$inquire" if job.payload["time"] else "$submit"
        body = encode(_bundle(tx, claim, coverages, payer.name))
        headers = {"Content-Type": FHIR_TYPE, "Accept": FHIR_TYPE}
        address = f"{payer.fhir.base}/Claim/{operation}"
        return [Delivery("http", address, body, headers, answer_bytes=ANSWER_BYTES, seconds=payer.seconds, sign_in=sign_in(payer.fhir))]

    def taken(self, tx: Transaction, job: Job, outcome: Outcome, now: datetime) -> datetime | None:
        """Keep the answer as it came, and as the ClaimResponse of the Claim; asked after again by a job of its own while it is pended, or could
        not be read: then it is kept, and nothing is taken from it.
        """
        claim = tx.resources.read("Claim", job.payload["claim"])
        if claim is None or claim.deleted or outcome.answer is None:
            return None  # nothing was sent: it was decided meanwhile
        raw = kept_answer(tx, outcome, "authorisation answer")
        if (payer := self._payer(tx, claim)) is not None:
            tx.payers.answered(Circuit(payer.name))
        try:
            response = _read(outcome.answer, claim)
        except (AnswerError, InvalidResourceError, KeyError, TypeError, AttributeError):
            tx.audit.append("answer-unreadable", "Claim", claim.id, inbox_id=raw)
            self._again(tx, job, claim, now)
            return None
        response["extension"] = [*response.get("extension", ()), {"url": RAW_ANSWER, "valueReference": {"reference": f"Binary/{raw}"}}]
        before = _answer(tx, claim)
        own = tx.on_behalf_of(Principal("gateway", claim.owner))
        stored = own.resources.update({**response, "id": before.id}) if before else own.resources.create(response)
        tx.audit.append("authorisation-answered", stored.type, stored.id, inbox_id=raw)
        self.casework.after(tx, [stored], now)
        if decided(response) in OPEN:
            self._again(tx, job, claim, now)
        return None

    def missed(self, tx: Transaction, job: Job, outcome: Outcome, now: datetime, *, gone: bool) -> None:
        """Nothing came back. A request that is with the payer already is asked after again later; one that never got there stays as asked, its clock running."""
        claim = tx.resources.read("Claim", job.payload["claim"])
        if claim is None or claim.deleted:
            return
        payer = self._payer(tx, claim)
        if outcome.retry_at is None and not outcome.final and payer is not None:  # what is final was never sent, or was answered
            held = tx.payers.circuit(payer.name)
            tx.payers.answered(Circuit(held.payer, *circuit.after_failure(held.failures, now, outcome.retry_after)))
        if gone and job.payload["time"]:
            self._again(tx, job, claim, now)

    def _allowed(self, tx: Transaction, claim: Stored, coverages: Sequence[Stored], now: datetime) -> None:
        """Raises Unsendable when the patient pays alone by now, or wants one of the plans not to be told."""
        service = str(next(iter(walk(claim.resource, "referral.reference")), ""))
        case = tx.cases.get(service) if service else None
        moment = self.casework.moment(now)
        if (case and case.self_pay) or not all(
            may_tell(tx, one, self.casework.payers, moment, about=(service, claim.reference)) for one in coverages
        ):
            raise Unsendable("the patient wants this plan not to be told")

    def _payer(self, tx: Transaction, claim: Stored) -> Payer | None:
        coverages = tx.resources.read_many(walk(claim.resource, "insurance.coverage.reference")).values()
        return self.casework.payers.of(tx, [stored.resource for stored in coverages], claim.resource.get("insurer"))

    def _again(self, tx: Transaction, job: Job, claim: Stored, now: datetime) -> None:
        asked_at = created_at(claim.resource, self.settings.zone) or now
        if now - asked_at < PATIENCE:
            time = job.payload["time"] + 1
            due = next_poll(asked_at, now)
            tx.outbox.put(KIND, f"{KIND}/{claim.id}/{time}", {"claim": claim.id, "time": time}, due, lane=f"{KIND}/{claim.id}")


def _claim(tx: Transaction, job: Job) -> Stored:
    stored = tx.resources.read("Claim", job.payload["claim"])
    if stored is None or stored.deleted or stored.resource.get("status") != "active":
        raise Unsendable("the request was taken back")
    return stored


def _answer(tx: Transaction, claim: Stored) -> Stored | None:
    """What was answered over FHIR so far; answers that staff entered are others."""
    found = tx.search("ClaimResponse", parse_query("ClaimResponse", [("request", claim.reference), ("_count", "50")])).entries
    return next((one for one in found if any(e.get("url") == RAW_ANSWER for e in one.resource.get("extension", ()))), None)


def _bundle(tx: Transaction, claim: Stored, coverages: list[Stored], payer: str) -> Json:
    """The Claim with the member and the plan, each as far as this payer may see it (45 CFR 164.502(b))."""
    people = tx.resources.read_many([str(claim.resource["patient"].get("reference", ""))])
    members = {str(value) for one in coverages for value in (one.resource.get("subscriberId"), *walk(one.resource, "identifier.value")) if value}
    around = Around(payer, {one.reference for one in coverages}, members)
    payors = organizations(tx, [payor for one in coverages for payor in walk(one.resource, "payor")])
    told = [claim.resource, *(reduced(one.resource, around) for one in (*people.values(), *coverages)), *payors]
    base = "urn:second-opinion-gateway"
    entries = [{"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one} for one in told]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _read(raw: bytes, claim: Stored) -> Json:
    """The ClaimResponse in an answer, in its place: to our Claim, about our Patient. Raises AnswerError, InvalidResourceError."""
    given = decode(raw)
    parts = [one for one in walk(given, "entry.resource") if isinstance(one, dict)] or [given]
    answers = [one for one in parts if one.get("resourceType") == "ClaimResponse"]
    if len(answers) != 1:
        raise AnswerError("there is not one ClaimResponse in it")
    said = answers[0]
    named = {str(value) for value in walk(said, "request.identifier.value")}
    if named and named != {number(claim.resource)}:
        raise AnswerError("it answers another Claim")
    asked_for = [*wanted(said), *(text for one in parts for text in _wanted(one))]
    kept = {name: value for name, value in said.items() if name not in ("id", "meta", "text", "contained", "communicationRequest")}
    ours = {name: claim.resource[name] for name in ("type", "use", "patient", "insurer")}
    ours["request"] = {"reference": claim.reference}
    ours["insurance"] = [{"sequence": 1, "focal": True, "coverage": claim.resource["insurance"][0]["coverage"]}]
    made = {**kept, **ours, **({"communicationRequest": [{"display": text} for text in asked_for]} if asked_for else {})}
    made["extension"] = [*said.get("extension", ()), *(e for e in claim.resource.get("extension", ()))]
    if issues := validate(made):
        raise AnswerError(issues[0].text)
    return made


def _wanted(beside: Json) -> list[str]:
    """What a CommunicationRequest, or the Task of Da Vinci PAS (inputs attachments-needed, questionnaires-needed), beside an answer asks for, in words."""
    if beside.get("resourceType") == "CommunicationRequest":
        return [str(text) for text in walk(beside, "payload.contentString")]
    inputs = [one for one in walk(beside, "input") if isinstance(one, dict)] if beside.get("resourceType") == "Task" else []
    return [text for one in inputs if NEEDED & set(walk(one, "type.coding.code")) and (text := _named(one))]


def _named(needed: Json) -> str:
    concept, form = needed.get("valueCodeableConcept", {}), walk(needed, "valueIdentifier.value")
    told = [*walk(concept, "text"), *walk(concept, "coding.display"), *(f"Document {code}" for code in walk(concept, "coding.code"))]
    return str(next(iter((*told, *(f"Questionnaire {value}" for value in form))), ""))
