"""A payer asked to authorise over FHIR, as the mock payer's script has it: pended and approved, pended and denied, documents wanted, no answer, nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.mockpayer import fhir
from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.claims import REVIEW_ACTION, REVIEW_CODE, REVIEW_CODES, Claims
from fhir_gateway.mockpayer.script import shipped
from fhir_gateway.outbound.sender import Sender
from fhir_gateway.pipeline.delivery import Delivery, Outcome
from fhir_gateway.validation import decode, encode
from tests import messages
from tests.pipeline.conftest import STAFF, Told, _told
from tests.pipeline.test_authorisation import money

BLUE = {"name": "blue", "title": "Blue Plan", "identifier": [{"value": "BLUE01"}], "channel": "fhir", "fhir": {"base": "http://payer.test/fhir"}}


def fhir_answer(review: str, **more: Any) -> dict[str, Any]:
    """A ClaimResponse with one review action (X12 element 306), without the number of the Claim."""
    coded = {"url": REVIEW_CODE, "valueCodeableConcept": {"coding": [{"system": REVIEW_CODES, "code": review}]}}
    part = {"extension": [{"url": REVIEW_ACTION, "extension": [coded]}], "category": {"text": "submitted"}}
    made = {"resourceType": "ClaimResponse", "status": "active", "type": {"text": "professional"}, "use": "preauthorization"}
    made |= {"patient": {"display": "the member"}, "created": "2026-09-10T04:00:00-05:00", "insurer": {"display": "Blue Plan"}}
    return made | {"outcome": "complete", "item": [{"itemSequence": 1, "adjudication": [part]}]} | more


@dataclass
class Payer:
    """The mock payer, reached without a socket. said: the body of each answer to give instead of its own, None for no answer at all."""

    told: Told
    claims: Claims = field(default_factory=lambda: Claims(Book(shipped())))
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    instead: list[bytes | None] = field(default_factory=list)

    def carry(self, delivery: Delivery, _seconds: float) -> Outcome:
        body, operation = decode(delivery.body), delivery.address.rpartition("/")[2]
        if "CoverageEligibilityRequest" in delivery.address:
            step, question, found = fhir.question(body, self.claims.book)
            return Outcome(good=True, answer=encode(fhir.answer(question, found, step, self.told.now)), answer_type="application/fhir+json")
        self.sent.append((operation, body))
        if self.instead:
            answer = self.instead.pop(0)
            if answer is not None:
                self.claims.submitted(body, self.told.now)
            return (
                Outcome(good=True, answer=answer, answer_type="application/fhir+json")
                if answer is not None
                else Outcome(good=False, error="HTTP 503")
            )
        look = self.claims.submitted if operation == "$submit" else self.claims.inquired
        _, bundle = look(body, self.told.now)
        return Outcome(good=True, answer=encode(bundle), answer_type="application/fhir+json")

    def round(self) -> None:
        """The worker sends what is due."""
        sender = Sender(self.told.gateway.outgoing, {"http": self.carry}, 5)
        while sender.round():
            pass


@pytest.fixture
def payer(tmp_path: Path) -> Iterator[Payer]:
    made = _told(f"sqlite:///{tmp_path}/told.db")
    told = next(made)
    told.gateway.store.run(STAFF, told.now, lambda tx: tx.payers.put("blue", json.dumps(BLUE)))
    yield Payer(told)
    made.close()


def asked(payer: Payer, member: str) -> dict[str, Any]:
    """A case of this member, its authorisation asked for and sent; its money."""
    payer.told.receives(messages.referral().replace(b"M-554321", member.encode()))
    payer.told.gateway.authorising.ask(STAFF, "REF-1")
    payer.round()
    return money(payer.told)


def later(payer: Payer, **time: float) -> dict[str, Any]:
    payer.told.passes(**time)
    payer.round()
    return money(payer.told)


def test_pended_then_approved(payer: Payer) -> None:
    assert asked(payer, "M-1003")["authorisationState"] == "pended"
    (operation, body), *none = payer.sent
    assert operation == "$submit" and none == []
    assert [entry["resource"]["resourceType"] for entry in body["entry"]] == ["Claim", "Patient", "Coverage", "Organization"]
    assert b"Elm St" not in encode(body) and b"554321^" not in encode(body), "the payer is told no more of the patient than it may see"
    assert later(payer, seconds=30)["authorisationState"] == "pended" and len(payer.sent) == 1, "asked after again in a minute at the earliest"
    done = later(payer, seconds=40)
    assert (done["authorisationState"], payer.sent[1][0]) == ("approved", "$inquire")
    assert "number PA-2026-0001" in done["authorisation"]
    (response,) = payer.told.found("ClaimResponse")
    assert response["request"]["reference"] == done["claim"] and response["meta"]["versionId"] == "2"
    later(payer, days=1)
    assert len(payer.sent) == 2, "what is decided is not asked after"


def test_pended_then_denied(payer: Payer) -> None:
    asked(payer, "M-1004")
    assert later(payer, minutes=2)["authorisationState"] == "denied"


def test_documents_wanted_are_told_and_then_it_is_decided(payer: Payer) -> None:
    told = asked(payer, "M-1012")
    (item,) = (one for one in payer.told.case()["items"] if one["reason"] == "payer-wants")
    assert (item["title"], item["state"], item["kind"]) == (told["information"][0], "requested", "coverage")
    assert (told["authorisationState"], told["information"]) == ("information-requested", ["Please send the document 11526-1."])
    assert "It asks for: Please send the document 11526-1." in told["authorisation"]
    (task,) = payer.told.found("Task", code="payer-request")
    assert (task["status"], task["description"], task["reasonReference"]["reference"]) == ("requested", told["information"][0], told["claimResponse"])
    assert later(payer, minutes=2)["authorisationState"] == "approved"
    (task,) = payer.told.found("Task", code="payer-request")
    assert task["status"] == "completed"
    assert not [one for one in payer.told.case()["items"] if one["reason"] == "payer-wants"]


def test_the_task_of_a_pended_answer_says_what_is_wanted(payer: Payer) -> None:
    """Da Vinci PAS: a Task beside the answer, inputs attachments-needed (LOINC) and questionnaires-needed, asks for documents."""

    def needed(kind: str, **value: Any) -> dict[str, Any]:
        return {"type": {"coding": [{"system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes", "code": kind}]}, **value}

    wishes = [
        needed("payer-url", valueUrl="http://payer.test/fhir"),
        needed("attachments-needed", valueCodeableConcept={"coding": [{"system": "http://loinc.org", "code": "11526-1"}]}),
        needed("questionnaires-needed", valueIdentifier={"value": "Q-7"}),
    ]
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "input": wishes}
    pended = fhir_answer("A4", outcome="queued")
    payer.instead = [encode({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": pended}, {"resource": task}]})]
    told = asked(payer, "M-1003")
    assert (told["authorisationState"], told["information"]) == ("information-requested", ["Document 11526-1", "Questionnaire Q-7"])


def test_a_payer_that_does_not_answer_is_asked_again_and_its_clock_runs(payer: Payer) -> None:
    payer.instead = [None]
    assert asked(payer, "M-1003")["authorisationState"] == "asked"
    assert later(payer, minutes=1)["authorisationState"] == "pended"
    assert [operation for operation, _ in payer.sent] == ["$submit", "$submit"]


@pytest.mark.parametrize("raw", [b"garbage", b"{}", b'{"resourceType": "ClaimResponse", "outcome": "perhaps"}', b""])
def test_nonsense_is_kept_and_nothing_is_taken_from_it(payer: Payer, raw: bytes) -> None:
    payer.instead = [raw]
    assert asked(payer, "M-1003")["authorisationState"] == "asked"
    assert payer.told.count("ClaimResponse") == 0
    (kept,) = [line for line in payer.told.inbox() if line.message_type == "authorisation answer"]
    with payer.told.gateway.store.snapshot(STAFF) as tx:
        assert tx.inbox.get(kept.id).raw == raw  # type: ignore[union-attr]
    assert later(payer, minutes=2)["authorisationState"] == "approved", "and it is asked how the request stands"


def test_an_answer_to_somebody_elses_claim_is_none(payer: Payer) -> None:
    payer.told.receives(messages.referral())
    other = {
        "resourceType": "ClaimResponse",
        "request": {"identifier": {"value": "urn:uuid:other"}},
        "status": "active",
        "outcome": "complete",
        "preAuthRef": "X",
    }
    payer.instead = [encode(other | {"created": "2026-09-10"})]
    payer.told.gateway.authorising.ask(STAFF, "REF-1")
    payer.round()
    assert money(payer.told)["authorisationState"] == "asked" and payer.told.count("ClaimResponse") == 0


def test_a_request_taken_back_is_not_sent(payer: Payer) -> None:
    payer.told.receives(messages.referral())
    payer.told.gateway.authorising.ask(STAFF, "REF-1")
    (claim,) = payer.told.found("Claim")
    payer.told.gateway.fhir.update(STAFF, "Claim", claim["id"], encode(claim | {"status": "cancelled"}), None)
    payer.round()
    assert payer.sent == [] and money(payer.told)["authorisationState"] == "cancelled"


def forbids(payer: Payer) -> dict[str, Any]:
    """Her Consent that no plan is to be told."""
    (patient,) = payer.told.found("Patient")
    provision = {"type": "deny", "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT"}]}
    about = {"scope": {"coding": [{"code": "patient-privacy"}]}, "patient": {"reference": f"Patient/{patient['id']}"}}
    return {
        "resourceType": "Consent",
        "status": "active",
        "category": [{"text": "restriction"}],
        "policyRule": {"text": "x"},
        **about,
        "provision": provision,
    }


def test_what_waits_to_be_sent_stays_here_once_the_patient_forbids_it(payer: Payer) -> None:
    payer.told.receives(messages.referral().replace(b"M-554321", b"M-1003"))
    payer.told.gateway.authorising.ask(STAFF, "REF-1")
    payer.told.gateway.check_coverage(STAFF, "REF-1")
    made = payer.told.gateway.fhir.create(STAFF, "Consent", encode(forbids(payer)), None)
    payer.round()
    assert payer.sent == [] and payer.told.count("ClaimResponse") == 0
    (answer,) = payer.told.found("CoverageEligibilityResponse")
    assert answer["outcome"] == "error" and "not to be told" in answer["error"][0]["code"]["text"]
    payer.told.gateway.fhir.delete(STAFF, "Consent", made.stored.id, None)
    assert payer.told.gateway.check_coverage(STAFF, "REF-1")
    payer.round()
    assert len(payer.told.found("CoverageEligibilityResponse", outcome="complete")) == 1


def test_a_request_with_the_payer_is_not_asked_after_while_the_patient_forbids_it(payer: Payer) -> None:
    assert asked(payer, "M-1003")["authorisationState"] == "pended"
    made = payer.told.gateway.fhir.create(STAFF, "Consent", encode(forbids(payer)), None)
    later(payer, minutes=5)
    assert [operation for operation, _ in payer.sent] == ["$submit"]
    payer.told.gateway.fhir.delete(STAFF, "Consent", made.stored.id, None)
    assert later(payer, days=1)["authorisationState"] == "approved"
