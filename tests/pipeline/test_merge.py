"""Merged, linked and parted patients: the case follows the survivor, whatever the order of arrival, and asOf still knows better."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import encode, validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told, ends_of

OLD, NEW = "118204", "554321"


def patient(told: Told, number: str) -> dict[str, Any]:
    """The Patient a number names."""
    (found,) = [p for p in told.found("Patient") if any(i["value"] == number for i in p["identifier"])]
    return found


def links(told: Told, number: str) -> set[tuple[str, str]]:
    """(type, number of the other) of every link of a Patient."""
    numbers = {f"Patient/{p['id']}": p["identifier"][0]["value"] for p in told.found("Patient")}
    return {(link["type"], numbers[link["other"]["reference"]]) for link in patient(told, number).get("link", ())}


def legal(told: Told) -> bool:
    """Is every Patient and Linkage legal R4?"""
    return all(validate(resource) == [] for type in ("Patient", "Linkage") for resource in told.found(type))


def state(told: Told, item: str = "pathology-report") -> str:
    """State of a required record of the only case."""
    return str(told.item(item)["state"])


def test_a_merge_leaves_two_patients_that_name_each_other_and_the_old_one_inactive(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    assert told.receives(messages.merge(NEW, OLD))[0] == "AA"
    assert links(told, NEW) == {("replaces", OLD)}
    assert links(told, OLD) == {("replaced-by", NEW)}
    assert (patient(told, OLD)["active"], patient(told, NEW).get("active")) == (False, None)
    assert legal(told)


def test_records_of_either_number_count_for_the_case_after_a_merge(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.pathology(number=None, mrn=NEW))
    assert state(told) == "missing", "two numbers are two people until somebody says otherwise"
    told.receives(messages.merge(NEW, OLD))
    assert state(told) == "accepted"
    told.receives(messages.blood_count(mrn=OLD))
    assert state(told, "lab-cbc") == "accepted"


def test_the_case_is_about_the_survivor_and_keeps_the_numbers_of_both(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD, family="Marlow"))
    told.receives(messages.merge(NEW, OLD, family="Marlowe-Reyes"))
    identity = told.item("patient-identity")
    assert identity["state"] == "accepted", "the survivor came with one number only, the person has three"
    assert identity["suppliedBy"] == [f"Patient/{patient(told, NEW)['id']}"]
    assert "Marlowe-Reyes" in told.gateway.letter(STAFF, "REF-1")


def test_as_of_before_the_merge_gives_the_answer_of_then(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.pathology(number=None, mrn=NEW))
    before = told.now
    told.passes(hours=1)
    told.receives(messages.merge(NEW, OLD))
    (case,) = told.cases()
    assert {i["id"]: i["state"] for i in told.case(case["id"], before)["items"]}["pathology-report"] == "missing"
    merged = told.now
    told.passes(hours=1)
    told.receives(messages.two_patients("A37", NEW, OLD))
    assert state(told) == "missing"
    assert {i["id"]: i["state"] for i in told.case(case["id"], merged)["items"]}["pathology-report"] == "accepted"


def test_an_unlink_undoes_a_merge(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.pathology(number=None, mrn=NEW))
    told.receives(messages.merge(NEW, OLD))
    assert told.receives(messages.two_patients("A37", NEW, OLD))[0] == "AA"
    assert (links(told, NEW), links(told, OLD)) == (set(), set())
    assert patient(told, OLD)["active"] is True
    assert state(told) == "missing"
    assert legal(told)


def test_ordinary_messages_about_either_number_do_not_undo_a_merge(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    told.receives(messages.pathology(number=None, mrn=OLD, family="Marlow", made="20260913080000-0500"))
    told.receives(messages.blood_count(mrn=NEW, given="Inez", made="20260913090000-0500"))
    told.receives(messages.referral(mrn=OLD, made="20260914080000-0500", event="I13"))
    assert links(told, OLD) == {("replaced-by", NEW)}
    assert links(told, NEW) == {("replaces", OLD)}
    assert patient(told, OLD)["active"] is False
    assert {state(told), state(told, "lab-cbc")} == {"accepted"}


def test_a_merge_that_comes_late_does_not_redo_what_was_undone(told: Told) -> None:
    told.receives(messages.two_patients("A37", NEW, OLD, made="20260912080000-0500"))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    assert (links(told, NEW), links(told, OLD)) == (set(), set())
    assert told.receives(messages.merge(NEW, OLD, made="20260913080000-0500"))[0] == "AA"
    assert links(told, NEW) == {("replaces", OLD)}, "a newer merge is a new decision"


def test_a_merge_older_than_other_messages_still_counts(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD, made="20260915080000-0500"))
    told.receives(messages.pathology(number=None, mrn=NEW, made="20260915090000-0500"))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    assert state(told) == "accepted"


def test_an_unlink_of_one_pair_leaves_a_late_merge_of_another_alone(told: Told) -> None:
    told.receives(messages.two_patients("A37", NEW, "999999", made="20260913080000-0500"))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    assert links(told, NEW) == {("replaces", OLD)}


def test_a_merge_the_other_way_round_turns_the_links(told: Told) -> None:
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    told.receives(messages.merge(OLD, NEW, made="20260912080000-0500"))
    assert (links(told, OLD), patient(told, OLD)["active"]) == ({("replaces", NEW)}, True)
    assert (links(told, NEW), patient(told, NEW)["active"]) == ({("replaced-by", OLD)}, False)
    assert told.count("Linkage") == 1


def test_a_chain_of_merges_is_one_person(told: Told) -> None:
    told.receives(messages.referral(mrn="1111111"))
    told.receives(messages.pathology(number=None, mrn="3333333"))
    told.receives(messages.merge("2222222", "1111111", made="20260911080000-0500"))
    told.receives(messages.merge("3333333", "2222222", made="20260911090000-0500"))
    assert state(told) == "accepted"
    told.receives(messages.two_patients("A37", "2222222", "1111111"))
    assert state(told) == "missing"


def test_two_pairs_in_one_message_and_the_old_number_listed_with_the_survivor(told: Told) -> None:
    both = messages.merge(NEW, OLD, ("7000001", "7000002")).replace(
        b"^MR||Marlowe", b"^MR~118204^^^NORTHSIDE&2.16.840.1.113883.19.5.1&ISO^MR||Marlowe", 1
    )
    told.receives(messages.referral(mrn=OLD))
    assert told.receives(both)[0] == "AA"
    assert links(told, "7000001") == {("replaces", "7000002")}
    old = [p for p in told.found("Patient") if p.get("active") is False and p["identifier"][0]["value"] == OLD]
    assert [link["type"] for link in old[0]["link"]] == ["replaced-by"]


def test_a_merge_of_two_numbers_of_one_patient_changes_nothing(told: Told) -> None:
    with_both = messages.referral(mrn=OLD).replace(b"^MR~", b"^MR~554321^^^NORTHSIDE&2.16.840.1.113883.19.5.1&ISO^MR~", 1)
    told.receives(with_both)
    assert told.receives(messages.merge(NEW, OLD))[0] == "AA"
    (only,) = told.found("Patient")
    assert ("link" in only, "active" in only) == (False, False)
    assert told.found("Linkage") == []
    assert [p for p in told.found("Provenance") if "urn:" in str(p["target"])] == []


def test_linked_patients_both_stay_in_use_and_share_their_case(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.pathology(number=None, mrn=NEW))
    told.receives(messages.two_patients("A24", OLD, NEW))
    assert links(told, OLD) == {("seealso", NEW)}
    assert (patient(told, OLD).get("active"), state(told)) == (None, "accepted")


def put(told: Told, resource: dict[str, Any]) -> None:
    told.gateway.fhir.update(STAFF, "Patient", resource["id"], encode(resource), None)


def test_a_merge_over_fhir_has_the_same_effect(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.pathology(number=None, mrn=NEW))
    old, new = patient(told, OLD), patient(told, NEW)
    put(told, {**new, "link": [{"other": {"reference": f"Patient/{old['id']}"}, "type": "replaces"}]})
    assert (links(told, OLD), patient(told, OLD)["active"]) == ({("replaced-by", NEW)}, False)
    assert (state(told), legal(told)) == ("accepted", True)
    put(told, {key: value for key, value in patient(told, NEW).items() if key != "link"})
    assert state(told) == "accepted", "a client that knows nothing of the link does not undo the merge"
    put(told, {key: value for key, value in patient(told, OLD).items() if key not in ("link", "active")})
    assert state(told) == "missing"


def test_two_open_cases_that_meet_through_a_merge_are_shown_once_and_not_merged(told: Told) -> None:
    told.receives(messages.referral("REF-1", mrn=OLD, diagnosis="C50.411"))
    told.receives(messages.referral("REF-2", mrn=NEW, diagnosis="C34.11"))
    told.receives(messages.merge(NEW, OLD))
    told.receives(messages.merge(NEW, OLD, made="20260913080000-0500"))
    told.receives(messages.blood_count(mrn=OLD))
    (issue,) = told.found("DetectedIssue")
    assert validate(issue) == []
    assert issue["code"]["coding"][0]["code"] == "cases-met-by-merge"
    assert {i["reference"] for i in issue["implicated"]} == {f"ServiceRequest/{case['id']}" for case in told.cases()}
    assert len(told.cases()) == 2


ARRIVALS = {
    "referral": messages.referral(mrn=OLD, made="20260910080000-0500"),
    "record of the old number": messages.pathology(number=None, mrn=OLD, made="20260905100500-0500"),
    "record of the new number": messages.blood_count(mrn=NEW, made="20260902080000-0500"),
    "merge": messages.merge(NEW, OLD, made="20260911080000-0500"),
    "unlink": messages.two_patients("A37", NEW, OLD, made="20260912080000-0500"),
    "merge again": messages.merge(NEW, OLD, made="20260913080000-0500"),
}


@settings(max_examples=20)
@given(st.permutations(sorted(ARRIVALS)), st.sampled_from([(), ("merge again",), ("unlink", "merge again"), ("merge", "unlink", "merge again")]))
def test_any_order_of_referral_records_and_merges_ends_in_the_same_case(order: list[str], absent: tuple[str, ...]) -> None:
    ends = ends_of(ARRIVALS, [name for name in order if name not in absent])
    merged = "merge again" not in absent or absent == ("unlink", "merge again")
    assert ends["lab-cbc"] == (("accepted", None) if merged else ("missing", None))
    assert ends == ends_of(ARRIVALS, [name for name in ARRIVALS if name not in absent])
