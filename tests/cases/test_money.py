"""Stories about the money gate: which answer counts, for which insurance, and what shuts the gate or leaves it open."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.cases.eligibility import insured
from fhir_gateway.cases.insured import digest
from fhir_gateway.cases.model import Policy
from fhir_gateway.coverage import words
from fhir_gateway.coverage.words import next_step
from profiles.eligibility import (
    COVERAGE_CHECKED,
    INDETERMINATE,
    NETWORK_PROVIDER,
    NETWORK_RESTRICTED,
    OTHER_PAYER,
    RETRY_AFTER,
    SECOND_OPINION_REQUIRED,
    SERVICE_TYPES,
)
from tests.cases.story import Case, answers, item_task

Json = dict[str, Any]


def coverage(name: str = "plan", **changes: Any) -> Json:
    held = {"resourceType": "Coverage", "id": name, "status": "active", "payor": [{"display": "Acme Health"}], "subscriberId": "M-77"}
    return held | {"period": {"start": "2026-01-01"}} | changes


def service(code: str = "20", **content: Any) -> Json:
    return {"category": {"coding": [{"system": SERVICE_TYPES, "code": code}]}, "authorizationRequired": False, **content}


def network(code: str) -> Json:
    return {"network": {"coding": [{"code": code}]}}


def response(
    *items: Json, about: Json | None = None, name: str = "elig", on: str = "2026-09-03", inforce: bool | None = True, **content: Any
) -> Json:
    asked = about or coverage()
    one: Json = {"coverage": {"reference": f"Coverage/{asked['id']}"}, "extension": [{"url": COVERAGE_CHECKED, "valueString": digest(asked)}]}
    one |= {} if inforce is None else {"inforce": inforce}
    made = {"resourceType": "CoverageEligibilityResponse", "id": name, "status": "active", "created": on, "outcome": "complete"}
    return made | {"insurance": [one | {"item": list(items)}]} | content


def money(case: Case, at: str = "2026-09-10") -> tuple[str, str | None]:
    evaluation = case.evaluation(at)
    return evaluation.gates["money"].state, next(item.reason for item in evaluation.items if item.item == "coverage-eligibility")


def restricted(*names: str) -> Json:
    providers = [{"url": NETWORK_PROVIDER, "valueReference": {"display": name}} for name in names]
    return {"extension": [{"url": NETWORK_RESTRICTED, "valueString": "named providers"}, *providers]}


@pytest.mark.parametrize(
    ("item", "gate", "reason"),
    [
        (service(), "satisfied", None),
        (service(**network("in")), "satisfied", None),
        (service(**network("out")), "not-satisfied", "out-of-network"),
        (service(excluded=True), "not-satisfied", "excluded"),
        (service(**restricted("Elsewhere Oncology")), "not-satisfied", "named-providers"),
        (service(**restricted("Elsewhere Oncology", "The Clinic")), "satisfied", None),
        (service(**restricted()), "indeterminate", "network-unknown"),
        (service(extension=[{"url": INDETERMINATE, "valueString": "cannot process"}]), "indeterminate", "indeterminate"),
    ],
)
def test_in_force_is_not_enough(item: Json, gate: str, reason: str | None) -> None:
    case = Case(policy=Policy(clinic=frozenset({"the clinic"}))).receives(coverage(), response(item))
    assert money(case) == (gate, reason)


def test_an_answer_changed_in_a_way_not_known_is_neither_yes_nor_no() -> None:
    """R4 extensibility.html#modifierExtension: what can't be understood may turn the meaning round."""
    case = Case().receives(coverage(), response(service(modifierExtension=[{"url": "urn:x:not", "valueBoolean": True}])))
    assert money(case) == ("indeterminate", "indeterminate")


def test_the_service_type_nearest_to_a_second_opinion_answers_and_one_that_cannot_leaves_the_word() -> None:
    unable = service("20", extension=[{"url": INDETERMINATE, "valueString": "cannot process"}])
    assert money(Case().receives(coverage(), response(unable, service("98")))) == ("satisfied", None)
    assert money(Case().receives(coverage(), response(service("30", excluded=True), service("20")))) == ("satisfied", None)


def test_the_newest_plain_answer_speaks_and_an_error_leaves_the_word_to_it() -> None:
    case = Case().receives(coverage(), response(service(), name="a", on="2026-09-01"))
    case.receives(response(name="b", on="2026-09-02", outcome="error"))
    assert money(case) == ("satisfied", None)
    case.receives(response(name="c", on="2026-09-03", inforce=False))
    assert money(case) == ("not-satisfied", "not-in-force")


