"""The letter asks for what is lacking, in words, and says nothing it should not."""

from __future__ import annotations

from datetime import date

from fhir_gateway.security.principal import Principal
from fhir_gateway.store.partners import Partner
from tests import messages
from tests.pipeline.conftest import STAFF, Told


def test_the_letter_lists_what_the_referrer_must_send_and_leaves_out_the_clinics_own_work(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(messages.appointment("S12", "20260928090000-0500", made="20260911080000-0500"))
    page = told.gateway.letter(STAFF, "REF-1")
    assert "Ines Marlowe" in page and "REF-1" in page and "2026-09-21" in page
    assert "Complete blood count" in page
    assert "Pathology report(s)" not in page, "it is here already"
    assert "Eligibility verified" not in page, "the clinic's own work"
    assert "Malignant" not in page and "C50" not in page, "no diagnosis in a letter"


def test_names_cannot_break_the_page(told: Told) -> None:
    told.receives(messages.referral(family="<script>alert(1)</script>"))
    page = told.gateway.letter(STAFF, "REF-1")
    assert "<script>" not in page


def test_a_withdrawn_record_is_asked_for_in_plain_words(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology())
    told.receives(messages.pathology(status="X", reported="20260908100000-0500", made="20260908100100-0500"))
    assert "The one we had was withdrawn by the sender" in told.gateway.letter(STAFF, "REF-1")


def test_requests_nobody_can_be_told_of_by_a_machine_are_listed_as_letters_to_print(told: Told) -> None:
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report", "lab-cbc"], date(2026, 9, 20))
    (line,) = told.gateway.letters(STAFF, 10)
    assert (line["case"], sorted(line["asked"]), line["wantedBy"]) == (
        f"ServiceRequest/{told.case()['case']['id']}",
        ["lab-cbc", "pathology-report"],
        "2026-09-20",
    )
    assert told.gateway.letters(Principal("referrer", "SOUTHSIDE", "other"), 10) == []
    told.receives(messages.pathology())
    told.receives(messages.blood_count())
    assert told.gateway.letters(STAFF, 10) == [], "answered"


def test_a_referrer_that_is_told_by_a_machine_needs_no_letter(told: Told) -> None:
    with told.gateway.store.transaction(STAFF, told.now) as tx:
        tx.partners.put(Partner("NORTHSIDE", fhir_base="https://northside.example/fhir"))
    told.receives(messages.referral())
    told.gateway.actions.request(STAFF, "REF-1", ["pathology-report"])
    assert told.gateway.letters(STAFF, 10) == []
