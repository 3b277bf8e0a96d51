"""What the mock payer is scripted to say, from the referral to the money gate and its words: every scenario over every way it applies to.

One gateway for each way; every scenario has a member, a referral and a case of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fhir_gateway.coverage.asking import Told as Said
from tests.coverage.payers import CORE, FHIR, FILES, Clinic, clinic
from tests.mockpayer import MockPayer, mock_payer
from tests.pipeline.conftest import STAFF

Json = dict[str, Any]
RULES = "rules"

# What a clerk finds at the end: scenario → member, gate, reason or state of the eligibility item and of the authorisation, words.
ENDS: dict[str, tuple[str, str, str, str, dict[str, str]]] = {
    "active-with-copay": (
        *("M-1001", "satisfied", "accepted", "not-applicable"),
        {
            "eligibility": "is in force on 2026-09-10 and covers Second",
            "network": "The clinic is in the plan's network.",
            "authorisation": "Prior authorisation is not required.",
            "share": "copay 40.00 USD per visit",
            "nextStep": "Nothing: the money side is settled.",
        },
    ),
    "inactive": (
        *("M-1002", "not-satisfied", "not-in-force", "applicability-unknown"),
        {"eligibility": "not in force on 2026-09-10", "nextStep": "Ask the patient for the insurance that holds now"},
    ),
    "authorisation-needed": (
        *("M-1003", "not-satisfied", "accepted", "missing"),
        {"authorisation": "Prior authorisation is required.", "nextStep": "Ask the payer for prior authorisation."},
    ),
    "out-of-network": (
        *("M-1005", "not-satisfied", "out-of-network", "not-applicable"),
        {"network": "The clinic is not in the plan's network.", "nextStep": "Ask the payer for an exception"},
    ),
    "named-providers": (
        *("M-1006", "not-satisfied", "named-providers", "not-applicable"),
        {"network": "EXAMPLE CANCER CENTRE, EXAMPLE UNIVERSITY ONCOLOGY", "nextStep": "Ask the payer whether it allows the clinic"},
    ),
    "second-opinion-required": ("M-1007", "satisfied", "accepted", "not-applicable", {"mandated": "The plan requires a second opinion."}),
    "fallback": (
        *("M-1008", "satisfied", "accepted", "not-applicable"),
        {"eligibility": "covers Office visit, professional (98)", "share": "copay 30.00 USD per visit"},
    ),
    "contradictory": ("M-1011", "satisfied", "accepted", "not-applicable", {"problem": "otherwise for other service types (3)"}),
}

# What the clinic has been told of such a plan, for a payer that answers nobody.
_IN = {"kind": "closed", "clinic": True}
_COVERED: Json = {"serviceType": "20", "covered": True, "authorisationRequired": False, "network": _IN}
_NAMED = {"kind": "named", "clinic": False, "providers": [{"display": "EXAMPLE CANCER CENTRE"}, {"display": "EXAMPLE UNIVERSITY ONCOLOGY"}]}
_CODED = "https://codesystem.x12.org/005010/"


def _plan(copay: int, service_type: str = "20") -> Json:
    visit = [{"coding": [{"system": f"{_CODED}615", "code": "27"}]}]
    cost = {"type": {"coding": [{"code": "copay"}]}, "qualifiers": visit, "value": {"value": copay, "code": "USD", "system": "urn:iso:std:iso:4217"}}
    benefit = {"type": {"coding": [{"system": f"{_CODED}1365", "code": service_type}]}, "cost": [cost]}
    plan = {"specificCost": [{"category": {"text": "Professional services"}, "benefit": [benefit]}]}
    return {"resourceType": "InsurancePlan", "status": "active", "name": "Example", "plan": [plan]}


HELD: dict[str, Json] = {
    "active-with-copay": {"rules": [_COVERED], "insurancePlan": _plan(40)},
    "inactive": {"rules": [_COVERED]},
    "authorisation-needed": {"rules": [{**_COVERED, "authorisationRequired": True}]},
    "out-of-network": {"rules": [{**_COVERED, "network": {"kind": "closed", "clinic": False}}]},
    "named-providers": {"rules": [{**_COVERED, "network": _NAMED}]},
    "second-opinion-required": {"rules": [{**_COVERED, "secondOpinionRequired": True}]},
}


@pytest.fixture(scope="module")
def payer() -> Iterator[MockPayer]:
    """One for all."""
    with mock_payer() as made:
        yield made


# Which ways a test is played over. A payer that answers nobody can say only what the clinic has been told of it, and is never asked.
MACHINES = pytest.mark.parametrize("here", [FHIR, CORE, FILES], indirect=True, scope="module")
BY_FHIR = pytest.mark.parametrize("here", [FHIR], indirect=True, scope="module")


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest, payer: MockPayer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A gateway for each way."""
    payer.book.begin_anew()
    with clinic(payer, request.param, tmp_path_factory.mktemp("clinic")) as made:
        yield made


