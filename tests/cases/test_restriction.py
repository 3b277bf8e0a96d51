"""What a person forbids payers to be told: one rule over Consents, and what it means for the money of a case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date
from typing import Any

import pytest

from fhir_gateway.cases.completeness import evaluate
from fhir_gateway.cases.notbilled import not_billed
from profiles.restriction import Asked, forbidden, restricts, turns
from tests.cases.story import Case, checklist, coded, consent, moment

Json = dict[str, Any]
TODAY = date(2026, 9, 10)
PLAN, OTHER = {"reference": "Organization/plan"}, {"reference": "Organization/other"}
PAYMENT = [{"code": "HPAYMT"}]


def actor(who: Json, role: str = "PRCP") -> Json:
    return {"role": {"coding": [{"code": role}]}, "reference": who}


def deny(**rule: Any) -> Json:
    return {"type": "deny", **rule}


def about(*names: str) -> list[Json]:
    return [{"meaning": "instance", "reference": {"reference": name}} for name in names]


def says(provision: Json | None, *, who: Json = PLAN, of: tuple[str, ...] = ("Coverage/a", "ServiceRequest/s"), **more: Any) -> bool:
    held: Json = {"resourceType": "Consent", "status": "active", **({"provision": provision} if provision is not None else {})}
    document = bool(more.pop("document", False))
    return forbidden([held | more], Asked(of, lambda named, _consent: named == who, TODAY, UTC, document))


@pytest.mark.parametrize(
    ("provision", "denied"),
    [
        (None, False),
        ({}, False),
        (deny(), True),
        (deny(purpose=PAYMENT), True),
        (deny(purpose=[{"code": "ELIGVER"}]), True),
        (deny(purpose=[{"code": "TREAT"}]), False),
        (deny(actor=[actor(PLAN)]), True),
        (deny(actor=[actor(PLAN, "PAYOR")]), True),
        (deny(actor=[actor(PLAN, "CST")], purpose=PAYMENT), True),
        (deny(actor=[actor(OTHER)]), False),
        (deny(actor=[actor(OTHER), actor(PLAN)]), True),
        (deny(purpose=PAYMENT, period={"start": "2026-09-11"}), False),
        (deny(purpose=PAYMENT, period={"start": "2026-09"}), True),
        (deny(purpose=PAYMENT, period={"end": "2026-09-09"}), False),
        (deny(purpose=PAYMENT, period={"end": "2026-09-10"}), True),
        (deny(purpose=PAYMENT, period={"end": "soon"}), True),
        (deny(purpose=PAYMENT, data=about("Coverage/a")), True),
        (deny(purpose=PAYMENT, data=about("Coverage/b", "ServiceRequest/s")), True),
        (deny(purpose=PAYMENT, data=about("Coverage/b")), False),
        (deny(purpose=PAYMENT, data=[{"meaning": "instance", "reference": {"identifier": {"value": "1"}}}]), True),
        (deny(purpose=PAYMENT, data=about("#inside")), True),
        (deny(purpose=PAYMENT, action=[{"coding": [{"code": "disclose"}]}]), True),
        (deny(purpose=PAYMENT, action=[{"coding": [{"code": "collect"}]}]), False),
        (deny(purpose=PAYMENT, securityLabel=[{"code": "PSY"}]), False),
        (deny(purpose=PAYMENT, provision=[{"type": "permit", "actor": [actor(PLAN)]}]), False),
        (deny(purpose=PAYMENT, provision=[{"type": "permit", "actor": [actor(OTHER)]}]), True),
        (deny(purpose=PAYMENT, provision=[{"type": "permit", "code": [{"text": "some"}]}]), True),
        ({"provision": [deny(purpose=PAYMENT)]}, True),
        ({"actor": [actor({"reference": "Organization/clinic"})], "provision": [deny(actor=[actor(PLAN)])]}, True),
        ({"period": {"end": "2026-09-01"}, "provision": [deny(purpose=PAYMENT)]}, False),
        ({"provision": [{"type": "permit", "provision": [deny(purpose=PAYMENT)]}]}, True),
    ],
)
def test_what_a_provision_denies(provision: Json | None, denied: bool) -> None:
    assert says(provision) is denied


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_a_consent_in_force_forbids(status: str) -> None:
    assert not says(deny(purpose=PAYMENT), status=status)


def test_scope_and_policy_are_read() -> None:
    assert not says(deny(), scope={"coding": [{"code": "research"}]})
    assert says(deny(), scope={"coding": [{"code": "patient-privacy"}]}) and says(deny(), scope={"text": "privacy"})
    assert says(None, policyRule={"coding": [{"code": "OPTOUT"}]}) and not says({"type": "permit"}, policyRule={"coding": [{"code": "OPTOUT"}]})
    assert says(deny(securityLabel=[{"code": "PSY"}]), document=True), "of documents that may be of that kind nothing is told"


def test_no_other_consent_lifts_a_denial_and_odd_ones_do_no_harm() -> None:
    every = Asked((), lambda _actor, _consent: False, TODAY, UTC)
    held = [consent(), consent(provision=deny(purpose=PAYMENT)), consent(provision={"type": "permit", "purpose": PAYMENT})]
    assert forbidden(held, every) and forbidden(held[::-1], every)
    for odd in (1, "x", [], [1], {"actor": "x", "data": [1], "provision": [None], "period": 3, "purpose": [7]}):
        assert not forbidden([{"status": "active", "provision": odd}], every) and not turns([{"status": "active", "provision": odd}], TODAY, UTC)


def test_the_days_on_which_it_changes_by_itself() -> None:
    held = consent(provision={"provision": [deny(purpose=PAYMENT, period={"start": "2026-10-01", "end": "2026-10-31"})]})
    assert restricts(held) and turns([held], TODAY, UTC) == {date(2026, 10, 1), date(2026, 11, 1)}
    assert turns([held], date(2026, 10, 5), UTC) == {date(2026, 11, 1)} and not turns([consent()], TODAY, UTC)


def plan(name: str, **content: Any) -> Json:
    return coded("Coverage", name, "PPO", element="type", status="active", payor=[{"reference": f"Organization/{name}"}], **content)


def money(*records: Json, at: str = "2026-09-10") -> tuple[str, bool, set[str]]:
    """The money gate, whether the patient pays alone, and the plans that are cut."""
    file = Case().receives(*records).file()
    found = not_billed(file, lambda held, named, _consent: named in held["payor"], moment(at))
    judged = evaluate(replace(file, not_billed=found), checklist("breast"), moment(at))
    return judged.gates["money"].state, judged.self_pay, set(found.coverages)


def test_forbidding_every_plan_turns_the_money_gate_as_self_pay_does() -> None:
    forbids = consent(name="no", provision=deny(purpose=PAYMENT))
    assert money(plan("plan"))[1:] == (False, set())
    assert money(plan("plan"), forbids) == money(forbids, plan("plan")) == ("satisfied", True, {"Coverage/plan"})
    assert money(forbids) == ("satisfied", True, set()), "the plan comes later"
    assert money(plan("plan"), {**forbids, "status": "inactive"})[1:] == (False, set())


def test_forbidding_one_of_two_plans_leaves_the_other() -> None:
    forbids = consent(name="no", provision=deny(actor=[actor(PLAN)]))
    assert money(plan("plan"), plan("other"), forbids)[1:] == (False, {"Coverage/plan"})
    assert money(plan("plan"), forbids)[1:] == (True, {"Coverage/plan"})
    assert money(plan("plan"), plan("other"), consent(name="no", provision=deny(data=about("Coverage/other"))))[1:] == (False, {"Coverage/other"})
    assert money(plan("plan"), consent(name="no", provision=deny(purpose=PAYMENT, data=about("ServiceRequest/else"))))[1:] == (False, set())


def test_a_denial_for_later_is_looked_at_again_on_its_day() -> None:
    forbids = consent(name="no", provision=deny(purpose=PAYMENT, period={"start": "2026-09-20"}))
    file = Case().receives(plan("plan"), forbids).file()
    found = not_billed(file, lambda *_: False, moment("2026-09-10"))
    judged = evaluate(replace(file, not_billed=found), checklist("breast"), moment("2026-09-10"))
    assert judged.next_change is not None and judged.next_change.date() == date(2026, 9, 20) and not judged.self_pay
    assert money(plan("plan"), forbids, at="2026-09-20")[1]


def test_what_a_plan_may_be_told_is_no_permission_for_the_records() -> None:
    for rule in (deny(purpose=PAYMENT), deny(actor=[actor(PLAN, "PAYOR")]), deny(data=about("Coverage/plan"))):
        case = Case(policy=replace(Case().policy, clinic=frozenset({"Organization/clinic"})))
        case.receives(consent(at="2026-09-01"), consent(name="no", at="2026-09-05", provision=rule))
        assert case.evaluation().gates["permission"].state == "satisfied", rule
        case.receives(consent("inactive", name="no", at="2026-09-05", provision=rule))
        assert case.evaluation().gates["permission"].state == "satisfied", "nor is it taken back with it"
