"""What a message does to the case: a referral changed or withdrawn, an appointment moved; and that the records stay what they were."""

from __future__ import annotations

import pytest

from mappers import v2
from mappers.result import Refused
from tests.mappers.build import PID, TABLES, drafts, kept_values, mapped
from tests.mappers.test_tables import FIXTURES

RF1 = "RF1|P^Pending|||||R1^N"


def golden(case):
    return v2.map_message(v2.read((FIXTURES / case / "input.hl7").read_bytes()), TABLES, v2.Site())


@pytest.fixture(scope="module")
def story():
    return [golden(f"ref_i1{case}") for case in ("2/breast-second-opinion", "3/breast-more-urgent", "4/breast-withdrawn")]


def test_a_changed_and_a_withdrawn_referral_are_the_one_that_was_sent(story):
    referrals = [next(d for d in result.drafts if d.full_url == result.events[0].full_url) for result in story]
    assert len({r.keys for r in referrals}) == 1
    assert referrals[0].clock.message < referrals[1].clock.message < referrals[2].clock.message
    assert [bool(r.clock.clinical) for r in referrals] == [True, True, False], "who only withdraws a referral does not tell it anew"
    assert [r.resource["status"] for r in referrals] == ["active", "active", "revoked"]


def test_the_events_say_what_happened_to_which_referral_and_when(story):
    assert [e.kind for result in story for e in result.events] == ["refer", "modify", "cancel"]
    assert [result.events[0].at for result in story] == ["20260903133000000000", "20260907141500000000", "20260911120000000000"]
    for result in story:
        held = next(d.resource for d in result.drafts if d.full_url == result.events[0].full_url)
        assert held["resourceType"] == "ServiceRequest"


def test_a_changed_referral_stands_alone_so_that_what_it_drops_is_gone(story):
    first, changed = (next(d for d in result.drafts if d.full_url == result.events[0].full_url) for result in story[:2])
    assert changed.merge == "replace"
    assert (first.resource["priority"], changed.resource["priority"]) == ("routine", "asap")
    assert len(first.resource["insurance"]) - len(changed.resource["insurance"]) == 1


def cancelled(*segments):
    result = mapped(*segments, event="REF^I14")
    return next(d for d in result.drafts if d.full_url == result.events[0].full_url)


def test_a_withdrawal_leaves_what_it_does_not_say():
    draft = cancelled(RF1, PID)
    assert draft.merge == "enrich"
    assert "category" not in draft.resource
    assert draft.keys[0] == ("ServiceRequest:PLAC", "urn:second-opinion-gateway:sid:HOSP:N|R1")
    again = cancelled("RF1|P|||SO||R1^N", PID)
    assert [c["coding"][0]["code"] for c in again.resource["category"]] == ["3457005", "SO"]


def test_how_a_withdrawn_referral_stood_is_kept_beside_the_status():
    draft = cancelled(RF1, PID)
    assert "_status" not in draft.resource
    assert kept_values(draft.resource) == {"RF1-1.1": "P", "RF1-1.2": "Pending"}
    assert kept_values(cancelled("RF1|R|||||R1^N", PID).resource) == {}


def test_a_withdrawal_with_its_status_deleted_is_still_a_withdrawal():
    draft = cancelled('RF1|""|||||R1^N', PID)
    assert draft.resource["status"] == "revoked"
    assert "status" not in draft.deletes


def test_a_withdrawal_without_rf1_is_one_too():
    assert cancelled(PID).resource["status"] == "revoked"


def test_a_referral_deleted_by_rf1_25_was_an_error():
    result = mapped(RF1 + "|" * 19 + "D", PID, event="REF^I13")
    draft = next(d for d in drafts(result, "ServiceRequest"))
    assert draft.resource["status"] == "entered-in-error"
    assert kept_values(draft.resource)["RF1-1.1"] == "P"


@pytest.mark.parametrize(
    ("trigger", "kind"), [("S12", "book"), ("S13", "reschedule"), ("S14", "modify"), ("S15", "cancel"), ("S17", "cancel"), ("S26", "noshow")]
)
def test_what_happens_to_an_appointment(trigger, kind):
    result = mapped("SCH|A1|B1", PID, event=f"SIU^{trigger}", at="20260901120000-0400")
    assert [(e.kind, e.full_url, e.at) for e in result.events] == [(kind, drafts(result, "Appointment")[0].full_url, "20260901160000000000")]


def test_results_are_records_and_no_event():
    assert mapped(PID, "OBR|1||F1^LAB|58410-2^CBC^LN").events == []


def test_a_message_without_a_time_still_has_its_event():
    assert [(e.kind, e.at) for e in mapped(RF1, PID, event="REF^I12", at="").events] == [("refer", "")]


def test_a_question_how_a_referral_stands_names_it_and_makes_no_record():
    result = mapped("RF1|P^Pending|||||R1^N|||||SO-9^CLINIC", PID, event="REF^I15", at="20260901120000-0400")
    assert [(e.kind, e.full_url, e.at) for e in result.events] == [("status", "", "20260901160000000000")]
    assert [(i["value"], i["type"]["coding"][0]["code"]) for i in result.asked] == [("R1", "PLAC"), ("SO-9", "FILL")]
    assert {d.resource["resourceType"] for d in result.drafts} == {"MessageHeader", "Organization", "Provenance"}
    assert kept_values([d.resource for d in result.drafts]).keys() == {"MSH-10"}
    assert {(e.where.segment, e.where.field) for e in result.ledger} >= {("RF1", 6), ("RF1", 11), ("PID", 5)}


def test_a_question_without_rf1_is_refused_and_one_without_a_number_is_at_fault():
    with pytest.raises(Refused) as refused:
        mapped(PID, event="REF^I15")
    assert (refused.value.ack_code, refused.value.findings[0].code) == ("AE", "100")
    result = mapped("RF1|P", PID, event="REF^I15")
    assert result.asked == ()
    assert ("error", "101", "RF1[1]-6") in [(f.severity, f.code, str(f.where)) for f in result.findings]


def test_only_a_question_asks():
    assert mapped(RF1, PID, event="REF^I12").asked == ()