@pytest.mark.parametrize(
    ("here", "scenario"),
    [(way, scenario) for way in (RULES, FHIR, CORE, FILES) for scenario in ENDS if way != RULES or scenario in HELD],
    indirect=["here"],
    scope="module",
)
def test_the_gate_and_its_words(here: Clinic, scenario: str) -> None:
    member, gate, item, authorisation, words = ENDS[scenario]
    if here.way != RULES:
        number = here.refers(member)
    else:
        here.configure(name=scenario, title=f"Plan {scenario}", identifier=[{"value": scenario.upper()}], **HELD[scenario])
        number = here.refers(member, payer=scenario.upper(), until="20260831" if scenario == "inactive" else "20271231")
    here.works()
    found = here.money(number)
    assert (found["gate"], found["item"], found["authorization"]) == (gate, item, authorisation), found
    for name, text in words.items():
        assert text in str(found[name]), (name, found[name])
    if here.way != RULES:
        assert found["answeredBy"] == here.way.partition(" ")[0]
        assert found["validUntil"] == "2026-09-30"
        assert here.raw(number), "the answer is kept as it came"


@pytest.fixture
def asked(here: Clinic) -> Clinic:
    """A gateway whose payer answers by machine."""
    here.rested()
    return here


@MACHINES
def test_busy_then_active(asked: Clinic) -> None:
    number = asked.refers("M-1009")
    asked.works()
    found = asked.money(number)
    assert (found["gate"], found["item"]) == ("indeterminate", "indeterminate")
    assert "can't answer now" in found["problem"][0] and found["nextStep"].startswith("Wait")
    assert len(asked.payer.asked("M-1009")) == 1
    asked.works(minutes=17)
    asked.works()
    found = asked.money(number)
    assert (found["gate"], found["item"], len(asked.payer.asked("M-1009"))) == ("satisfied", "accepted", 2)
    traces = {one["trace"] for one in asked.payer.asked("M-1009")}
    assert len(traces) == 1, "asked again under the same number"


@MACHINES
def test_an_answer_about_somebody_else_is_refused_and_kept(asked: Clinic) -> None:
    number = asked.refers("M-1025")
    asked.works()
    found = asked.money(number)
    assert found["gate"] == "indeterminate"
    if asked.way == FILES:
        line = next(line for line in asked.told.inbox("refused") if line.channel == "payer" and "no question of ours" in line.findings[0]["text"])
        assert found["item"] == "pended" and line.sender == "example"
    else:
        assert "about another question" in found["problem"][0] and asked.raw(number)


@MACHINES
def test_a_malformed_answer_is_located_and_kept(asked: Clinic) -> None:
    number = asked.refers("M-1023")
    asked.works()
    found = asked.money(number)
    assert found["gate"] == "indeterminate"
    if asked.way == FILES:
        assert any("breaks off" in line.findings[0]["text"] for line in asked.told.inbox("refused"))
    else:
        assert "wrong at the body" in found["problem"][0] if asked.way == FHIR else "segment 10 (TRN)" in found["problem"][0]
        assert asked.raw(number)