def test_a_replaced_policy_regresses_the_gate_until_it_is_asked_about() -> None:
    case = Case().receives(coverage(), response(service()))
    assert money(case)[0] == "satisfied"
    changed = coverage(subscriberId="M-78")
    case.receives(changed)
    assert money(case) == ("indeterminate", "policy-changed")
    case.receives(response(service(), about=changed, name="again", on="2026-09-09"))
    assert money(case) == ("satisfied", None)


def test_what_changes_no_question_changes_no_answer() -> None:
    case = Case().receives(coverage(), response(service())).receives(coverage(order=1, identifier=[{"value": "x"}]))
    assert money(case)[0] == "satisfied"


@pytest.mark.parametrize("ended", [{"status": "cancelled"}, {"period": {"start": "2026-01-01", "end": "2026-09-05"}}])
def test_a_lapsed_policy_shuts_the_gate(ended: Json) -> None:
    case = Case().receives(coverage(), response(service())).receives(coverage(**ended))
    assert money(case) == ("not-satisfied", "lapsed")


def test_only_the_insurance_that_pays_first_counts() -> None:
    first, second = coverage("first", order=1), coverage("second", order=2)
    case = Case().receives(first, second, response(service(), about=second))
    assert money(case) == ("indeterminate", "another-policy")
    case.receives(response(service(), about=first, name="first"))
    assert money(case) == ("satisfied", None)
    case.receives(coverage("first", order=2), coverage("second", order=1))
    assert money(case) == ("satisfied", None)


def test_a_policy_that_has_run_out_gives_way_to_the_one_that_holds() -> None:
    old = coverage("old", period={"start": "2025-01-01", "end": "2025-12-31"})
    assert money(Case().receives(old, coverage(), response(service()))) == ("satisfied", None)


def authorised(**content: Any) -> Json:
    made = {"resourceType": "ClaimResponse", "id": "auth", "status": "active", "use": "preauthorization", "outcome": "complete", "preAuthRef": "PA-1"}
    return made | content


@pytest.mark.parametrize(
    ("required", "held", "gate"),
    [
        (False, None, "satisfied"),
        (True, None, "not-satisfied"),
        (None, None, "indeterminate"),
        (True, authorised(), "satisfied"),
        (True, authorised(outcome="queued"), "indeterminate"),
        (True, authorised(outcome="error"), "not-satisfied"),
        (True, authorised(preAuthPeriod={"end": "2026-09-20"}), "not-satisfied"),
        (True, authorised(insurance=[{"coverage": {"reference": "Coverage/other"}}]), "indeterminate"),
    ],
)
def test_authorisation(required: bool | None, held: Json | None, gate: str) -> None:
    item = service(authorizationRequired=required)
    if required is None:
        del item["authorizationRequired"]
    case = Case().receives(coverage(), response(item), *([held] if held else [])).booked("2026-09-25T09:00:00-04:00")
    assert money(case)[0] == gate


def test_a_refusal_after_an_authorisation_shuts_the_gate_again() -> None:
    case = Case().receives(coverage(), response(service(authorizationRequired=True)), authorised(created="2026-09-01"))
    assert money(case)[0] == "satisfied"
    assert money(case.receives(authorised(id="later", created="2026-09-05", outcome="error")))[0] == "not-satisfied"


def test_an_answer_of_another_month_is_asked_again_and_is_no_refusal() -> None:
    case = Case().receives(coverage(), response(service())).booked("2026-10-06T09:00:00-04:00")
    assert money(case) == ("indeterminate", "stale")
    assert money(case, "2026-10-02") == ("indeterminate", "stale")
    assert money(case.receives(response(service(), name="october", on="2026-10-01")), "2026-10-02") == ("satisfied", None)


def test_do_not_bill_my_plan_asks_no_payer() -> None:
    case = Case().receives(coverage(), answers(self_pay=True))
    assert money(case) == ("satisfied", None)


def test_staff_may_do_without_the_network_with_a_reason() -> None:
    case = Case().receives(coverage(), response(service(**network("out"))))
    case.tasks.append(item_task("item-waiver", "coverage-eligibility", "completed", statusReason={"text": "exception agreed"}))
    assert money(case)[0] == "satisfied"


def test_benefits_told_apart_by_network_do_not_say_on_which_side_the_clinic_is() -> None:
    (said,) = insured(response(service(**network("in")), service(**network("out"), authorizationRequired=True)))
    assert (said.network, said.authorisation) == ("", True)
    assert words.network(said) == "Whether the clinic is in the plan's network is not known."


