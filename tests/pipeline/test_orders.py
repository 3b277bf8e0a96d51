"""Orders over HL7 v2: tests that are held already, referrals by order, and word of how either stands (360X)."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.validation import validate
from mappers import v2
from tests import messages
from tests.pipeline.conftest import Told

CBC = "58410-2^CBC panel^LN"


def order(kind: str, control: str = "NW", *, code: str = CBC, number: str = "P-1", made: str = "20260912080000-0500", more: str = "") -> bytes:
    """An order of one test."""
    return messages.order(kind, f"ORC|{control}|{number}^NORTHSIDE", f"OBR|1|{number}^NORTHSIDE||{code}{more}", made=made)


def by_order(control: str = "NW", *, made: str = "20260910080000-0500") -> bytes:
    """OMG^O19: a referral for a second opinion (360X PCC-55)."""
    obr = "OBR|1|REF-1^NORTHSIDE||57133-1^Referral note^LN" + "|" * 27 + "S^Second Opinion^HL70336"
    return messages.order("OMG^O19", f"ORC|{control}|REF-1^NORTHSIDE", obr, "DG1|1||C50.411^Malignant neoplasm^I10C||20260901|F", made=made)


def status(control: str, state: str, *, made: str = "20260913080000-0500") -> bytes:
    """OSU^O51 about the referral."""
    return messages.order("OSU^O51", f"ORC|{control}|REF-1^NORTHSIDE|||{state}", made=made)


def told_of(told: Told) -> dict[str, Any]:
    (found,) = [c for c in told.found("Communication") if "topic" in c]
    assert validate(found) == []
    return found


@pytest.mark.parametrize("kind", ["ORM^O01", "OMG^O19", "OML^O21"])
def test_an_order_for_a_test_that_is_held_is_noticed_and_its_sender_told(told: Told, kind: str) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count(collected="20260901"))
    code, _, texts = told.receives(order(kind))
    assert code == "AA"
    assert any("do not repeat the test" in text and text.startswith("W") for text in texts)
    (issue,) = told.found("DetectedIssue")
    assert (issue["code"]["coding"][0]["code"], len(issue["implicated"])) == ("test-already-held", 2)
    assert len(told.cases()) == 1, "an order for a blood count opens no case"


def test_an_order_that_is_cancelled_or_for_something_else_is_not_noticed(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count(collected="20260901"))
    told.receives(order("ORM^O01", "DC"))
    told.receives(order("ORM^O01", code="2160-0^Creatinine^LN", number="P-2"))
    assert told.found("DetectedIssue") == []


def test_an_order_is_cancelled_by_its_number_and_its_result_leaves_it_as_it_was(told: Told) -> None:
    told.receives(order("ORM^O01", more="||||||||||||1234567893^Okafor^Daniel"))
    (before,) = told.found("ServiceRequest")
    result = messages.order(
        "ORU^R01",
        "ORC|RE|P-1^NORTHSIDE|L-1^LAB|||||||||1234567893^Okafor^Daniel",
        f"OBR|1|P-1^NORTHSIDE|L-1^LAB|{CBC}|||20260912|||||||||||||||20260912100000-0500|||F",
        "OBX|1|NM|718-7^Hemoglobin^LN||12.4|g/dL|||||F",
        made="20260912100500-0500",
    )
    told.receives(result)
    (held,) = told.found("ServiceRequest")
    assert (held["status"], held["requester"]) == ("active", before["requester"])
    told.receives(messages.order("ORM^O01", "ORC|CA|P-1^NORTHSIDE", made="20260913080000-0500"))
    (held,) = told.found("ServiceRequest")
    assert held["status"] == "active", "a request to cancel is not yet the end (guide: OrderControlCode row 4)"
    told.receives(messages.order("ORM^O01", "ORC|DC|P-1^NORTHSIDE", made="20260913090000-0500"))
    (held,) = told.found("ServiceRequest")
    assert (held["status"], held["code"]["coding"][0]["code"]) == ("revoked", "58410-2")


def test_a_referral_by_order_opens_a_confirmed_case_of_its_tumour_group(told: Told) -> None:
    assert told.receives(by_order())[0] == "AA"
    (case,) = told.cases()
    assert (case["confirmed"], case["tumourGroup"], case["referral"]) == (True, "breast", "REF-1")
    told.receives(messages.pathology())
    assert told.item("pathology-report")["state"] == "accepted"


def test_the_same_referral_by_ref_and_by_order_is_one_case(told: Told) -> None:
    told.receives(messages.referral(made="20260910080000-0500"))
    told.receives(by_order(made="20260911080000-0500"))
    assert len(told.cases()) == 1


@pytest.mark.parametrize("end", [status("CA", "CA"), by_order("CA", made="20260913080000-0500")], ids=["osu", "omg"])
def test_a_referrer_takes_its_referral_back(told: Told, end: bytes) -> None:
    told.receives(by_order())
    told.receives(end)
    assert told.cases() == [], "the case is closed"
    assert told.found("Task")[0]["status"] == "cancelled"


def test_taken_back_before_it_came_it_opens_no_living_case(told: Told) -> None:
    told.receives(status("CA", "CA"))
    told.receives(by_order())
    assert told.cases() == []
    (referral,) = told.found("ServiceRequest")
    assert (referral["status"], "reasonReference" in referral) == ("revoked", True)


@pytest.mark.parametrize(("control", "state"), [("SC", "IP"), ("SC", "CM"), ("OC", "CA"), ("SC", "HD")])
def test_word_of_how_it_stands_is_kept_with_the_case_and_moves_nothing(told: Told, control: str, state: str) -> None:
    told.receives(by_order())
    before = told.case()["case"]["state"]
    assert told.receives(status(control, state))[0] == "AA"
    assert told.case()["case"]["state"] == before
    assert [r["status"] for r in told.found("ServiceRequest")] == ["active"]
    assert [c["code"] for c in told_of(told)["topic"]["coding"]] == [control, state]


def test_a_reply_about_a_referral_opens_no_case_and_changes_none(told: Told) -> None:
    reply = messages.order("RRI^I12", "RF1|R^Rejected^HL70283|||||REF-1^NORTHSIDE", "PRD|RT^Referred to^HL70286|Lund^Ola", made="20260912080000-0500")
    assert told.receives(reply)[0] == "AA"
    assert told.cases() == []
    told.receives(messages.referral())
    assert told.case()["case"]["state"] == "received"
    assert told_of(told)["topic"]["coding"][0]["code"] == "R"


@pytest.mark.parametrize("mode", ["", "||AL|AL"])
def test_an_acknowledgement_is_kept_and_never_acknowledged_for_what_it_says(told: Told, mode: str) -> None:
    """Or two systems would answer each other for ever; in enhanced mode its bytes are, as those of every message."""
    ack = f"MSH|^~\\&|EHR|NORTHSIDE|GATEWAY|CLINIC|20260912080000-0500||ACK^A08^ACK|N-1|P|2.5.1|{mode}\rMSA|AE|OUT-9|no\r".encode()
    assert [v2.read_ack(answer)[0] for answer in told.answers(ack)] == (["CA"] if mode else [])
    (line,) = told.inbox()
    assert (line.state, told.cases()) == ("processed", [])
    assert told.found("MessageHeader")[0]["response"] == {"code": "fatal-error", "identifier": "OUT-9", "details": {"reference": "#answer"}}


def test_a_refused_acknowledgement_is_kept_and_not_answered_either(told: Told) -> None:
    assert told.answers(b"MSH|^~\\&|EHR|NORTHSIDE|||20260912080000-0500||ACK|N-2|P|2.5.1\r") == []
    assert told.inbox()[0].state == "refused"


@pytest.mark.parametrize("kind", ["OSU^O51", "REF^I14", "OMG^O19"])
def test_nobody_takes_back_what_another_has_placed(told: Told, kind: str) -> None:
    """A number with a universal id is the same from whoever says it; the referral is its placer's all the same."""
    number = "REF-1^NORTHSIDE^1.2.3.4.5^ISO"
    told.receives(messages.referral().replace(b"REF-1^NORTHSIDE", number.encode()))
    body = {
        "OSU^O51": [messages.PERSON, f"ORC|CA|{number}|||CA"],
        "OMG^O19": [messages.PERSON, f"ORC|CA|{number}", f"OBR|1|{number}||57133-1^Referral note^LN"],
        "REF^I14": [f"RF1|P|||||{number}", "PRD|RP|Doe", messages.PERSON],
    }[kind]
    for sender, code in (("ELSEWHERE", "AE"), ("NORTHSIDE", "AA")):
        answer = told.receives(messages.order(kind, *body, made="20260912080000-0500", sender=sender, bare=True))
        assert answer[0] == code
        assert [r["status"] for r in told.found("ServiceRequest")] == ["active" if code == "AE" else "revoked"]
    assert [line.state for line in told.inbox()] == ["processed", "refused", "processed"]
