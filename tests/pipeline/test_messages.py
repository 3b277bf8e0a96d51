"""HL7 v2 through the pipeline: acknowledged, kept, applied once, in any order."""

from __future__ import annotations

import itertools

import pytest

from tests import messages
from tests.pipeline.conftest import STAFF, Told


def test_a_referral_opens_a_confirmed_case_with_the_checklist_of_its_tumour_group(told: Told) -> None:
    assert told.receives(messages.referral())[0] == "AA"
    (case,) = told.cases()
    assert (case["state"], case["confirmed"], case["tumourGroup"], case["referral"]) == ("received", True, "breast", "REF-1")
    (task,) = told.found("Task")
    assert task["focus"]["reference"] == f"ServiceRequest/{case['id']}"
    assert told.item("referral-order")["state"] == "accepted"
    assert told.item("insurance-card")["state"] == "accepted"
    assert told.item("pathology-report")["state"] == "missing"


def test_a_referral_that_does_not_say_second_opinion_opens_an_unconfirmed_case(told: Told) -> None:
    told.receives(messages.referral(second_opinion=False))
    (case,) = told.cases()
    assert case["confirmed"] is False
    (task,) = told.found("Task")
    assert [tag["code"] for tag in task["meta"]["tag"]] == ["unconfirmed"]


def test_a_diagnosis_without_a_list_of_its_own_uses_the_base_list_and_says_so(told: Told) -> None:
    told.receives(messages.referral(diagnosis="C64.1"))
    (case,) = told.cases()
    assert case["tumourGroup"] == "base"


def test_the_same_message_again_gets_the_same_answer_and_changes_nothing(told: Told) -> None:
    message = messages.referral()
    first = told.answers(message)
    before = {type: told.count(type) for type in ("Patient", "ServiceRequest", "Coverage", "Task", "Provenance")}
    told.passes(hours=1)
    assert told.answers(message) == first
    assert told.answers(message.replace(b"\r", b"\r\n")) == first, "line ends do not make another message"
    assert {type: told.count(type) for type in before} == before
    assert told.found("Patient")[0]["meta"]["versionId"] == "1"


def test_the_same_control_id_with_other_content_is_a_new_message(told: Told) -> None:
    told.receives(messages.referral("REF-1", control_id="C1"))
    assert told.receives(messages.referral("REF-2", control_id="C1", mrn="999", family="Other"))[0] == "AA"
    assert len(told.cases()) == 2


def test_the_same_referral_under_a_new_control_id_makes_no_second_one(told: Told) -> None:
    told.receives(messages.referral(control_id="C1"))
    told.receives(messages.referral(control_id="C2"))
    assert len(told.cases()) == 1
    assert [told.count(type) for type in ("Patient", "ServiceRequest", "Coverage", "Condition", "Practitioner", "Task")] == [1, 1, 1, 1, 2, 1]


