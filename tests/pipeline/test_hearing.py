"""What a payer told a person about an insurance counts like what it tells a machine, and never as more than was said."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.coverage.heard import Amount, Heard
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.pipeline.entered import proof_of
from fhir_gateway.store.payerview.views import Around, reduced
from fhir_gateway.validation import validate
from tests import messages
from tests.pipeline.conftest import STAFF, Told, _told
from tests.pipeline.test_insurance import pin

YES: dict[str, Any] = {"in_force": True, "covered": True, "network": "in", "authorisation": False, "mandated": True}
AMOUNTS = {"copay": Amount(Decimal("30")), "coinsurance": Amount(Decimal("12.5")), "deductible": Amount(Decimal("500"), Decimal("120"))}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A case with an insurance nobody has asked about. SQLite: no SQL here is of its own."""
    made = _told(f"sqlite:///{tmp_path}/told.db")
    told = next(made)
    told.receives(messages.referral())
    yield told
    made.close()


def hears(told: Told, **said: Any) -> dict[str, Any]:
    flat: dict[str, Any] = told.gateway.hearing.enter(STAFF, "REF-1", Heard("Ann at Blue Plan", "All in order, she said", **said))
    return flat


def eligibility(told: Told) -> tuple[str, str | None]:
    item = told.item("coverage-eligibility", "REF-1")
    return item["state"], item["reason"]


def test_a_plain_answer_settles_the_question_in_its_own_words(told: Told) -> None:
    assert eligibility(told)[0] == "missing"
    flat = hears(told, **YES, amounts=AMOUNTS)
    money = flat["money"]
    assert eligibility(told) == ("accepted", None)
    assert (money["payer"], money["answeredBy"], money["validUntil"]) == ("Blue Plan", "person", "2026-09-30")
    assert money["authorisationState"] == "not-needed"
    assert money["eligibility"] == "The insurance is in force on 2026-09-10 and covers Second Surgical Opinion (20)."
    assert money["network"] == "The clinic is in the plan's network."
    assert money["share"] == "The patient's likely share: copay 30.00 USD; co-insurance 12.5 %; deductible 500.00 USD (120.00 USD left)."
    assert money["mandated"] == "The plan requires a second opinion."
    (response,) = told.found("CoverageEligibilityResponse")
    assert (validate(response), response["disposition"]) == ([], "Ann at Blue Plan: All in order, she said")


def test_what_was_not_said_is_not_known(told: Told) -> None:
    flat = hears(told, covered=True)
    assert eligibility(told) == ("received", "indeterminate")
    assert "did not say whether the insurance is in force" in flat["money"]["eligibility"]
    flat = hears(told, in_force=True, amounts={"out-of-pocket": Amount(None, Decimal("75.5"))})
    assert eligibility(told) == ("accepted", None)
    assert flat["money"]["network"] == "Whether the clinic is in the plan's network is not known."
    assert flat["money"]["authorisationState"] == "unknown"
    assert flat["money"]["share"] == "The patient's likely share: out-of-pocket maximum 75.50 USD left."


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"in_force": False}, "not-in-force"),
        ({"in_force": True, "covered": False}, "excluded"),
        ({"in_force": True, "covered": True, "network": "out"}, "out-of-network"),
    ],
)
def test_a_no_is_a_no(told: Told, said: dict[str, Any], reason: str) -> None:
    flat = hears(told, **said)
    assert eligibility(told) == ("not-acceptable", reason)
    assert flat["gates"]["money"]["state"] == "not-satisfied"


def test_it_holds_for_the_insurance_it_was_said_of(told: Told) -> None:
    hears(told, **YES)
    told.receives(pin("20261130", made="20260911080000-0500"))
    assert eligibility(told) == ("received", "policy-changed")


def test_the_question_a_machine_has_asked_is_the_one_answered(told: Told) -> None:
    asked = told.gateway.check_coverage(STAFF, "REF-1")["money"]["request"]
    hears(told, **YES)
    answers = told.found("CoverageEligibilityResponse", request=str(asked))
    assert any(one.get("disposition") for one in answers)


def test_the_proof_is_kept_with_who_entered_it(told: Told) -> None:
    told.gateway.hearing.enter(STAFF, "REF-1", Heard("Ann", "Proof on file: portal.pdf", **YES), proof_of(b"%PDF-1.4 yes", "portal.pdf"))
    (response,) = told.found("CoverageEligibilityResponse")
    name = f"CoverageEligibilityResponse/{response['id']}"
    proof = next(p for p in told.found("Provenance", _count="100") if p["target"][0]["reference"] == name)
    assert proof["agent"][0]["who"]["display"] == STAFF.name
    kept = proof["entity"][0]["what"]["reference"].removeprefix("Binary/")
    assert told.gateway.fhir.read(STAFF, "Binary", kept).resource["contentType"] == "application/pdf"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"in_force": False, "covered": True},
        {"in_force": True, "amounts": {"copay": Amount(Decimal("-1"))}},
        {"in_force": True, "amounts": {"copay": Amount(Decimal("NaN"))}},
        {"in_force": True, "amounts": {"copay": Amount(Decimal("1E+99"))}},
        {"in_force": True, "amounts": {"coinsurance": Amount(Decimal("120"))}},
        {"in_force": True, "amounts": {"copay": Amount(Decimal("5"))}, "currency": "dollars"},
    ],
)
def test_what_says_nothing_or_can_t_be_is_refused_and_nothing_is_kept(told: Told, said: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        hears(told, **said)
    for by, words in (("", "words"), ("Ann", " ")):
        with pytest.raises(InvalidError):
            told.gateway.hearing.enter(STAFF, "REF-1", Heard(by, words, True))
    assert told.count("CoverageEligibilityResponse") == 0


def test_where_nobody_is_to_be_asked_nothing_is_answered(told: Told) -> None:
    with pytest.raises(NotFoundError):
        told.gateway.hearing.enter(STAFF, "nobody", Heard("Ann", "yes", True))
    told.gateway.paperwork.answer(STAFF, "REF-1", "self-pay", "yes")
    with pytest.raises(TransitionError, match="without insurance"):
        hears(told, **YES)


def test_the_payer_reads_what_it_said_and_not_the_clinics_words(told: Told) -> None:
    hears(told, **YES)
    (response,) = told.found("CoverageEligibilityResponse")
    shown = reduced(response, Around("blue", {response["insurance"][0]["coverage"]["reference"]}))
    assert shown["insurance"][0]["inforce"] is True
    assert "disposition" not in shown
    assert "Ann" not in str(shown)
