"""A partner that takes HL7 v2 is told of its cases' moves: once each, in its own style, what it is registered for and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fhir_gateway.store import Partner
from fhir_gateway.validation import validate
from mappers import v2
from tests import messages
from tests.partner import Listener, endpoint, mllp_listener
from tests.pipeline.conftest import STAFF, Told
from tests.pipeline.test_chasing import knows, sends


@pytest.fixture
def ehr() -> Iterator[Listener]:
    with mllp_listener() as here:
        yield here


def partner(ehr: Listener, *replies: str) -> Partner:
    return Partner("NORTHSIDE", "Northside", "", "127.0.0.1", ehr.port, False, "EHR", "NORTHSIDE", frozenset(replies))


def kinds(ehr: Listener) -> list[str]:
    return [v2.header(v2.read(message)).message_type for message in ehr.messages]


def test_a_referral_is_answered_and_every_decision_told(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "rri"))
    told.receives(messages.referral(control_id="ASK-1"))
    told.gateway.actions.move(STAFF, "REF-1", "return-incomplete", "No pathology report")
    sends(told)
    sends(told)
    first, second = (v2.read(message) for message in ehr.messages)
    assert kinds(ehr) == ["RRI^I12", "RRI^I12"]
    assert (first.named("MSA")[0].value(2), first.named("RF1")[0].value(1), first.named("RF1")[0].value(6)) == ("ASK-1", "P", "REF-1")
    assert (second.named("RF1")[0].value(1), second.named("NTE")[0].value(3)) == ("P", "No pathology report")
    assert first.segments[0].value(5) == "EHR"
    assert [prd.value(2) for prd in second.named("PRD")] == ["Okafor", "Lindqvist"]


def test_in_the_other_style_and_with_its_appointments(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "osu", "siu"))
    told.receives(messages.referral())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.receives(messages.appointment("S13", "20261005090000-0500", made="20260912080000-0500"))
    told.receives(messages.appointment("S15", "20261005090000-0500", made="20260913080000-0500", status="Cancelled"))
    sends(told)
    assert kinds(ehr) == ["OSU^O51", "OSU^O51", "SIU^S12", "SIU^S13", "SIU^S15"]
    moved = v2.read(ehr.messages[3])
    assert moved.named("SCH")[0].value(11, 4).startswith("20261005")


def test_only_what_it_is_registered_for(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "siu"))
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    sends(told)
    assert ehr.messages == []


def test_records_are_asked_for_in_one_message_with_their_dates(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "requests"))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["lab-cbc", "pathology-report"])
    sends(told)
    (message,) = ehr.messages
    notes = [note.value(3) for note in v2.read(message).named("NTE")]
    assert len(notes) == 2
    assert all("by 2026-09-17" in note and "LOINC" in note for note in notes)


def test_a_message_that_got_no_answer_is_the_same_message_when_it_is_sent_again(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "rri"))
    ehr.codes += ["", "AE"]
    told.receives(messages.referral())
    for _ in range(4):
        sends(told)
        told.now += timedelta(minutes=2)
    assert len(ehr.messages) == 3
    assert len(set(ehr.messages)) == 1


def test_a_message_that_is_refused_for_good_is_given_up(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "rri"))
    ehr.codes += ["AR"]
    told.receives(messages.referral())
    sends(told)
    told.now += timedelta(hours=1)
    sends(told)
    assert len(ehr.messages) == 1
    with told.gateway.store.snapshot(STAFF) as tx:
        assert [line.last_error for line in tx.outbox.list("dead")] == ["acknowledged AR"]


def test_a_question_how_a_referral_stands_is_answered(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "rri"))
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    sends(told)
    question = messages.referral(control_id="Q-7").replace(b"REF^I12^REF_I12", b"REF^I15^REF_I12")
    assert told.receives(question)[0] == "AA"
    assert told.receives(question)[0] == "AA"
    sends(told)
    assert kinds(ehr)[2:] == ["RRI^I15"]
    answer = v2.read(ehr.messages[2])
    assert (answer.named("MSA")[0].value(2), answer.named("RF1")[0].value(1)) == ("Q-7", "A")


def test_a_partner_forgotten_is_told_no_more(told: Told, ehr: Listener) -> None:
    knows(told, partner(ehr, "rri"))
    told.receives(messages.referral())
    with told.gateway.store.transaction(STAFF, told.now) as tx:
        tx.partners.remove("NORTHSIDE")
    sends(told)
    assert ehr.messages == []


OPINION = {
    "diagnosis": {"verdict": "confirmed"},
    "pathology": {"verdict": "concordant"},
    "mode": "records-only",
    "summary": "Invasive ductal carcinoma confirmed.",
    "patientSummary": "We agree with your doctor.",
    "options": [{"text": "Surgery first", "preference": 1}],
    "author": {"display": "Dr Karin Lindqvist"},
    "signed": "2026-09-10T08:00:00Z",
}
CONSENT = {
    "resourceType": "Consent",
    "status": "active",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
    "dateTime": "2026-09-01",
    "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
}


def consents(told: Told) -> str:
    (patient,) = told.found("Patient")
    entry = {"resource": CONSENT | {"patient": {"reference": f"Patient/{patient['id']}"}}, "request": {"method": "POST", "url": "Consent"}}
    status, answer = told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert status == 200
    return str(answer["entry"][0]["response"]["location"]).split("/")[1]


def reviewed(told: Told) -> None:
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    told.gateway.actions.move(STAFF, "REF-1", "start-review")


def test_the_opinion_goes_back_as_report_and_note_where_consent_covers_it(told: Told, ehr: Listener) -> None:
    told.receives(messages.referral())
    consents(told)
    reviewed(told)
    knows(told, partner(ehr, "opinion"))
    told.gateway.opinions.issue(STAFF, "REF-1", OPINION)
    sends(told)
    assert kinds(ehr) == ["RRI^I12", "MDM^T02"]
    assert v2.read(ehr.messages[0]).named("RF1")[0].value(4) == "WR"
    note = v2.read(ehr.messages[1])
    (txa,) = note.named("TXA")
    assert txa.value(17) == "AU"
    assert [txa.value(number, 2) for number in (9, 10, 22)] == ["Dr Karin Lindqvist"] * 3, "a signed note says who signed it"
    assert note.named("OBX")


def test_the_opinion_stays_where_consent_was_revoked_and_that_is_said(told: Told, ehr: Listener) -> None:
    told.receives(messages.referral())
    consent = consents(told)
    reviewed(told)
    knows(told, partner(ehr, "opinion", "osu"))
    told.gateway.opinions.issue(STAFF, "REF-1", OPINION)
    (held,) = told.found("Consent")
    entry = {"resource": held | {"status": "inactive"}, "request": {"method": "PUT", "url": f"Consent/{consent}"}}
    told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    sends(told)
    (message,) = ehr.messages
    assert kinds(ehr) == ["OMG^O19"]
    assert b"carcinoma" not in message
    assert b"permission" in message


def test_a_partner_with_a_fhir_server_gets_the_note_there_once(told: Told) -> None:
    told.receives(messages.referral())
    consents(told)
    reviewed(told)
    with endpoint() as server:
        knows(told, Partner("NORTHSIDE", fhir_base=f"{server.address}/fhir"))
        told.gateway.opinions.issue(STAFF, "REF-1", OPINION)
        sends(told)
        sends(told)
        (post,) = server.posts
    assert validate(post.json) == []
    (entry,) = post.json["entry"]
    assert entry["resource"]["docStatus"] == "final"
    assert entry["request"]["ifNoneExist"].startswith("identifier=urn:ietf:rfc:3986|urn:uuid:")


def test_our_own_opinion_is_no_record_of_the_case(told: Told) -> None:
    told.receives(messages.referral())
    consents(told)
    reviewed(told)
    before = told.item("consult-note")["state"]
    told.gateway.opinions.issue(STAFF, "REF-1", OPINION)
    assert told.item("consult-note", "REF-1")["state"] == before == "missing"
