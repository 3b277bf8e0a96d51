"""ADT: what becomes of a patient's record and of a visit as messages about them come in, in whatever order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import Told
from tests.pipeline.test_merge import NEW, OLD, links, patient

ADMITTED = messages.visit("A01", made="20260912080000-0500")
DISCHARGED = messages.visit("A03", made="20260915120000-0500", start="", end="20260915113000-0500", more="01^Home^HL70112|||||||")
NUMBERS = "PID|1||554321^^^NORTHSIDE&2.16.840.1.113883.19.5.1&ISO^MR"
BEFORE = (
    f"{NUMBERS}||Marlowe^Ines|Reyes|19710314|F|||1 Elm St^^Springfield^IL^62701^USA||^PRN^PH^^^217^5550101|^WPN^PH^^^217^5550102|en|M|CAT^Catholic"
    "||123-45-6789"
)


def encounter(told: Told) -> dict[str, Any]:
    """The only visit."""
    (found,) = told.found("Encounter")
    assert validate(found) == []
    return found


def telecoms(told: Told) -> set[str]:
    """What the patient may be reached by."""
    return {contact["value"] for contact in patient(told, NEW).get("telecom", ())}


def test_an_explicit_null_deletes_what_its_field_made_and_nothing_else(told: Told) -> None:
    told.receives(messages.adt("A28", BEFORE, made="20260910080000-0500"))
    assert len(telecoms(told)) == 2
    nulls = f'{NUMBERS}|""|Marlowe^Ines|""|19710314|F|||""||""|||""|""||""'
    assert told.receives(messages.adt("A08", nulls, made="20260911080000-0500"))[0] == "AA"
    held = patient(told, NEW)
    assert {"address", "maritalStatus"}.isdisjoint(held)
    assert telecoms(told) == {"217 5550102"}, "the work phone was not deleted"
    assert [i["value"] for i in held["identifier"]] == ["554321"], "the social security number is gone, the record's own number is not"
    assert {e["url"].rpartition("/")[2] for e in held.get("extension", ())}.isdisjoint({"patient-mothersMaidenName", "patient-religion"})
    assert (held["name"][0]["family"], held["communication"][0]["language"]["coding"][0]["code"]) == ("Marlowe", "en")
    assert validate(held) == []


def test_a_deletion_older_than_the_record_deletes_nothing(told: Told) -> None:
    told.receives(messages.adt("A28", BEFORE, made="20260912080000-0500"))
    told.receives(messages.adt("A08", f'{NUMBERS}||Marlowe^Ines||19710314|F|||||""', made="20260911080000-0500"))
    assert len(telecoms(told)) == 2


def test_what_is_not_sent_stays(told: Told) -> None:
    told.receives(messages.adt("A28", BEFORE, made="20260910080000-0500"))
    told.receives(messages.adt("A31", f"{NUMBERS}||Marlowe-Reyes^Ines||19710314|F", made="20260911080000-0500", structure="ADT_A05"))
    held = patient(told, NEW)
    assert (held["name"][0]["family"], held["address"][0]["city"], len(held["identifier"])) == ("Marlowe-Reyes", "Springfield", 2)


@pytest.mark.parametrize("event", ["A08", "A31"])
def test_an_update_after_a_merge_does_not_undo_it(told: Told, event: str) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    for number in (OLD, NEW):
        told.receives(messages.adt(event, f"PID|1||{messages.NUMBER.format(number)}||Marlowe^Ines^B||19710314|F", made="20260912080000-0500"))
    assert links(told, OLD) == {("replaced-by", NEW)}
    assert (patient(told, OLD)["active"], patient(told, NEW).get("active")) == (False, None)


def test_an_update_that_lists_both_numbers_of_a_merged_patient_is_the_survivors(told: Told) -> None:
    told.receives(messages.referral(mrn=OLD))
    told.receives(messages.merge(NEW, OLD, made="20260911080000-0500"))
    both = f"PID|1||{messages.NUMBER.format(OLD)}~{messages.NUMBER.format(NEW)}||Marlowe^Ines^Beatriz||19710314|F"
    told.receives(messages.adt("A31", both, made="20260912080000-0500"))
    (survivor,) = [p for p in told.found("Patient") if p.get("active") is not False]
    assert survivor["name"][0]["given"] == ["Ines", "Beatriz"]


@pytest.mark.parametrize("order", list(permutations((ADMITTED, DISCHARGED))))
def test_an_admission_and_its_discharge_are_one_finished_visit(told: Told, order: tuple[bytes, ...]) -> None:
    for message in order:
        assert told.receives(message)[0] == "AA"
    visit = encounter(told)
    assert visit["status"] == "finished"
    assert visit["period"] == {"start": "2026-09-12T07:00:00-05:00", "end": "2026-09-15T11:30:00-05:00"}
    assert visit["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "01"


def test_a_discharge_taken_back_leaves_the_visit_open(told: Told) -> None:
    for message in (ADMITTED, DISCHARGED, messages.visit("A13", made="20260915130000-0500", end="20260915113000-0500")):
        told.receives(message)
    visit = encounter(told)
    assert visit["status"] == "in-progress"
    assert visit["period"] == {"start": "2026-09-12T07:00:00-05:00"}
    assert "hospitalization" not in visit


def test_a_cancelled_admission_retracts_the_visit_and_a_mention_of_it_does_not_bring_it_back(told: Told) -> None:
    told.receives(ADMITTED)
    told.receives(messages.visit("A11", made="20260912100000-0500"))
    assert encounter(told)["status"] == "cancelled"
    told.receives(messages.visit("A08", made="20260913100000-0500"))
    assert encounter(told)["status"] == "cancelled", "an update makes nothing of the visit"


def test_a_pre_admission_becomes_the_admission_by_its_number(told: Told) -> None:
    planned = messages.adt("A05", messages.PERSON, "PV1|1|P|ONC^12^1||PRE-1^^^NORTHSIDE", made="20260901080000-0500")
    told.receives(planned)
    assert encounter(told)["status"] == "planned"
    come = "PV1|1|I|ONC^12^1||PRE-1^^^NORTHSIDE||||||||||||||V-1^^^NORTHSIDE"
    told.receives(messages.adt("A01", messages.PERSON, come, made="20260912080000-0500"))
    assert encounter(told)["status"] == "in-progress"
    told.receives(DISCHARGED)
    assert encounter(told)["status"] == "finished", "the visit's own number is known from the admission"


def test_a_visit_opens_no_case(told: Told) -> None:
    told.receives(ADMITTED.replace(b"\rPV1", b"\rRF1|A|||||REF-1^NORTHSIDE\rPV1"))
    assert told.cases() == []
    assert encounter(told)["basedOn"][0]["identifier"]["value"] == "REF-1"