def test_a_record_with_the_referral_number_closes_its_item_and_names_its_source(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    item = told.item("pathology-report")
    assert item["state"] == "accepted"
    (report,) = told.found("DiagnosticReport")
    assert item["suppliedBy"] == [f"DiagnosticReport/{report['id']}"]
    raw = told.gateway.raw_message(STAFF, item["source"].removeprefix("Binary/"))
    assert raw is not None and b"11529-5" in raw.content
    assert told.item("er")["state"] == "accepted"


def test_everything_mapped_leads_back_to_the_message_it_came_in(told: Told) -> None:
    told.receives(messages.referral())
    (provenance,) = told.found("Provenance")
    what = provenance["entity"][0]["what"]["reference"]
    raw = told.gateway.raw_message(STAFF, what.removeprefix("Binary/"))
    assert raw is not None and raw.content.startswith(b"MSH|")
    targets = {target["reference"] for target in provenance["target"]}
    assert {f"{r['resourceType']}/{r['id']}" for type in ("Patient", "ServiceRequest", "Coverage", "Condition") for r in told.found(type)} <= targets


def test_a_late_preliminary_does_not_undo_a_final(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(status="F", reported="20260905100000-0500", made="20260905100100-0500"))
    assert told.receives(messages.pathology(status="P", reported="20260905090000-0500", made="20260905090100-0500"))[0] == "AA"
    assert told.item("pathology-report")["state"] == "accepted"
    assert told.found("DiagnosticReport")[0]["status"] == "final"


def test_a_preliminary_alone_is_not_acceptable_until_the_final_comes(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(status="P", reported="20260904090000-0500", made="20260904090100-0500"))
    item = told.item("pathology-report")
    assert (item["state"], item["reason"]) == ("not-acceptable", "preliminary")
    told.receives(messages.pathology())
    assert told.item("pathology-report")["state"] == "accepted"


def test_records_before_the_referral_wait_and_are_taken_in(told: Told) -> None:
    told.receives(messages.pathology())
    assert told.cases() == []
    with told.gateway.store.snapshot(STAFF) as tx:
        assert {stored.type for _, stored in tx.cases.orphans()} >= {"DiagnosticReport"}
    assert told.count("DiagnosticReport") == 1, "an orphan is readable by staff at once"
    told.receives(messages.referral())
    assert told.item("pathology-report")["state"] == "accepted"
    with told.gateway.store.snapshot(STAFF) as tx:
        assert list(tx.cases.orphans()) == []


def test_a_record_of_the_patient_without_a_referral_number_counts(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count())
    assert told.item("lab-cbc")["state"] == "accepted"


def test_a_record_that_names_another_referral_does_not_count(told: Told) -> None:
    told.receives(messages.referral("REF-1"))
    told.receives(messages.referral("REF-2", diagnosis="C34.1"))
    told.receives(messages.pathology(number="REF-2"))
    states = {case["referral"]: told.item("pathology-report", case["id"])["state"] for case in told.cases()}
    assert states == {"REF-1": "missing", "REF-2": "accepted"}


def test_a_record_with_the_right_number_about_somebody_else_waits_for_a_person(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(mrn="777", family="Quimby", given="Joe", born="19500101"))
    item = told.item("pathology-report")
    assert item["state"] != "accepted"


def test_every_order_of_the_same_messages_ends_in_the_same_case(told: Told) -> None:
    story = [
        messages.referral(),
        messages.pathology(),
        messages.blood_count(),
        messages.appointment("S12", "20261005090000-0500", made="20260906080000-0500"),
    ]
    ends = []
    for number, order in enumerate(itertools.islice(itertools.permutations(story), 0, 24, 5)):
        for message in order:
            renamed = (
                message.replace(b"554321", b"55%04d" % number).replace(b"REF-1", b"REF-%d" % (100 + number)).replace(b"S26-1001", b"S26-%d" % number)
            )
            renamed = renamed.replace(b"L-1^", b"L-%d^" % number).replace(b"A-9^", b"A-%d^" % number).replace(b"P-77", b"P-%d" % number)
            assert told.receives(renamed)[0] == "AA"
        flat = told.case(f"REF-{100 + number}")
        ends.append(
            (
                flat["case"]["state"],
                flat["case"]["appointment"],
                [(i["id"], i["state"], i["reason"], i["due"], i["goodUntil"]) for i in flat["items"]],
            )
        )
    assert all(end == ends[0] for end in ends)


def test_an_appointment_sets_due_dates_and_moving_it_recomputes_them(told: Told) -> None:
    told.receives(messages.referral())
    assert told.case()["case"]["due"] is None
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    first = told.case()["case"]
    assert (first["state"], first["due"]) == ("scheduled", "2026-09-21")
    told.receives(messages.appointment("S13", "20261026090000-0500", made="20260912080000-0500"))
    assert told.case()["case"]["due"] == "2026-10-19"
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260910220000-0500"))
    assert told.case()["case"]["due"] == "2026-10-19", "a late message about an earlier booking changes nothing"


def test_time_alone_makes_a_record_stale(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.blood_count(collected="20260901"))
    item = told.item("lab-cbc")
    assert (item["state"], item["goodUntil"]) == ("accepted", "2026-10-01")
    told.passes(days=25)
    item = told.item("lab-cbc")
    assert (item["state"], item["reason"]) == ("not-acceptable", "stale")


def test_as_of_gives_the_answer_of_that_day(told: Told) -> None:
    told.receives(messages.referral())
    before = told.now
    told.passes(days=1)
    told.receives(messages.pathology())
    assert told.item("pathology-report")["state"] == "accepted"
    then = told.case(as_of=before)
    assert next(i for i in then["items"] if i["id"] == "pathology-report")["state"] == "missing"


@pytest.mark.parametrize(
    ("message", "code", "place"),
    [
        (b"garbage", "AR", "MSH[1]"),
        (b"", "AR", "MSH[1]"),
        (b"MSH|^~\\&|A|B|C|D|20260101||ZZZ^Z99|1|P|2.5.1\rPID|1||1", "AR", "MSH[1]-9"),
        (b"MSH|^~\\&|A|B|C|D|20260101||REF^I99|2|P|2.5.1\rPID|1||1", "AR", "MSH[1]-9"),
        (b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|3|P|2.5.1\rRF1|A", "AE", "PID"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_place_and_kept(told: Told, message: bytes, code: str, place: str) -> None:
    (answer,) = told.answers(message)
    assert told.receives(message)[0] == code
    assert b"\rERR|" in answer
    line = told.inbox("refused")[0]
    assert place in str(line.findings[0]["where"]) or place in line.findings[0]["text"]
    with told.gateway.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(line.id)
    assert entry is not None and entry.raw == message and entry.answer is not None


def test_one_bad_field_costs_that_field_and_is_named_in_the_answer(told: Told) -> None:
    message = messages.blood_count().replace(b"|20260901|", b"|20261399|")
    (answer,) = told.answers(message)
    assert b"MSA|AA|" in answer
    assert b"OBR^1^7" in answer, answer
    assert told.found("Observation")[0]["valueQuantity"]["value"] is not None


def test_enhanced_mode_says_committed_then_applied(told: Told) -> None:
    codes = [answer.split(b"\rMSA|")[1][:2] for answer in told.answers(messages.referral(enhanced="AL|AL"))]
    assert codes == [b"CA", b"AA"]
    codes = [answer.split(b"\rMSA|")[1][:2] for answer in told.answers(messages.referral("REF-2", enhanced="NE|AL", mrn="2"))]
    assert codes == [b"AA"]
    assert told.answers(messages.referral("REF-3", enhanced="NE|NE", mrn="3")) == []
    assert len(told.cases()) == 3


def test_recovery_applies_what_was_committed_and_not_applied(told: Told) -> None:
    """Enhanced mode, killed between CA and AA."""
    answers = told.gateway.receive_v2(messages.referral(enhanced="AL|AL"), "mllp", "test")
    assert b"MSA|CA|" in next(answers)
    answers.close()
    assert told.cases() == []
    assert told.gateway.recover() == 1
    assert len(told.cases()) == 1
    assert told.gateway.recover() == 0


def test_a_failed_message_can_be_retried_and_retrying_twice_is_safe(told: Told) -> None:
    told.receives(b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|3|P|2.5.1\rRF1|A")
    (line,) = told.inbox("refused")
    assert told.gateway.retry(line.id).state == "refused"
    assert told.gateway.retry(line.id).attempts == 3


def test_the_beginning_of_an_oversized_message_is_kept(told: Told) -> None:
    answer = told.gateway.refuse_oversize(b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|BIG|P|2.5.1\r", 99_999_999, "ab" * 32, "mllp", "test")
    assert b"MSA|AR|BIG" in answer
    (line,) = told.inbox("refused")
    assert (line.size, line.content_hash) == (99_999_999, "ab" * 32)


def test_a_message_put_aside_by_staff_is_refused_when_it_comes_again(told: Told) -> None:
    bad = b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|3|P|2.5.1\rRF1|A"
    told.receives(bad)
    told.gateway.discard(told.inbox("refused")[0].id)
    assert told.receives(bad)[0] in ("AR", "AE")
    assert [line.state for line in told.inbox()] == ["discarded"]
