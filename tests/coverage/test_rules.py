"""Stories about an answer made here: in force or not, who may give the opinion, what it costs, and what nobody knows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.cases.eligibility import extended
from fhir_gateway.cases.model import Moment
from fhir_gateway.coverage import words
from fhir_gateway.coverage.payer import Payer, Rule, shipped
from fhir_gateway.validation import validate
from profiles.eligibility import DISCLAIMER, VALID_UNTIL
from tests.coverage.questions import AT, COVERAGE, ask, said

Json = dict[str, Any]
MUTUAL, MANAGED, BASIC = (shipped()[f"example-{name}"] for name in ("mutual", "managed-care", "basic"))


@pytest.mark.parametrize(
    ("changes", "inforce"),
    [
        ({}, True),
        ({"period": {"start": "2026-01-01", "end": "2026-09-19"}}, False),
        ({"period": {"start": "2026-10-01"}}, False),
        ({"period": {"end": "2026-12-31"}}, True),
        ({"period": {"start": "2026-09"}}, None),
        ({"period": None}, None),
        ({"status": "cancelled"}, False),
        ({"status": "draft"}, None),
    ],
)
def test_in_force_on_the_day_asked_about_as_the_coverage_says(changes: Json, inforce: bool | None) -> None:
    held = {name: value for name, value in {**COVERAGE, **changes}.items() if value is not None}
    answer = ask(coverage=held)
    assert (said(answer).inforce, validate({**answer, "id": "a"})) == (inforce, [])


def test_a_payer_that_is_configured_says_what_its_rules_and_plan_say() -> None:
    answer = ask(MUTUAL)
    one = said(answer)
    assert (one.service_type, one.excluded, one.network, one.authorisation, one.mandated) == ("20", False, "in", False, False)
    assert words.share(one) == (
        "The patient's likely share: copay 40.00 USD per visit; deductible 500.00 USD in the calendar year; "
        "out-of-pocket maximum 6,000.00 USD in the calendar year."
    )
    assert words.eligibility(answer, one) == "The insurance is in force on 2026-09-20 and covers Second Surgical Opinion (20)."
    assert words.disclaimers(answer, one) == ["Eligibility is no guarantee of payment."]
    assert validate({**answer, "id": "a"}) == []


def test_named_providers_authorisation_and_a_required_opinion_from_the_service_type_that_answers() -> None:
    one = said(ask(MANAGED))
    assert (one.service_type, one.network, one.authorisation, one.mandated) == ("3", "out", True, True)
    assert words.network(one) == (
        "The plan names who may give the opinion: Example Cancer Centre, Example University Oncology. The clinic is not among them."
    )


def test_an_excluded_service_is_told_in_the_payers_words() -> None:
    answer = ask(BASIC)
    one = said(answer)
    assert one.excluded
    assert words.disclaimers(answer, one) == ["Second opinions are excluded under Example Basic."]


def test_each_service_type_asked_about_answers_for_itself() -> None:
    asked = [{"category": {"coding": [{"system": "https://codesystem.x12.org/005010/1365", "code": code}]}} for code in ("98", "20")]
    items = ask(BASIC, item=asked)["insurance"][0]["item"]
    assert [(item["category"]["coding"][0]["code"], item.get("excluded")) for item in items] == [("98", False), ("20", True)]


def test_of_a_payer_nobody_configured_only_what_is_held_is_known() -> None:
    one = said(ask())
    assert (one.inforce, one.authorisation, one.network, one.mandated, bool(one.unknown)) == (True, None, "", None, True)
    assert words.authorisation(one) == "Whether prior authorisation is required is not known."


def test_only_what_is_asked_is_answered() -> None:
    assert "item" not in ask(MUTUAL, purpose=["validation"])["insurance"][0]
    (item,) = ask(MUTUAL, purpose=["auth-requirements"])["insurance"][0]["item"]
    assert (item["authorizationRequired"], "benefit" in item, "network" in item) == (False, False, False)


@pytest.mark.parametrize(
    ("day", "until", "note"),
    [
        ("2026-09-20", "2026-09-30", ""),
        ("2026-10-02", "2026-09-30", "Ask again in that month."),
        ("2026-08-02", "2026-08-31", ""),
        ("2025-09-01", "2025-09-30", "more than twelve months back"),
    ],
)
def test_a_day_payers_need_not_answer_for_is_said_and_the_answer_holds_to_the_end_of_its_month(day: str, until: str, note: str) -> None:
    answer = ask(MUTUAL, servicedDate=day)
    assert (extended(answer, VALID_UNTIL), note in answer.get("disposition", "")) == (until, True)


def test_the_month_is_that_of_the_clinics_calendar() -> None:
    from zoneinfo import ZoneInfo

    late = Moment(datetime(2026, 10, 1, 2, tzinfo=UTC), ZoneInfo("America/Chicago"))
    assert extended(ask(MUTUAL, at=late, servicedDate="2026-09-30"), VALID_UNTIL) == "2026-09-30"


THREE = st.sampled_from([True, False, None])


@settings(max_examples=40, deadline=None)
@given(
    rule=st.builds(
        Rule, st.just("20"), covered=THREE, authorisation=THREE, mandated=THREE, network=st.sampled_from(["open", "closed", "unknown"]), clinic=THREE
    ),
    days=st.integers(-500, 500),
)
def test_what_is_unknown_never_becomes_yes_or_no(rule: Rule, days: int) -> None:
    day = date(2026, 9, 10) + timedelta(days)
    answer = ask(Payer("p", "P", rules=(rule,)), servicedDate=day.isoformat(), coverage={**COVERAGE, "period": {"start": "2020-01-01"}})
    one = said(answer)
    assert (one.authorisation, one.mandated) == (rule.authorisation, rule.mandated)
    assert one.item.get("excluded") == (None if rule.covered is None else not rule.covered)
    assert bool(one.unknown) == (rule.covered is None)
    assert validate({**answer, "id": "a"}) == []


def test_a_disclaimer_is_on_the_response_for_the_payer_and_on_the_item_for_the_service() -> None:
    answer = ask(Payer("p", "P", disclaimer="A.", rules=(Rule("20", covered=True, disclaimer="B."),)), at=AT)
    assert (extended(answer, DISCLAIMER), extended(said(answer).item, DISCLAIMER)) == ("A.", "B.")
