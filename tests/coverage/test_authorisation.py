"""Prior authorisation as a state table: every state from the resources that say it, the clocks, who may move it."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.cases.authorised import decided
from fhir_gateway.cases.days import Span
from fhir_gateway.coverage.asking import Told, answer, claim, indicator
from fhir_gateway.coverage.authorisation import MOVES, OPEN, WORDS, Item, acts, may, next_poll, standing
from fhir_gateway.validation import validate
from profiles.eligibility import ITEM_PERIOD

Json = dict[str, Any]
ZONE = ZoneInfo("America/Chicago")
ASKED = datetime(2026, 9, 10, 14, 0, tzinfo=UTC)
DAY = date(2026, 10, 1)
ON = Span(DAY, DAY)
REFERRAL: Json = {
    "id": "r",
    "subject": {"reference": "Patient/p"},
    "reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}]}],
}
PAYOR = {"display": "Blue Plan"}


def asked(at: datetime = ASKED, id: str = "c", *, fast: bool = False, **more: Any) -> Item:
    made = claim(REFERRAL, "Coverage/v", PAYOR, id=id, clinic="Clinic", now=at, day=DAY, fast=fast)
    return Item(f"Claim/{id}", made | more)


def told(decision: Any, at: datetime = ASKED + timedelta(days=1), request: str | None = "Claim/c", **more: Any) -> Item:
    period = {name: more.pop(name) for name in ("begins", "until", "ref") if name in more}
    said = Told(decision, "Ann at Blue Plan", "Yes, twelve visits", **period)
    made = answer(said, REFERRAL["subject"], PAYOR, request=request, coverage="Coverage/v", surgical=indicator(asked().resource), now=at)
    return Item(f"ClaimResponse/{decision}-{at:%d%H%M}", made | more)


def stands(*items: Item, required: bool | None = True, day: date = DAY) -> str:
    return standing(required, items, Span(day, day), ZONE).state


def test_what_is_made_is_legal_and_keeps_the_indicator() -> None:
    for item in (asked(), asked(fast=True), told("granted", ref="A-1", begins=DAY, until=DAY), told("denied"), told("pended"), told("cancelled")):
        assert validate(item.resource | {"id": "x"}) == [], item.reference
        assert indicator(item.resource)[0]["valueBoolean"] is True


@pytest.mark.parametrize(
    ("state", "required", "items"),
    [
        ("unknown", None, ()),
        ("not-needed", False, ()),
        ("needed", True, ()),
        ("asked", True, (asked(),)),
        ("pended", True, (asked(), told("pended"))),
        ("information-requested", True, (asked(), told("pended", communicationRequest=[{"display": "Pathology report"}]))),
        ("approved", True, (asked(), told("pended"), told("granted", ASKED + timedelta(days=2), ref="A-1"))),
        ("approved", None, (told("granted", request=None, ref="A-1", until=DAY),)),
        ("partly-approved", True, (asked(), told("granted-in-part", ref="A-1"))),
        ("denied", True, (asked(), told("denied"))),
        ("expired", True, (asked(), told("granted", ref="A-1", until=date(2026, 9, 30)))),
        ("cancelled", True, (asked(status="cancelled"),)),
        ("cancelled", True, (asked(status="cancelled"), told("pended"))),
        ("asked", True, (asked(), told("denied"), asked(ASKED + timedelta(days=3), "c2"))),
        (
            "approved",
            True,
            (asked(), told("granted", ref="A-1"), asked(ASKED + timedelta(days=3), "c2"), told("denied", ASKED + timedelta(days=4), "Claim/c2")),
        ),
        ("denied", True, (asked(), told("denied", outcome="error", item=[]))),
        ("failed", True, (asked(), told("denied", outcome="error", item=[], error=[{"code": {"text": "Member not found"}}]))),
        ("unclear", True, (asked(), told("granted", item=[]))),
        ("unclear", True, (asked(), told("granted", ref="A-1", modifierExtension=[{"url": "urn:x:reversed", "valueBoolean": True}]))),
        ("not-begun", True, (asked(), told("granted", ref="A-1", begins=date(2026, 10, 2)))),
        ("denied", True, (asked(), told("granted", ref="A-1"), told("denied", ASKED + timedelta(days=2)))),
        ("denied", True, (told("granted", request=None, ref="A-1"), asked(), told("denied", ASKED + timedelta(days=2)))),
        ("cancelled", True, (asked(status="cancelled"), told("granted", ref="A-1"))),
        ("asked", True, (asked(ASKED + timedelta(days=2), meta={"versionId": "2"}), told("denied"))),
        ("denied", True, (asked(ASKED + timedelta(days=2)), told("denied"))),
        ("asked", True, (asked(), told("granted-in-part", ref="A-1"), asked(ASKED + timedelta(days=3), "c2"))),
        ("denied", True, (asked(meta={"versionId": "2"}), told("denied", created="2026-09-10"))),
        ("asked", True, (asked(ASKED + timedelta(days=2), meta={"versionId": "2"}), told("denied", created="2026-09-11"))),
    ],
)
def test_every_state_follows_from_the_resources(state: str, required: bool | None, items: tuple[Item, ...]) -> None:
    assert stands(*items, required=required) == state
    assert stands(*reversed(items), required=required) == state, "the order they came in decides nothing"


def test_all_states_are_reached_and_told() -> None:
    reached = {move.after for move in MOVES} | {"unknown", "needed", "not-needed"}
    assert reached == set(WORDS)
    for state in WORDS:
        assert acts(state, "payer") or state in OPEN or acts(state, "clinic")
    assert may("ask", "approved", "clinic") is None and may("ask", "asked", "clinic") is None
    assert may("ask", "denied", "clinic") is not None and may("ask", "needed", "payer") is None


@pytest.mark.parametrize(
    ("codes", "decision"),
    [
        (["A1"], "approved"),
        (["A1", "A3"], "partly-approved"),
        (["A1", "A4"], "pended"),
        (["A2"], "partly-approved"),
        (["C"], "cancelled"),
        (["CT"], "pended"),
        (["NA"], "not-needed"),
        (["A1", "NA"], "approved"),
        (["ZZ"], "unknown"),
    ],
)
def test_the_review_actions_of_items_decide_together(codes: list[str], decision: str) -> None:
    one = told("granted").resource["item"][0]
    items = []
    for code in codes:
        (extension,) = one["adjudication"][0]["extension"]
        part = {**extension["extension"][0], "valueCodeableConcept": {"coding": [{"code": code}]}}
        items.append({"itemSequence": 1, "adjudication": [{**one["adjudication"][0], "extension": [{**extension, "extension": [part]}]}]})
    assert decided({"use": "preauthorization", "outcome": "complete", "item": items}) == decision


def item(code: str, number: str = "", until: str = "") -> Json:
    """An item as Da Vinci PAS answers it: number and period on the item alone."""
    made: Json = copy.deepcopy(told("granted").resource["item"][0])
    (action,) = made["adjudication"][0]["extension"]
    action["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] = code
    action["extension"] += [{"url": "number", "valueString": number}] if number else []
    period = {"url": ITEM_PERIOD, "valuePeriod": {"start": "2026-09-01", "end": until}}
    return made | ({"extension": [period]} if until else {})


def test_an_authorisation_of_items_has_its_number_and_period_there() -> None:
    """Da Vinci PAS, ClaimResponse: reviewAction.number, extension-itemPreAuthPeriod; no preAuthRef and no preAuthPeriod are sent."""
    short, long, refused = item("A1", "AUTH-1", "2026-09-30"), item("A1", "AUTH-2", "2026-12-31"), item("A3", "", "2026-09-01")
    assert stands(asked(), told("granted", item=[short])) == "expired"
    found = standing(True, [asked(), told("granted", item=[long])], ON, ZONE)
    assert (found.state, found.ref, found.until) == ("approved", "AUTH-2", date(2026, 12, 31))
    mixed = standing(True, [asked(), told("granted", item=[long, refused])], ON, ZONE)
    assert (mixed.state, mixed.ref, mixed.until) == ("partly-approved", "AUTH-2", date(2026, 12, 31))


def test_the_payers_clock_is_told_and_runs_out() -> None:
    slow, fast = standing(True, [asked()], ON, ZONE), standing(True, [asked(fast=True)], ON, ZONE)
    assert (slow.due, fast.due) == (ASKED + timedelta(days=7), ASKED + timedelta(hours=72))
    assert not slow.overdue(ASKED + timedelta(days=7)) and slow.overdue(ASKED + timedelta(days=7, seconds=1))
    assert "2026-09-13 09:00 (72 hours, expedited): overdue" in fast.words(ASKED + timedelta(days=4), ZONE)
    assert "decides by 2026-09-17 09:00 (7 days)" in slow.words(ASKED, ZONE)
    autumn = datetime(2026, 10, 30, 15, 0, tzinfo=UTC)
    days, hours = (standing(True, [asked(autumn, fast=fast)], ON, ZONE).words(autumn, ZONE) for fast in (False, True))
    assert "by 2026-11-06 10:00 (7 days)" in days and "by 2026-11-02 09:00 (72 hours" in hours, "asked at 10:00; the clocks go back on 1 November"
    granted = standing(True, [asked(), told("granted", ref="A-1", until=DAY)], ON, ZONE)
    assert granted.words(ASKED, ZONE) == "Prior authorisation is on file, number A-1, good until 2026-10-01." and not granted.overdue(
        ASKED + timedelta(days=99)
    )


def test_what_the_payer_asks_for_is_told() -> None:
    pended = standing(True, [asked(), told("pended", communicationRequest=[{"display": "Pathology report"}], processNote=[])], ON, ZONE)
    assert "It asks for: Pathology report." in pended.words(ASKED, ZONE)
    inside = {"resourceType": "CommunicationRequest", "id": "c", "status": "active", "payload": [{"contentString": "Send the slides"}]}
    named = told("pended", contained=[inside], communicationRequest=[{"reference": "#c"}], processNote=[])
    assert standing(True, [asked(), named], ON, ZONE).information == ("Send the slides",)
    failed = told("denied", outcome="error", item=[], error=[{"code": {"text": "Member not found"}}])
    assert standing(True, [asked(), failed], ON, ZONE).words(ASKED, ZONE).endswith("It says: Member not found.")


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=3 * 86_400))
def test_a_pended_request_is_asked_after_in_the_cadence_of_cdex(waited: int) -> None:
    now = ASKED + timedelta(seconds=waited)
    wait = next_poll(ASKED, now) - now
    assert wait == timedelta(minutes=1 if waited < 60 else 5 if waited < 31 * 60 else 60)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["granted", "granted-in-part", "pended", "denied", "cancelled"]), max_size=4), st.permutations(range(5)))
def test_the_order_of_arrival_decides_nothing(decisions: list[str], order: list[int]) -> None:
    items = [asked(), *(told(decision, ASKED + timedelta(days=n + 1)) for n, decision in enumerate(decisions))]
    shuffled = [items[n] for n in order if n < len(items)]
    assert standing(True, shuffled, ON, ZONE) == standing(True, items, ON, ZONE)
