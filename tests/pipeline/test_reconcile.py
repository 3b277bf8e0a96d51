"""Element by element: what a newer or an older message adds to a record, what it deletes, what it only implies. No database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.pipeline.reconcile import clock_after, reconcile
from mappers.result import Clock, Draft

HELD = Clock(message="20260910")
NEWER, OLDER = Clock(message="20260911"), Clock(message="20260909")
HOME, WORK = {"value": "1", "use": "home"}, {"value": "2", "use": "work"}
BESIDE = {"extension": [{"url": "x", "valueString": "y"}]}


def told(held: dict[str, Any], said: dict[str, Any], clock: Clock = NEWER, **more: Any) -> dict[str, Any]:
    """The record after a message that enriches it."""
    found = reconcile(held, HELD, Draft(said, "urn:uuid:1", clock=clock, merge="enrich", **more))
    return held if found is None else found


@pytest.mark.parametrize(
    ("deleted", "said", "left"),
    [
        ("telecom[use=home]", {}, {"telecom": [WORK]}),
        ("telecom[use=home]", {"telecom": [HOME]}, {"telecom": [HOME]}),
        ("telecom", {}, {}),
        ("telecom", {"telecom": [WORK]}, {"telecom": [WORK]}),
        ("birthDate", {}, {"telecom": [HOME, WORK]}),
    ],
)
def test_a_deletion_takes_what_it_names_and_leaves_what_the_same_message_says(deleted: str, said: Any, left: Any) -> None:
    assert told({"telecom": [HOME, WORK]}, said, deletes=(deleted,)) == left


def test_the_last_part_or_item_takes_its_element_along() -> None:
    held = {"period": {"end": "2026"}, "telecom": [HOME], "extension": [{"url": "a"}]}
    assert told(held, {}, deletes=("period.end", "telecom[use=home]", "extension[url=a]")) == {}
    assert told(held, {}, deletes=("hospitalization.destination", "maritalStatus", "extension[url=b]")) == held


def test_an_older_message_deletes_nothing_and_fills_what_is_missing() -> None:
    assert told({"birthDate": "1970"}, {"gender": "female", "birthDate": "1971"}, OLDER, deletes=("birthDate",)) == {
        "birthDate": "1970",
        "gender": "female",
    }


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_parts_of_a_visit_come_by_either_message_first(order: tuple[int, int]) -> None:
    admitted = Draft({"period": {"start": "2026-09-01"}, "status": "in-progress"}, "urn:uuid:1", clock=OLDER, merge="enrich")
    discharged = Draft({"period": {"end": "2026-09-05"}, "status": "finished"}, "urn:uuid:1", clock=NEWER, merge="enrich")
    first, second = ((admitted, discharged)[n] for n in order)
    assert reconcile(first.resource, first.clock, second) == {"period": {"start": "2026-09-01", "end": "2026-09-05"}, "status": "finished"}
    assert clock_after(first.clock, second) == NEWER


def test_what_is_only_implied_stands_where_nothing_is_held() -> None:
    assert told({"status": "cancelled"}, {"status": "in-progress", "_status": BESIDE}, defaults=("status",)) == {"status": "cancelled"}
    assert told({}, {"status": "in-progress"}, defaults=("status",)) == {"status": "in-progress"}


def test_what_stands_beside_a_value_goes_with_it() -> None:
    held = {"birthDate": "1970-01-01", "_birthDate": BESIDE, "period": {"start": "2026", "_start": BESIDE}}
    assert told(held, {"birthDate": "1970-01-02", "period": {"start": "2027"}}) == {"birthDate": "1970-01-02", "period": {"start": "2027"}}
    assert told({"birthDate": "1970"}, {"birthDate": "1971", "_birthDate": BESIDE}, OLDER) == {"birthDate": "1970"}


VALUES = st.dictionaries(st.sampled_from(["gender", "birthDate", "_birthDate", "telecom", "address"]), st.integers(0, 3).map(str), max_size=5)


@given(VALUES, VALUES)
def test_two_messages_that_delete_nothing_end_alike_in_either_order(one: dict[str, Any], other: dict[str, Any]) -> None:
    """A value and what stands beside it come from one message; extensions without their value are left out of the comparison."""
    for said in (one, other):
        if "birthDate" not in said:
            said.pop("_birthDate", None)
    older, newer = (Draft(said, "urn:uuid:1", clock=clock, merge="enrich") for said, clock in ((one, OLDER), (other, NEWER)))
    forth = reconcile(one, OLDER, newer) or one
    back = reconcile(other, NEWER, older) or other
    assert forth == back
