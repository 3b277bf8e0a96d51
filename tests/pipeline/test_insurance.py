"""Insurance and authorisation by messages of their own: what becomes of the Coverage held, and of the money gate of the case."""

from __future__ import annotations

from typing import Any

from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import Told
from tests.pipeline.test_merge import NEW

IN1 = "IN1|1|PPO^Blue PPO|BLUE01^^^NAIC|Blue Plan||||{group}||||20260101|{end}||PPO|Marlowe^Ines|SEL|19710314||||1||||||||||||||M-554321"
ASKED = "RF1|{}|||||REF-1^NORTHSIDE"


def pin(end: str, *, made: str, group: str = "", kind: str = "PIN^I07") -> bytes:
    return messages.order(kind, IN1.format(end=end, group=group), made=made)


def answer(standing: str, *aut: str, made: str, kind: str = "RPA^I08") -> bytes:
    return messages.order(
        kind, "MSA|AA|1", ASKED.format(standing), *aut, messages.PERSON, IN1.format(end="20271231", group="GRP-7"), made=made, bare=True
    )


SURGICAL_OPINION = {"coding": [{"system": "https://x12.org/codes/service-type-codes", "code": "20"}]}


def insured(told: Told) -> None:
    """A case whose payer says that the opinion must be authorised."""
    told.receives(messages.referral())
    (patient,), (held,) = told.found("Patient"), told.found("Coverage")
    said = {
        "resourceType": "CoverageEligibilityResponse",
        "status": "active",
        "purpose": ["benefits"],
        "patient": {"reference": f"Patient/{patient['id']}"},
        "created": "2026-09-10",
        "request": {"display": "by telephone"},
        "outcome": "complete",
        "insurer": held["payor"][0],
        "insurance": [
            {
                "coverage": {"reference": f"Coverage/{held['id']}"},
                "inforce": True,
                "item": [{"category": SURGICAL_OPINION, "authorizationRequired": True}],
            }
        ],
    }
    entry = {"resource": said, "request": {"method": "POST", "url": "CoverageEligibilityResponse"}}
    assert told.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200


def coverage(told: Told) -> dict[str, Any]:
    (held,) = told.found("Coverage")
    assert validate(held) == []
    return held


def test_a_payer_is_named_from_the_first_message_on(told: Told) -> None:
    """IN1-4 names the payer; it becomes an Organization, which the Coverage refers to."""
    told.receives(messages.referral())
    assert told.case()["money"]["payer"] == "Blue Plan"


def test_unsolicited_insurance_replaces_what_was_told_of_the_same_and_no_more(told: Told) -> None:
    told.receives(messages.referral())
    assert coverage(told)["class"][1]["value"] == "GRP-7"
    assert told.receives(pin("20281231", made="20260911080000-0500"))[0] == "AA"
    held = coverage(told)
    assert held["period"]["end"] == "2028-12-31"
    assert [c["type"]["coding"][0]["code"] for c in held["class"]] == ["plan"], "the group is no longer told"
    told.receives(pin("20291231", made="20260909080000-0500"))
    assert coverage(told)["period"]["end"] == "2028-12-31", "what was made earlier and came late changes nothing"
    told.receives(pin("20281231", made="20260912080000-0500").replace(b"M-554321", b"M-000007"))
    assert len(told.found("Coverage")) == 2, "another insurance is another one"


def test_an_authorisation_pending_granted_and_ended_is_one_answer_the_case_reads(told: Told) -> None:
    insured(told)
    told.receives(answer("P", made="20260909080000-0500"))
    assert told.item("authorization")["state"] == "expected"
    told.receives(answer("A", "AUT|PPO|BLUE01|Blue Plan|20260901|20271231|AUTH-1^BLUE", made="20260910080000-0500"))
    assert told.item("authorization")["state"] == "accepted"
    (held,) = told.found("ClaimResponse")
    assert (held["outcome"], held["preAuthRef"], validate(held)) == ("complete", "AUTH-1", [])


def test_a_denied_authorisation_is_not_acceptable(told: Told) -> None:
    insured(told)
    told.receives(answer("R^Rejected", made="20260911080000-0500"))
    assert (told.item("authorization")["state"], told.item("authorization")["reason"]) == ("not-acceptable", "denied")


def test_a_question_to_a_payer_opens_no_case_and_answers_nothing(told: Told) -> None:
    asked = messages.order("RQA^I08", ASKED.format("P"), messages.PERSON, IN1.format(end="20271231", group=""), made="20260911080000-0500", bare=True)
    assert told.receives(asked)[0] == "AA"
    assert (told.cases(), told.count("Claim"), told.count("ClaimResponse")) == ([], 1, 0)


def test_a_corrected_number_is_the_same_patient_by_either(told: Told) -> None:
    told.receives(messages.referral(mrn="999"))
    (before,) = told.found("Patient")
    told.receives(messages.adt("A47", messages.PERSON, f"MRG|{messages.NUMBER.format('999')}", made="20260911080000-0500", structure="ADT_A30"))
    (held,) = told.found("Patient")
    assert held["id"] == before["id"]
    numbers = {i["value"]: i.get("use") for i in held["identifier"]}
    assert (numbers["999"], numbers[NEW]) == ("old", None)
    told.receives(messages.pathology(number=None, mrn=NEW))
    assert told.item("pathology-report")["state"] == "accepted"
    told.receives(messages.blood_count(mrn="999"))
    assert told.item("lab-cbc")["state"] == "accepted", "a laboratory that still names the old number is understood"
    assert told.count("Patient") == 1


def opinion(resource: dict[str, Any]) -> dict[str, Any]:
    """The payer's second-opinion record of a resource: values by part."""
    (found,) = [e for e in resource.get("extension", ()) if e["url"].endswith("payer-second-opinion")]
    return {part["url"]: next(value for name, value in part.items() if name != "url") for part in found["extension"]}


def test_the_payers_own_second_opinion_is_read_where_it_was_told_and_updated(told: Told) -> None:
    """IN3-22 to -25: on the referral that came with it, on the insurance when it is told alone; the physician is somebody."""
    in3 = "IN3|1" + "|" * 21 + "{}|{}|N^Not received|1679576722^Lindqvist^Maja^^^Dr"
    told.receives(messages.referral().rstrip(b"\r") + b"\r" + in3.format("20260904", "P^Pending").encode() + b"\r")
    (referral,) = [r for r in told.found("ServiceRequest") if "category" in r]
    said = opinion(referral)
    assert (said["date"], said["status"]["coding"][0]["code"], said["documentation-received"]["coding"][0]["code"]) == ("2026-09-04", "P", "N")
    held = {f"Practitioner/{p['id']}": p for p in told.found("Practitioner")}
    assert held[said["physician"]["reference"]]["name"][0]["family"] == "Lindqvist"
    for status, made in (("P^Pending", "20260911080000-0500"), ("A^Approved", "20260912080000-0500")):
        body = (IN1.format(end="20271231", group="GRP-7"), in3.format("20260904", status))
        assert told.receives(messages.order("PIN^I07", *body, made=made))[0] == "AA"
    assert opinion(coverage(told))["status"]["coding"][0]["code"] == "A"