@BY_FHIR
def test_fhir_against_the_specification_is_located(asked: Clinic) -> None:
    number = asked.refers("M-1024")
    asked.works()
    assert "CoverageEligibilityResponse.insurance[0].inforce" in asked.money(number)["problem"][0]


@MACHINES
def test_unavailable_then_active(asked: Clinic) -> None:
    number = asked.refers("M-1022")
    asked.works()
    assert asked.money(number)["item"] == "pended"
    asked.works(hours=25) if asked.way == FILES else asked.works(minutes=2)
    assert asked.money(number)["gate"] == "satisfied"


@BY_FHIR
def test_a_slow_answer_is_waited_for_as_long_as_the_payer_may_take(asked: Clinic) -> None:
    asked.configure(seconds=0.2)
    number = asked.refers("M-1026")
    asked.works()
    assert (asked.money(number)["gate"], asked.money(number)["item"]) == ("indeterminate", "pended")
    asked.configure(seconds=20)
    asked.works(minutes=2)
    assert asked.money(number)["gate"] == "satisfied" and len(asked.payer.asked("M-1026")) == 2


def authorised(asked: Clinic, member: str, by_hand: Json) -> list[tuple[str, str, str]]:
    """Where it stands once it was asked for, and at the end: over FHIR as the payer decides, otherwise as staff enter what they were told."""
    number = asked.refers(member)
    asked.works()
    assert (asked.money(number)["gate"], asked.money(number)["authorization"]) == ("not-satisfied", "missing")
    authorising = asked.told.gateway.authorising
    authorising.ask(STAFF, number)
    asked.works()
    stood = [asked.money(number)]
    if asked.way == FHIR:
        asked.works(minutes=2)
    else:
        authorising.enter(STAFF, number, Said(by="Ann at Example Payer", said="What she said", **by_hand))
    stood.append(asked.money(number))
    return [(found["authorisationState"], found["gate"], found["nextStep"]) for found in stood]


@MACHINES
def test_authorisation_needed_then_approved(asked: Clinic) -> None:
    begins = asked.told.now.date()
    granted = {"decision": "granted", "ref": "PA-2026-0001", "begins": begins, "until": begins + timedelta(days=90)}
    first, last = authorised(asked, "M-1003", granted)
    assert first[0] == ("pended" if asked.way == FHIR else "asked") and first[1] != "satisfied"
    assert last == ("approved", "satisfied", "Nothing: the money side is settled.")


@MACHINES
def test_authorisation_pended_then_denied(asked: Clinic) -> None:
    first, last = authorised(asked, "M-1004", {"decision": "denied"})
    assert first[1] != "satisfied"
    assert last[:2] == ("denied", "not-satisfied") and "patient whether to appeal" in last[2]


@BY_FHIR
def test_documents_wanted_before_it_is_decided(asked: Clinic) -> None:
    first, last = authorised(asked, "M-1012", {})
    assert first[0] == "information-requested" and first[2].startswith("Send the payer what it asks for")
    assert last[:2] == ("approved", "satisfied")


@MACHINES
def test_a_policy_that_ends_mid_case_regresses_the_gate_when_it_is_asked_about_in_the_next_month(asked: Clinic) -> None:
    """The last story of each gateway: its clock goes into October."""
    number = asked.refers("M-1010")
    asked.works()
    assert asked.money(number)["gate"] == "satisfied"
    asked.works(seconds=(asked.told.now.replace(month=10, day=2) - asked.told.now).total_seconds())
    asked.works()
    found = asked.money(number)
    assert (found["gate"], found["item"]) == ("not-satisfied", "not-in-force")
    assert "holds now" in found["nextStep"]


@MACHINES
def test_what_is_said_of_failures_holds_neither_name_nor_member_number(asked: Clinic) -> None:
    with asked.told.gateway.store.snapshot(STAFF) as tx:
        errors = " ".join(str(job.last_error) for job in tx.outbox.list(limit=500)).upper()
    findings = " ".join(str(line.findings) for line in asked.told.inbox() if line.channel == "payer").upper()
    for word in ("M-10", "MARLOWE", "GIVEN"):
        assert word not in errors and word not in findings
