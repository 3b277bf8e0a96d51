"""REF^I15 through the entrance: the sender asks how its referral stands; nothing changes, and a number it can't mean is refused."""

from __future__ import annotations

from fhir_gateway.pipeline.questions import asked_about
from fhir_gateway.validation import validate
from mappers import v2
from profiles import conceptmaps
from tests import messages
from tests.pipeline.conftest import STAFF, Told


def question(number: str = "REF-1", sender: str = "NORTHSIDE") -> bytes:
    asked = messages.referral(number, sender=sender).replace(b"REF^I12^REF_I12", b"REF^I15^REF_I12")
    return asked.replace(f"{number}^NORTHSIDE".encode(), f"{number}^{sender}".encode())


def test_a_question_about_ones_own_referral_is_taken_and_changes_nothing(told: Told) -> None:
    told.receives(messages.referral())
    before = {kind: told.count(kind) for kind in ("ServiceRequest", "Patient", "Task", "Coverage", "Condition")}
    assert told.receives(question())[0] == "AA"
    assert {kind: told.count(kind) for kind in before} == before
    assert all(validate(header) == [] for header in told.found("MessageHeader"))
    assert told.inbox()[0].state == "processed"


def test_the_case_asked_about_is_the_senders_own(told: Told) -> None:
    told.receives(messages.referral())
    mapped = v2.map_message(v2.read(question()), conceptmaps.load(), v2.Site())
    with told.gateway.store.snapshot(STAFF) as tx:
        case = asked_about(tx, mapped)
    assert case is not None
    assert case.service_request_id == told.cases()[0]["id"]


def test_a_number_nobody_sent_and_one_that_somebody_else_sent_are_the_same_to_the_sender(told: Told) -> None:
    told.receives(messages.referral())
    assert any("101 RF1.1.6" in text for text in told.receives(question().replace(b"|REF-1^NORTHSIDE|", b"||"))[2])
    for asked in (question("REF-9"), question("REF-1", sender="ELSEWHERE"), question("REF-1").replace(b"EHR|NORTHSIDE", b"EHR|ELSEWHERE")):
        code, _, texts = told.receives(asked)
        assert code == "AE"
        assert any("204" in text and "RF1.1.6" in text for text in texts), texts
    assert [entry.state for entry in told.inbox()] == ["refused"] * 4 + ["processed"]
