"""Records that come before their referral, or under another number: attached when sure, offered when doubtful, given up in the end, never lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fhir_gateway.cli import intake as command
from fhir_gateway.errors import ConflictError, InvalidError, NotFoundError
from fhir_gateway.validation import validate
from tests import messages
from tests.messages import elsewhere
from tests.pipeline.conftest import STAFF, Told, ends_of

LAB = {"number": None, "sender": "PATHLAB"}


def state(told: Told, item: str = "pathology-report") -> tuple[str, str | None]:
    """State and reason of a required record of the only case."""
    found = told.item(item)
    return found["state"], found["reason"]


def report(told: Told) -> str:
    """The only report, as Type/id."""
    (found,) = told.found("DiagnosticReport")
    return f"DiagnosticReport/{found['id']}"


def offered(told: Told) -> list[tuple[str, str]]:
    """(type of the record, grade of its first candidate or "")."""
    lines = told.gateway.orphans.listed(STAFF, 100)
    return [(line["record"].partition("/")[0], next((c["grade"] for c in line["candidates"]), "")) for line in lines]


def acts(told: Told, type: str, id: str) -> list[tuple[str, str]]:
    """(who, action) on one resource."""
    with told.gateway.store.snapshot(STAFF) as tx:
        return [(name, action) for _, _, name, action in tx.audit.of(type, id)]


@pytest.mark.parametrize("first", ["record", "referral"])
def test_a_record_under_the_same_number_of_another_sender_finds_its_case_whichever_comes_first(told: Told, first: str) -> None:
    arrivals = [elsewhere(messages.pathology(**LAB)), messages.referral()]
    for message in arrivals if first == "record" else reversed(arrivals):
        assert told.receives(message)[0] == "AA"
    assert told.count("Patient") == 2
    assert state(told) == ("accepted", None)
    assert offered(told) == []
    assert {link["type"] for patient in told.found("Patient") for link in patient["link"]} == {"seealso"}
    assert all(validate(resource) == [] for type in ("Patient", "Linkage") for resource in told.found(type))
    (linkage,) = told.found("Linkage")
    orphan = linkage["item"][1]["resource"]["reference"]
    assert ("gateway", "attach") in acts(told, *orphan.split("/"))


def test_later_records_of_the_linked_patient_need_no_match(told: Told) -> None:
    told.receives(elsewhere(messages.pathology(**LAB)))
    told.receives(messages.referral())
    told.receives(elsewhere(messages.blood_count()).replace(b"|NORTHSIDE|GATEWAY", b"|PATHLAB|GATEWAY"))
    assert state(told, "lab-cbc") == ("accepted", None)
    assert told.count("Patient") == 2


def test_a_number_in_common_that_comes_later_attaches_what_waited(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(elsewhere(messages.pathology(**LAB, mrn="L-90017")))
    assert (offered(told)[0], state(told)[0]) == (("DiagnosticReport", "probable"), "missing")
    both = elsewhere(messages.blood_count(mrn="L-90017~554321^^^NORTHSIDE^MR")).replace(b"|NORTHSIDE|GATEWAY", b"|PATHLAB|GATEWAY")
    told.receives(both.replace(b"L-90017~", b"L-90017^^^NORTHSIDE^MR~"))
    assert (offered(told), state(told)) == ([], ("accepted", None))


def test_a_twin_is_never_attached_by_itself_and_is_offered_as_doubtful(told: Told) -> None:
    told.receives(messages.referral())
    twin = messages.pathology(**LAB, mrn="118204", given="Lucia").replace(b"M-118204", b"M-554321")
    told.receives(twin)
    assert state(told)[0] == "missing"
    assert offered(told)[0] == ("DiagnosticReport", "possible")
    (line, *_) = told.gateway.orphans.listed(STAFF, 100)
    assert line["candidates"][0]["signs"]["given"] == "differs"
    assert told.found("Linkage") == []


def test_a_number_that_is_certainly_two_peoples_is_left_to_staff(told: Told) -> None:
    told.receives(messages.referral("REF-1"))
    told.receives(elsewhere(messages.referral("REF-2", sender="EASTSIDE")))
    told.receives(elsewhere(messages.pathology(**LAB)))
    assert [line["candidates"] and len(line["candidates"]) for line in told.gateway.orphans.listed(STAFF, 1)] == [2]
    assert told.found("Linkage") == []


def test_staff_attach_a_doubtful_record_and_take_it_out_again(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(**LAB, mrn="9017766"))
    assert offered(told)[0] == ("DiagnosticReport", "probable")
    flat = told.gateway.orphans.attach(STAFF, report(told), "REF-1")
    assert {i["id"]: i["state"] for i in flat["items"]}["pathology-report"] == "accepted"
    assert offered(told) == []
    (linkage,) = told.found("Linkage")
    assert (linkage["active"], linkage["author"]["display"]) == (True, "test")
    patient = linkage["item"][1]["resource"]["reference"]
    assert ("test", "attach") in acts(told, *patient.split("/"))
    told.gateway.orphans.reject(STAFF, report(told), "REF-1")
    assert state(told)[0] == "missing"
    assert offered(told)[0] == ("DiagnosticReport", ""), "it waits again, and is not offered for that case"
    assert [("link" in p) for p in told.found("Patient")] == [False, False]
    assert ("test", "reject") in acts(told, *patient.split("/"))


def test_what_was_rejected_or_parted_is_never_joined_by_a_guess(told: Told) -> None:
    told.receives(elsewhere(messages.pathology(**LAB)))
    told.receives(messages.referral())
    record = report(told)
    told.gateway.orphans.reject(STAFF, record, "REF-1")
    told.receives(elsewhere(messages.blood_count()).replace(b"|NORTHSIDE|GATEWAY", b"|PATHLAB|GATEWAY"))
    told.receives(messages.referral(made="20260911080000-0500", event="I13", question="Is mastectomy needed?"))
    assert (state(told)[0], state(told, "lab-cbc")[0]) == ("missing", "missing")
    told.gateway.orphans.attach(STAFF, record, "REF-1")
    assert state(told)[0] == "accepted", "a person may think again"


def test_staff_are_told_why_something_can_not_be_attached(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(**LAB, mrn="4711000", family="Okoro", given="Peter", born="19580102"))
    orphans = told.gateway.orphans
    with pytest.raises(InvalidError, match="family, birthDate, given"):
        orphans.attach(STAFF, report(told), "REF-1")
    with pytest.raises(NotFoundError, match="no such case"):
        orphans.attach(STAFF, report(told), "REF-9")
    with pytest.raises(NotFoundError, match="Type/id"):
        orphans.attach(STAFF, "DiagnosticReport/none", "REF-1")
    own = f"Patient/{next(p['id'] for p in told.found('Patient') if p['identifier'][0]['value'] == '554321')}"
    with pytest.raises(ConflictError, match="is attached"):
        orphans.attach(STAFF, own, "REF-1")
    with pytest.raises(InvalidError, match="very patient"):
        orphans.reject(STAFF, own, "REF-1")
    orphans.attach(STAFF, report(told), "REF-1", anyway=True)
    assert state(told)[0] == "accepted"


def test_an_orphan_is_given_up_after_its_days_with_an_audit_row_and_kept(told: Told) -> None:
    told.receives(messages.pathology(**LAB, mrn="9017766"))
    record = report(told)
    told.passes(days=89)
    assert len(told.gateway.orphans.listed(STAFF, 100)) > 0
    told.passes(days=2)
    told.receives(messages.referral())
    assert told.gateway.orphans.listed(STAFF, 100) == []
    assert record in {line["record"] for line in told.gateway.orphans.listed(STAFF, 100, expired=True)}
    assert ("gateway", "expire") in acts(told, *record.split("/"))
    assert told.count("DiagnosticReport") == 1
    told.gateway.orphans.attach(STAFF, record, "REF-1")
    assert state(told)[0] in ("accepted", "expiring", "not-acceptable"), "attached, and judged by its age like any other"


def test_what_was_given_up_is_not_matched_but_a_referral_of_that_very_patient_takes_it_in(told: Told) -> None:
    told.receives(elsewhere(messages.pathology(**LAB)))
    told.passes(days=91)
    told.receives(messages.referral())
    assert (state(told)[0], told.found("Linkage")) == ("missing", [])
    told.receives(elsewhere(messages.referral("REF-2", sender="PATHLAB")))
    assert told.item("pathology-report", "REF-2")["state"] != "missing"


def test_a_new_version_of_what_was_given_up_waits_again(told: Told) -> None:
    told.receives(messages.pathology(**LAB, mrn="9017766"))
    told.passes(days=91)
    assert offered(told) == []
    told.receives(messages.pathology(**LAB, mrn="9017766", status="C", reported="20261220100000-0500", made="20261220100500-0500"))
    assert ("DiagnosticReport", "") in offered(told)


def test_a_record_about_somebody_of_the_same_name_and_birth_date_is_not_accepted_unseen(told: Told) -> None:
    """It names the referral, but its patient has no number in common with the referral's."""
    told.receives(messages.referral())
    told.receives(messages.pathology(sender="PATHLAB", mrn="9017766"))
    assert state(told) == ("received", "identity-unconfirmed")
    told.gateway.orphans.attach(STAFF, report(told), "REF-1")
    assert state(told) == ("accepted", None)


