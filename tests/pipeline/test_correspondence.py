"""What the referring hospital is told, story by story: written from the store as it is, read back as its system would."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fhir_gateway.pipeline.correspondence import reply_of
from fhir_gateway.pipeline.replies import status_answer, write_replies
from mappers import v2
from mappers.v2.write.er7 import Envelope, Party
from tests import messages
from tests.pipeline.conftest import STAFF, Told
from tests.pipeline.test_opinion import consents, in_review, issues, notes

US = Party("GATEWAY", "CLINIC")


def writes(told: Told, style: Any, event: str, answers: str = "") -> list[v2.Message]:
    """The messages that tell Northside of an event, read back."""
    envelope = Envelope(US, Party("EHR", "NORTHSIDE"), told.now, "OUT-1", answers)
    with told.gateway.store.snapshot(STAFF) as tx:
        case = tx.cases.get("REF-1")
        assert case is not None
        reply = reply_of(tx, case, US)
    assert reply is not None
    raw = [status_answer(reply, envelope)] if event == "asked" else write_replies(style, event, reply, envelope)
    found = [v2.read(message) for message in raw]
    assert all(v2.check(message) == [] for message in found)
    return found


def field(message: v2.Message, place: str, component: int = 1) -> str:
    name, number = place.split("-")
    return message.named(name)[0].value(int(number), component)


def test_an_accepted_referral_is_told_with_its_own_number_people_and_patient(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "accept")
    (message,) = writes(told, "rri", "accept")
    assert (message.header.message_type, field(message, "RF1-1"), field(message, "RF1-6"), field(message, "RF1-6", 2)) == (
        "RRI^I12",
        "A",
        "REF-1",
        "NORTHSIDE",
    )
    (task,) = told.found("Task")
    assert field(message, "RF1-11") == task["id"]
    assert [(prd.value(1), prd.value(2), prd.value(7)) for prd in message.named("PRD")] == [
        ("RP", "Okafor", "1234567893"),
        ("RT", "Lindqvist", "1987654325"),
    ]
    assert (field(message, "PID-3"), field(message, "PID-5"), field(message, "PID-7")) == ("554321", "Marlowe", "19710314")


def test_a_declined_referral_says_why_in_the_order_status(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "decline", "no sarcoma service here")
    (message,) = writes(told, "osu", "decline")
    assert [field(message, place) for place in ("ORC-1", "ORC-2", "ORC-5", "ORC-12")] == ["OC", "REF-1", "CA", "1234567893"]
    assert field(message, "ORC-16", 2) == "no sarcoma service here"


def test_a_booking_is_told_as_it_came_and_ours_again_changes_nothing(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    status, booking = writes(told, "osu", "appointment-booked")
    assert (field(status, "ORC-5"), field(status, "ORC-15")) == ("SC", "20260928090000-0500")
    assert booking.header.message_type == "SIU^S12"
    assert (field(booking, "SCH-26"), field(booking, "AIS-4"), field(booking, "SCH-25")) == ("REF-1", "20260928090000-0500", "Booked")


def test_the_opinion_goes_out_as_a_signed_document_in_either_style(told: Told) -> None:
    in_review(told)
    issues(told)
    (note,) = notes(told)
    data = note["content"][0]["attachment"]["data"]
    status, document = writes(told, "rri", "issue-opinion")
    assert (field(status, "RF1-1"), status.named("RF1")[0].repetitions(4)[-1][0]) == ("A", "WR")
    assert (document.header.message_type, field(document, "TXA-17"), field(document, "TXA-12", 3)) == ("MDM^T02", "AU", f"urn:uuid:{note['id']}")
    (outcome,) = writes(told, "osu", "issue-opinion")
    assert (outcome.header.message_type, field(outcome, "ORC-5")) == ("OMG^O19", "CM")
    for message in (document, outcome):
        assert field(message, "OBX-5", 5) == data
        assert "Ines Marlowe" in base64.b64decode(data).decode()
        assert field(message, "OBX-16", 2) == "Dr Maja Lindqvist"


def test_a_note_issued_again_names_the_one_it_replaces(told: Told) -> None:
    in_review(told)
    issues(told)
    (first,) = notes(told)
    told.gateway.actions.move(STAFF, "REF-1", "reopen")
    issues(told)
    _, document = writes(told, "rri", "issue-opinion")
    assert (document.header.message_type, field(document, "TXA-13", 3)) == ("MDM^T10", f"urn:uuid:{first['id']}")


@pytest.mark.parametrize("style", ["rri", "osu"])
def test_without_permission_no_word_of_the_opinion_goes_out(told: Told, style: str) -> None:
    in_review(told, permitted=False)
    issues(told)
    (message,) = writes(told, style, "issue-opinion")
    for word in (b"ED|", b"Lindqvist^Maja", b"Neoadjuvant", b"systemically", b"NCT01234567", b"WR^"):
        assert word not in message.raw
    consents(told)
    assert writes(told, style, "issue-opinion")[0].named("OBX") == [], "what was withheld stays so"


def test_a_question_is_answered_with_how_it_stands(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.move(STAFF, "REF-1", "return-incomplete", "The pathology report is missing")
    (message,) = writes(told, "rri", "asked", answers="Q-7")
    assert (message.header.message_type, field(message, "MSA-2"), field(message, "RF1-1")) == ("RRI^I15", "Q-7", "P")
    assert field(message, "NTE-3") == "The pathology report is missing"
