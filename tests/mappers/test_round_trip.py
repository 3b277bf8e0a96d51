"""Every message we write, read by the reader of its own type: what another gateway like ours would make of it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.machine import CASE_STATES
from fhir_gateway.validation import validate
from mappers import v2
from mappers.v2.write import er7
from mappers.v2.write.omg import omg
from mappers.v2.write.osu import osu
from mappers.v2.write.rri import rri
from mappers.v2.write.segments import Standing
from tests.mappers.build import TABLES, only, resources, warnings
from tests.mappers.test_write import ENVELOPE, NOTE, NOW, SUBJECT

STANDINGS = [Standing(state.rf1, state.orc1, state.orc5) for state in CASE_STATES]


def read(raw: bytes) -> Any:
    """Mapped as its receiver would, who knows the referral's number as its own."""
    result = v2.map_message(v2.read(raw), TABLES, v2.Site(sender="NORTHSIDE"))
    assert [issue for draft in result.drafts for issue in validate(draft.resource)] == []
    assert warnings(result) == []
    return result


def numbers(resource: dict[str, Any]) -> list[str]:
    return [based["identifier"]["value"] for based in resource["basedOn"]]


@pytest.mark.parametrize("standing", STANDINGS, ids=lambda s: f"{s.control}-{s.order}")
def test_how_a_case_stands_is_word_of_it_whatever_the_state_and_never_a_withdrawal(standing: Standing) -> None:
    result = read(osu(SUBJECT, standing, ENVELOPE, reason="no sarcoma service here", effective="2026-10-01", notes=["call us"]))
    told = only(result, "Communication")
    assert [c["code"] for c in told["topic"]["coding"]] == [standing.control, standing.order]
    assert numbers(told) == ["REF-1", "task-1"]
    assert told["reasonCode"] == [{"text": "no sarcoma service here"}]
    assert told["payload"] == [{"contentString": "call us"}]
    assert told["sent"] == "2026-09-14T15:30:00-05:00"
    assert resources(result, "ServiceRequest") == []


@pytest.mark.parametrize("event", ["I12", "I13", "I14", "I15"])
@pytest.mark.parametrize("answers", ["", "Q-7"])
def test_a_reply_says_standing_and_why_and_answers_what_was_asked(event: Any, answers: str) -> None:
    envelope = er7.Envelope(ENVELOPE.sender, ENVELOPE.receiver, NOW, "OUT-2", answers=answers)
    result = read(rri(SUBJECT, Standing("P", "SC", "HD"), envelope, event=event, notes=["slides", "consent\nsigned"], report=True))
    told = only(result, "Communication")
    assert told["topic"]["coding"][0]["code"] == "P"
    assert [part["contentString"] for part in told["payload"]] == ["slides", "consent\nsigned"]
    assert numbers(told) == ["REF-1", "task-1"]
    assert [c["coding"][0]["code"] for c in told["reasonCode"]] == ["WR"]
    assert [p["name"][0]["family"] for p in resources(result, "Practitioner")] == ["Okafor"]
    assert only(result, "MessageHeader").get("response") == ({"identifier": "Q-7", "code": "ok"} if answers else None)
    assert "extension" not in only(result, "Patient"), "the notes are the reply's, not the patient's"
    assert resources(result, "ServiceRequest") == []


def test_the_outcome_with_its_note_is_a_report_of_the_referral_and_no_referral() -> None:
    result = read(omg(SUBJECT, Standing("A", "SC", "CM"), ENVELOPE, note=NOTE, author=SUBJECT.requester))
    report, document = only(result, "DiagnosticReport"), only(result, "DocumentReference")
    assert (report["status"], document["docStatus"]) == ("final", "final")
    assert only(result, "Binary")["data"] == NOTE["content"][0]["attachment"]["data"]
    assert "REF-1" in {based["identifier"]["value"] for based in report["basedOn"] if "identifier" in based}
    focus = only(result, "MessageHeader")["focus"][0]["reference"]
    assert next(d.resource for d in result.drafts if d.full_url == focus)["resourceType"] == "DiagnosticReport", "a referral is what is pointed at"
    assert result.events == []


def test_an_outcome_without_its_note_is_word_of_it() -> None:
    result = read(omg(SUBJECT, Standing("A", "SC", "CM"), ENVELOPE, note=None, notes=["the patient did not agree"]))
    told = only(result, "Communication")
    assert [c["code"] for c in told["topic"]["coding"]] == ["SC", "CM"]
    assert told["payload"] == [{"contentString": "the patient did not agree"}]
    assert resources(result, "ServiceRequest") == []
