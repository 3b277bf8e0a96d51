"""Prior authorisation of a case, from whoever speaks of it: staff by telephone, HL7 v2, a payer over FHIR. One table says where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.coverage.asking import Told as Said
from fhir_gateway.errors import InvalidError, TransitionError
from fhir_gateway.pipeline.entered import proof_of
from fhir_gateway.validation import encode
from tests import messages
from tests.pipeline.conftest import STAFF, Told, _told
from tests.pipeline.test_insurance import ASKED, IN1, answer, insured

GRANTED: dict[str, Any] = {"ref": "A-1", "begins": date(2026, 9, 1), "until": date(2026, 12, 31)}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A case whose payer says that the opinion must be authorised, with an appointment. SQLite: no SQL here is of its own."""
    made = _told(f"sqlite:///{tmp_path}/told.db")
    told = next(made)
    insured(told)
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260913080000-0500"))
    yield told
    made.close()


def money(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = told.case("REF-1")["money"]
    return found


def state(told: Told) -> tuple[str, str, str | None]:
    item = told.item("authorization", "REF-1")
    return money(told)["authorisationState"], item["state"], item["reason"]


def says(told: Told, decision: Any, **more: Any) -> None:
    told.gateway.authorising.enter(STAFF, "REF-1", Said(decision, "Ann at Blue Plan", "Twelve visits, she said", **more))


def test_needed_asked_pended_granted_and_run_out(told: Told) -> None:
    assert state(told) == ("needed", "missing", None)
    told.gateway.authorising.ask(STAFF, "REF-1")
    (claim,) = told.found("Claim")
    assert (claim["referral"]["reference"], claim["item"][0]["servicedDate"]) == (f"ServiceRequest/{told.case('REF-1')['case']['id']}", "2026-09-28")
    assert state(told)[0] == "asked" and "decides by 2026-09-17 04:00 (7 days)" in money(told)["authorisation"]
    says(told, "pended")
    assert state(told) == ("pended", "expected", "pended")
    told.passes(days=8)
    assert money(told)["decisionOverdue"] is True and "overdue" in money(told)["authorisation"]
    assert told.case("REF-1")["money"]["nextStep"].startswith("Ask the payer for its decision")
    says(told, "granted", **GRANTED)
    assert state(told) == ("approved", "accepted", None) and money(told)["decisionDue"] is None
    assert "number A-1, good until 2026-12-31" in money(told)["authorisation"]
    told.receives(messages.appointment("S13", "20270105090000-0500", made="20260918080000-0500"))
    assert state(told)[0] == "expired" and told.item("authorization", "REF-1")["state"] != "accepted", "it ends before the appointment"
    told.gateway.authorising.ask(STAFF, "REF-1", expedited=True)
    assert state(told)[0] == "asked" and money(told)["decisionDue"] == "2026-09-21T04:00:00-05:00"


def test_item_gate_and_words_say_the_same_of_every_turn(told: Told) -> None:
    """One rule (`cases.answered`): what the words say stands is what the gate counts, and what is asked already is not to be asked again."""

    def turn(decision: str = "", **more: Any) -> tuple[str, str, str | None, str]:
        told.now += timedelta(hours=1)
        says(told, decision, **more) if decision else told.gateway.authorising.ask(STAFF, "REF-1")
        return *state(told), told.case("REF-1")["gates"]["money"]["state"]

    assert turn() == ("asked", "expected", "asked", "indeterminate") and money(told)["nextStep"].startswith("Wait for the payer's decision")
    assert turn("denied") == ("denied", "not-acceptable", "denied", "not-satisfied")
    assert turn() == ("asked", "expected", "asked", "indeterminate") and money(told)["nextStep"].startswith("Wait for the payer's decision")
    assert turn("granted-in-part", **GRANTED) == ("partly-approved", "received", "partly-approved", "indeterminate")
    assert turn("granted", **GRANTED | {"begins": date(2026, 10, 1)})[:3] == ("not-begun", "not-acceptable", "not-begun")
    assert turn("granted", **GRANTED) == ("approved", "accepted", None, "satisfied")
    assert turn("denied") == ("denied", "not-acceptable", "denied", "not-satisfied"), "a permission taken back is none"
    assert turn("granted", **GRANTED)[0] == "approved"
    claims = [claim for claim in told.found("Claim") if claim["created"] > "2026-09-10T11"]
    told.gateway.fhir.update(STAFF, "Claim", claims[0]["id"], encode(claims[0] | {"status": "cancelled"}), None)
    assert state(told) == ("cancelled", "missing", "cancelled"), "with its request goes what it was given"


def test_what_can_t_be_done_is_refused_and_says_what_can(told: Told) -> None:
    told.gateway.authorising.ask(STAFF, "REF-1")
    with pytest.raises(TransitionError, match="is asked: ask is not possible; possible is pend, grant"):
        told.gateway.authorising.ask(STAFF, "REF-1")
    for wrong, more in (("granted", {}), ("granted", {"ref": "A", "begins": date(2026, 9, 2), "until": date(2026, 9, 1)})):
        with pytest.raises(InvalidError):
            says(told, wrong, **more)
    for by, said in (("", "words"), ("Ann", " ")):
        with pytest.raises(InvalidError):
            told.gateway.authorising.enter(STAFF, "REF-1", Said("denied", by, said))
    assert told.count("ClaimResponse") == 0


def test_the_proof_is_kept_and_printable(told: Told) -> None:
    assert "has not been asked" in told.gateway.authorising.page(STAFF, "REF-1")
    told.gateway.authorising.ask(STAFF, "REF-1")
    said = Said("denied", "Ann <b>at</b> Blue Plan", "Proof on file: letter.pdf")
    told.gateway.authorising.enter(STAFF, "REF-1", said, proof_of(b"%PDF-1.4 no", "letter.pdf"))
    assert state(told) == ("denied", "not-acceptable", "denied")
    (response,) = told.found("ClaimResponse")
    assert response["request"]["reference"] == f"Claim/{told.found('Claim')[0]['id']}" and response["extension"][0]["valueBoolean"] is True
    proof = next(p for p in told.found("Provenance", _count="100") if p["target"][0]["reference"] == f"ClaimResponse/{response['id']}")
    assert proof["agent"][0]["who"]["display"] == STAFF.name and proof["entity"][0]["what"]["display"] == "letter.pdf"
    page = told.gateway.authorising.page(STAFF, "REF-1")
    assert all(
        text in page for text in ("2026-09-10 04:00", "refused", "Ann &lt;b&gt;at&lt;/b&gt; Blue Plan", "Second surgical opinion", "standard, 7 days")
    )


def test_hl7_v2_moves_the_same_table(told: Told) -> None:
    asked = messages.order(
        "RQA^I08", ASKED.format("P"), messages.PERSON, IN1.format(end="20271231", group="GRP-7"), made="20260914080000-0500", bare=True
    )
    assert told.receives(asked)[0] == "AA"
    assert state(told)[0] == "asked"
    told.receives(answer("P", made="20260915080000-0500"))
    assert state(told) == ("pended", "expected", "pended")
    told.receives(answer("R^Rejected", made="20260916080000-0500"))
    assert state(told) == ("denied", "not-acceptable", "denied")
    told.receives(answer("A", "AUT|PPO|BLUE01|Blue Plan|20260901|20271231|AUTH-1^BLUE", made="20260917080000-0500"))
    assert state(told) == ("approved", "accepted", None)
    told.receives(answer("C", "AUT|PPO|BLUE01|Blue Plan|20260901|20271231|AUTH-1^BLUE", made="20260918080000-0500", kind="RPA^I11"))
    assert state(told)[0] == "cancelled"


def test_fewer_treatments_than_asked_for_are_a_part(told: Told) -> None:
    """AUT-8 asked for, AUT-9 authorised (HL7 v2.5.1 chapter 11): a person must read what was given."""
    for day, given, expected in ((17, "12", "approved"), (18, "1", "partly-approved"), (19, "12", "approved")):
        aut = f"AUT|PPO|BLUE01|Blue Plan|20260901|20271231|AUTH-1^BLUE||12|{given}"
        told.receives(answer("A", aut, made=f"202609{day}080000-0500"))
        assert state(told)[0] == expected, given


def test_who_pays_herself_has_nobody_to_ask(told: Told) -> None:
    subject = told.found("Coverage")[0]["beneficiary"]
    item = [{"linkId": "self-pay", "answer": [{"valueBoolean": True}]}]
    given = {"resourceType": "QuestionnaireResponse", "status": "completed", "authored": "2026-09-13", "subject": subject, "item": item}
    told.gateway.fhir.create(STAFF, "QuestionnaireResponse", encode(given), None)
    with pytest.raises(TransitionError):
        told.gateway.authorising.ask(STAFF, "REF-1")