def test_what_is_said_of_any_part_of_the_service_or_under_another_type_counts() -> None:
    wanted = {"extension": [{"url": SECOND_OPINION_REQUIRED, "valueBoolean": True}]}
    (said,) = insured(response(service("20"), service("30", **wanted, authorizationRequired=True)))
    assert (said.mandated, said.authorisation) == (True, False), "another service type's authorisation is not the opinion's"


def test_an_authorisation_asked_for_another_service_is_none_of_this_one() -> None:
    asked = {
        "resourceType": "Claim",
        "id": "surgery",
        "status": "active",
        "use": "preauthorization",
        "referral": {"reference": "ServiceRequest/other"},
    }
    granted = authorised(request={"reference": "Claim/surgery"})
    case = Case().receives(coverage(), response(service(authorizationRequired=True)), asked, granted)
    item = next(one for one in case.evaluation("2026-09-10").items if one.item == "authorization")
    assert (money(case)[0], item.reason) == ("not-satisfied", "another-service")
    ours = asked | {"referral": {"reference": "ServiceRequest/ref"}}
    assert money(Case().receives(coverage(), response(service(authorizationRequired=True)), ours, granted))[0] == "satisfied"


@pytest.mark.parametrize(
    ("period", "gate", "reason"),
    [
        ({"start": "2025-01-01", "end": "2026-06-30"}, "indeterminate", "indeterminate"),
        ({"start": "2026-10-01"}, "indeterminate", "indeterminate"),
        ({"start": "2026-01-01", "end": "2026-09-08"}, "not-satisfied", "lapsed"),
        ({"start": "2026-01-01", "end": "2026-09-10"}, "satisfied", None),
        ({"start": "2026"}, "satisfied", None),
    ],
)
def test_in_force_holds_for_the_dates_the_payer_gives_with_it(period: Json, gate: str, reason: str | None) -> None:
    """R4 insurance.inforce is of the date of service, benefitPeriod the term of what is told; X12 DTP 346, 347. Active outside it contradicts itself."""
    made = response(service(), servicedDate="2026-09-03")
    made["insurance"][0]["benefitPeriod"] = period
    assert money(Case().receives(coverage(), made)) == (gate, reason)


def test_a_plan_that_pays_nothing_out_of_network_leaves_open_whether_it_pays_here() -> None:
    inside, outside = service(excluded=False, **network("in")), service(excluded=True, **network("out"))
    assert money(Case().receives(coverage(), response(inside, outside))) == ("indeterminate", "network-unknown")
    (said,) = insured(response(inside, outside))
    told = "Whether the clinic is in the plan's network is not known. The plan restricts the choice: nothing is paid out of network."
    assert words.network(said) == told


def test_another_payer_the_answer_names_is_told() -> None:
    """EB01 R with NM101 PRP: the payer asked is not the one that pays first."""
    made = response(service())
    made["insurance"][0]["extension"].append({"url": OTHER_PAYER, "valueString": "MEDICARE (the primary payer)"})
    (said,) = insured(made)
    assert words.problems(made, said) == [
        "The payer names another insurance: MEDICARE (the primary payer). Ask the patient about it: it may have to pay first."
    ]


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [("min", 15, "Wait: the payer could not answer now"), ("d", 30, "The payer wants to be asked again after 30 days, and then is.")],
)
def test_when_it_is_asked_again_is_told_as_it_is(code: str, value: int, words: str) -> None:
    """AAA04 W and X name 30 and 10 days; nobody waits "by tomorrow" for that."""
    error = {"extension": [{"url": RETRY_AFTER, "valueDuration": {"value": value, "code": code}}]}
    items = {"coverage-eligibility": {"state": "received", "reason": "indeterminate"}}
    assert next_step(items, response(outcome="error", error=[error])).startswith(words)
    assert next_step(items, response(outcome="complete", error=[error])).startswith("Telephone the payer")


def test_insurance_that_begins_by_the_day_of_the_service_is_no_reason_to_ask_for_another() -> None:
    case = Case().receives(coverage(period={"start": "2026-01-01", "end": "2026-09-20"}), coverage("next", period={"start": "2026-09-21"}))
    card = case.booked("2026-10-01T14:00:00-04:00").item("insurance-card")
    assert (card.state, card.supplied_by) == ("accepted", ("Coverage/next",))


def test_a_benefit_told_for_both_sides_of_the_network_is_the_same_in_and_out_of_it() -> None:
    """EB12 W: the benefit is the same whether in or out of network (005010X279A1, 2110C EB12)."""
    both = {"network": {"coding": [{"code": "in"}, {"code": "out"}]}}
    (said,) = insured(response(service(**both)))
    assert words.network(said) == "The plan pays alike in and out of its network."
    assert money(Case().receives(coverage(), response(service(**both)))) == ("satisfied", None)
