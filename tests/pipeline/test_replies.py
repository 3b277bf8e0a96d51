"""Which messages tell a sender of which move of a case: read off the table of the state machine, in both styles senders are registered for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_gateway.cases import machine
from fhir_gateway.pipeline.replies import Reply, status_answer, write_replies
from mappers import v2
from mappers.v2.write.er7 import Envelope, Party
from tests.mappers.test_write import NOTE, SUBJECT

ENVELOPE = Envelope(Party("GATEWAY", "CLINIC"), Party("EHR", "NORTHSIDE"), datetime(2026, 9, 14, 15, 30, tzinfo=UTC), "OUT-1")
VISIT = {"resourceType": "Appointment", "id": "visit", "status": "booked", "start": "2026-09-24T13:00:00-04:00"}


def told(style: Any, event: str, state: str, **more: Any) -> list[v2.Message]:
    reply = Reply(SUBJECT, state, appointment=VISIT, **more)
    return [v2.read(raw) for raw in write_replies(style, machine.tells(event, state), reply, ENVELOPE)]


def says(message: v2.Message) -> tuple[str, str]:
    """The message type with RF1-1, ORC-5 or TXA-17."""
    for name, number in (("RF1", 1), ("TXA", 17), ("ORC", 5)):
        if found := message.named(name):
            return message.header.message_type, found[0].value(number)
    return message.header.message_type, ""


@pytest.mark.parametrize(
    ("event", "state", "rri", "osu"),
    [
        ("accept", "accepted", [("RRI^I12", "A")], [("OSU^O51", "IP")]),
        ("request-information", "awaiting-information", [("RRI^I12", "P")], [("OSU^O51", "HD")]),
        ("return-incomplete", "returned-incomplete", [("RRI^I12", "P")], [("OSU^O51", "HD")]),
        ("decline", "declined", [("RRI^I12", "R")], [("OSU^O51", "CA")]),
        ("cancel", "cancelled", [("RRI^I14", "R")], [("OSU^O51", "CA")]),
        ("expire", "expired", [("RRI^I12", "E")], [("OSU^O51", "DC")]),
        ("appointment-booked", "scheduled", [("RRI^I12", "A"), ("SIU^S12", "")], [("OSU^O51", "SC"), ("SIU^S12", "")]),
        ("appointment-moved", "scheduled", [("SIU^S13", "")], [("SIU^S13", "")]),
        ("appointment-cancelled", "appt-cancelled", [("SIU^S15", "")], [("SIU^S15", "")]),
        ("no-show", "no-show", [("SIU^S26", "")], [("SIU^S26", "")]),
        ("interim-opinion", "interim", [("MDM^T02", "AU")], [("OMG^O19", "IP")]),
        ("issue-opinion", "opinion-issued", [("RRI^I12", "A"), ("MDM^T02", "AU")], [("OMG^O19", "CM")]),
        ("refuse-cancel", "collecting", [("RRI^I12", "A")], [("OSU^O51", "IP")]),
        ("records-complete", "records-complete", [], []),
        ("start-review", "in-review", [], []),
    ],
)
def test_a_move_is_told_as_the_table_says(event: str, state: str, rri: Any, osu: Any) -> None:
    assert [says(message) for message in told("rri", event, state, note=NOTE)] == rri
    assert [says(message) for message in told("osu", event, state, note=NOTE)] == osu


def test_one_event_into_one_state_tells_the_same_wherever_it_came_from() -> None:
    """Whoever writes the message knows where the case is now, not where it was."""
    by_move: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for row in machine.TRANSITIONS:
        by_move.setdefault((row.event, row.to), set()).add(row.tells)
    assert [move for move, tellings in by_move.items() if len(tellings) > 1] == []


@pytest.mark.parametrize("style", ["rri", "osu"])
def test_every_move_of_the_table_can_be_written(style: Any) -> None:
    for row in machine.TRANSITIONS:
        for message in told(style, row.event, row.to, note=NOTE, reason="because"):
            assert v2.check(message) == [], (row.event, message.header.message_type)


@pytest.mark.parametrize("state", [state.name for state in machine.CASE_STATES])
def test_codes_of_every_state_are_those_of_their_tables(state: str) -> None:
    row = machine.BY_NAME[state]
    assert row.rf1 in {"A", "P", "R", "E"}
    assert row.orc1 in {"SC", "OC", "CR", "OD"}
    assert row.orc5 in {"IP", "HD", "SC", "CM", "CA", "DC", "ER"}


def test_the_reason_stands_in_each_style_where_it_is_looked_for() -> None:
    (rri,), (osu,) = told("rri", "decline", "declined", reason="no sarcoma service"), told("osu", "decline", "declined", reason="no sarcoma service")
    assert rri.named("NTE")[0].value(3) == "no sarcoma service"
    assert osu.named("ORC")[0].value(16, 2) == "no sarcoma service"


def test_an_opinion_that_may_not_be_returned_is_announced_without_a_word_of_it() -> None:
    for style, kinds in (("rri", ["RRI^I12"]), ("osu", ["OMG^O19"])):
        messages = told(style, "issue-opinion", "opinion-issued", note=None)
        assert [message.header.message_type for message in messages] == kinds
        assert "permission" in messages[0].named("NTE")[0].value(3)
        assert all(not message.named("OBX") for message in messages)
        assert told(style, "interim-opinion", "interim", note=None) == []


def test_messages_of_one_move_have_control_ids_of_their_own_and_the_same_bytes_every_time() -> None:
    first, again = (told("rri", "issue-opinion", "opinion-issued", note=NOTE) for _ in range(2))
    assert [message.header.control_id for message in first] == ["OUT-1", "OUT-1-2"]
    assert [message.raw for message in first] == [message.raw for message in again]


def test_a_question_is_answered_in_every_state() -> None:
    envelope = Envelope(ENVELOPE.sender, ENVELOPE.receiver, ENVELOPE.now, "OUT-9", answers="Q-1")
    for state in machine.CASE_STATES:
        message = v2.read(status_answer(Reply(SUBJECT, state.name), envelope))
        assert (message.header.message_type, message.named("MSA")[0].value(2)) == ("RRI^I15", "Q-1")
        assert message.named("RF1")[0].value(1) == state.rf1
