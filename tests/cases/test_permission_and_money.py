"""Stories about the two other gates: may it move, and will it be paid."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.model import Policy
from tests.cases.story import Case, answers, coded, consent

Json = dict[str, Any]
CLINIC = Policy(clinic=frozenset({"Organization/clinic"}))


def actor(role: str, reference: str) -> Json:
    return {"role": {"coding": [{"code": role}]}, "reference": {"reference": reference}}


def permission(case: Case) -> str:
    return case.evaluation().gates["permission"].state


def test_no_consent_no_permission() -> None:
    assert permission(Case()) == "not-satisfied"


def test_an_absent_actor_and_purpose_mean_any() -> None:
    assert permission(Case(policy=CLINIC).receives(consent())) == "satisfied"


@pytest.mark.parametrize(
    ("provision", "reason"),
    [
        ({"actor": [actor("PRCP", "Organization/clinic")]}, None),
        ({"actor": [actor("PRCP", "Organization/elsewhere")]}, "consent-not-covering"),
        ({"actor": [actor("CST", "Organization/northside")]}, None),
        ({"actor": [actor("CST", "Organization/elsewhere")]}, "consent-not-covering"),
        ({"purpose": [{"code": "TREAT"}]}, None),
        ({"purpose": [{"code": "HRESCH"}]}, "consent-not-covering"),
        ({"type": "deny"}, "consent-denied"),
        ({"provision": [{"type": "deny", "actor": [actor("PRCP", "Organization/clinic")]}]}, "consent-denied"),
        ({"provision": [{"type": "deny", "actor": [actor("PRCP", "Organization/payer")]}]}, None),
        ({"provision": [{"type": "deny", "period": {"end": "2026-01-01"}}]}, None),
        ({"provision": [{"type": "deny", "securityLabel": [{"code": "PSY"}]}]}, None),
        ({"type": "deny", "provision": [{"type": "permit", "actor": [actor("PRCP", "Organization/clinic")]}]}, None),
        ({"period": {"end": "2026-01-01"}}, "consent-lapsed"),
        ({"period": {"start": "2026-12-01"}}, "consent-not-yet-in-force"),
    ],
)
def test_a_consent_covers_this_source_this_recipient_and_this_purpose(provision: Json, reason: str | None) -> None:
    case = Case(policy=CLINIC).receives(consent(provision=provision))
    assert case.item("release-consent").reason == reason
    assert permission(case) == ("not-satisfied" if reason else "satisfied")


def test_a_revocation_regresses_the_gate_at_once() -> None:
    case = Case().receives(consent())
    assert permission(case) == "satisfied"
    case.receives(consent("inactive"))
    assert (permission(case), case.item("release-consent").reason) == ("not-satisfied", "consent-withdrawn")


def test_a_later_refusal_outweighs_an_older_permission_whatever_came_first() -> None:
    older, newer = consent(name="a", at="2026-08-01"), consent(name="b", at="2026-09-01", provision={"type": "deny"})
    assert permission(Case().receives(older, newer)) == permission(Case().receives(newer, older)) == "not-satisfied"
    again = consent(name="c", at="2026-09-05")
    assert permission(Case().receives(older, newer, again)) == "satisfied"


def test_a_consent_for_somebody_else_does_not_undo_one_for_us() -> None:
    ours = consent(name="a", at="2026-08-01")
    theirs = consent(name="b", at="2026-09-01", provision={"actor": [actor("PRCP", "Organization/elsewhere")]})
    assert permission(Case(policy=CLINIC).receives(ours, theirs)) == "satisfied"


def test_a_scanned_form_waits_for_a_person() -> None:
    form = coded("DocumentReference", "form", "64292-6", element="type", status="current", date="2026-09-01")
    found = Case().receives(form).item("release-consent")
    assert (found.state, found.reason) == ("received", "to-be-confirmed")


COVERAGE: Json = {"resourceType": "Coverage", "id": "plan", "status": "active", "payor": [{"display": "Acme Health"}], "subscriberId": "M-77"}


def eligibility(on: str = "2026-09-03", inforce: bool | None = True, outcome: str = "complete", **insurance: Any) -> Json:
    insured = {"coverage": {"reference": "Coverage/plan"}, **({} if inforce is None else {"inforce": inforce}), **insurance}
    return {
        "resourceType": "CoverageEligibilityResponse",
        "id": "elig",
        "status": "active",
        "created": on,
        "outcome": outcome,
        "insurance": [insured],
    }


def money(case: Case) -> str:
    return case.evaluation().gates["money"].state


def insured(**answer: Any) -> Case:
    return Case().receives(COVERAGE, answers(mandated_second_opinion=False, **answer))


def test_money_is_indeterminate_until_the_payer_answers() -> None:
    case = insured(authorisation_required=False)
    assert (case.item("insurance-card").state, money(case)) == ("accepted", "indeterminate")
    case.receives(eligibility())
    assert money(case) == "satisfied"


def test_an_answer_that_says_nothing_is_neither_yes_nor_no() -> None:
    case = insured(authorisation_required=False).receives(eligibility(inforce=None))
    assert (case.item("coverage-eligibility").reason, money(case)) == ("indeterminate", "indeterminate")


def test_a_plan_not_in_force_shuts_the_gate() -> None:
    case = insured(authorisation_required=False).receives(eligibility(inforce=False))
    assert (case.item("coverage-eligibility").reason, money(case)) == ("not-in-force", "not-satisfied")


def test_eligibility_holds_to_the_end_of_its_month() -> None:
    case = insured(authorisation_required=False).receives(eligibility("2026-09-03"))
    assert str(case.item("coverage-eligibility").good_until) == "2026-09-30"
    assert case.booked("2026-10-01T09:00:00-04:00").item("coverage-eligibility").state == "expiring"
    assert case.item("coverage-eligibility", "2026-10-01").state == "not-acceptable"


def test_the_payers_answer_decides_whether_to_ask_for_authorisation() -> None:
    needed = insured().receives(eligibility(item=[{"authorizationRequired": True}]))
    assert (needed.item("authorization").state, money(needed)) == ("missing", "not-satisfied")
    granted = {"resourceType": "ClaimResponse", "id": "auth", "status": "active", "use": "preauthorization", "outcome": "complete"}
    assert needed.receives(granted | {"outcome": "queued"}).item("authorization").reason == "pended"
    assert needed.receives(granted).item("authorization").reason == "indeterminate"
    assert needed.receives(granted | {"outcome": "error"}).item("authorization").reason == "denied"
    assert needed.receives(granted | {"preAuthRef": "PA-1", "preAuthPeriod": {"end": "2026-12-31"}}).item("authorization").state == "accepted"
    assert money(needed) == "satisfied"
    assert needed.booked("2027-01-15T09:00:00-05:00").item("authorization").state == "expiring"


def test_an_authorisation_nobody_can_say_is_needed_is_asked_about() -> None:
    case = insured().receives(eligibility())
    assert (case.item("authorization").reason, case.item("authorization").question) == ("applicability-unknown", "authorisation-required")
    assert insured().receives(eligibility(item=[{"authorizationRequired": False}])).item("authorization").state == "not-applicable"


@pytest.mark.parametrize("coding", [{"system": "https://nahdo.org/sopt", "code": "81"}, {"code": "SELFPAY"}])
def test_a_patient_who_pays_herself_needs_no_payer(coding: Json) -> None:
    case = Case().receives({"resourceType": "Coverage", "id": "self", "status": "active", "type": {"coding": [coding]}})
    assert money(case) == "satisfied"
    assert case.item("coverage-eligibility").state == "not-applicable"