def test_a_person_may_confirm_a_single_record_instead(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(messages.pathology(sender="PATHLAB", mrn="9017766"))
    told.gateway.actions.judge(STAFF, "REF-1", report(told), "confirmed")
    assert state(told) == ("accepted", None)
    assert told.found("Linkage") == []


def test_a_number_in_common_is_enough_with_name_and_birth_date(told: Told) -> None:
    told.receives(messages.referral())
    told.receives(elsewhere(messages.pathology(sender="PATHLAB")))
    assert told.count("Patient") == 2
    assert state(told) == ("accepted", None)


ARRIVALS = {
    "referral": messages.referral(made="20260910080000-0500"),
    "pathology": elsewhere(messages.pathology(**LAB, made="20260905100500-0500")),
    "blood count": elsewhere(messages.blood_count(made="20260902080000-0500")).replace(b"|NORTHSIDE|GATEWAY", b"|PATHLAB|GATEWAY"),
    "twin": messages.blood_count(mrn="118204", given="Lucia", filler="L-2", made="20260902090000-0500"),
}


@settings(max_examples=15)
@given(st.permutations(sorted(ARRIVALS)))
def test_any_order_of_a_referral_and_its_orphans_ends_in_the_same_case(order: list[str]) -> None:
    ends = ends_of(ARRIVALS, order)
    assert ends["pathology-report"] == ends["lab-cbc"] == ("accepted", None)
    assert ends == ends_of(ARRIVALS, ARRIVALS)


def test_the_intake_commands(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/told.db"
    told = Told(url)
    told.receives(messages.referral())
    told.receives(messages.pathology(**LAB, mrn="9017766"))
    record = report(told)
    told.gateway.stop()
    told.executor.shutdown()
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    monkeypatch.setenv("GATEWAY_AUTH", "off")
    runner = CliRunner()

    def run(*arguments: str) -> str:
        done = runner.invoke(command.app, list(arguments))
        assert done.exit_code == 0, done.output
        return done.stdout

    assert '"grade":"probable"' in run("list", "--json")
    assert run("list", "--expired", "--json").strip() == "[]"
    run("list")
    run("attach", record, "REF-1")
    assert record not in run("list", "--json")
    run("detach", record, "REF-1")
    assert record in run("list", "--json")
    refused = runner.invoke(command.app, ["attach", "DiagnosticReport/none", "REF-1"])
    assert refused.exit_code == 1
