"""What the whereabouts of slides, blocks and discs mean for their items."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from fhir_gateway.cases import custody
from fhir_gateway.cases.answer import flat
from fhir_gateway.cases.custody import Details
from fhir_gateway.cases.model import Judgement
from fhir_gateway.validation import validate
from tests.cases.story import Case, checklist, coded, images
from tests.cases.test_terms import codes

NOW = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)
COORDINATION = {
    "resourceType": "Task",
    "id": "case",
    "status": "in-progress",
    "intent": "order",
    "for": {"reference": "Patient/ines"},
    "focus": {"reference": "ServiceRequest/ref"},
}
SLIDES, DISC = "pathology-slides", "mammography-images"


def consignment(item: str, *steps: tuple[Any, Details], name: str = "box", back: bool = True, reviewed: bool = False) -> dict[str, Any]:
    """A custody Task after these steps."""
    task = custody.begun(COORDINATION, item, NOW) | {"id": name}
    for state, said in steps:
        task = custody.moved(task, state, said, now=NOW, who="desk", reviewed=reviewed, back=back)
    assert validate(task) == []
    return task


def judged(item: str, *tasks: dict[str, Any], records: tuple[Any, ...] = (), at: str = "2026-09-10") -> Judgement:
    evaluation = Case(tasks=list(tasks)).receives(*records).evaluation(at)
    return next(one for one in evaluation.items if one.item == item)


def said(item: str, *tasks: dict[str, Any], **more: Any) -> tuple[str, str | None]:
    found = judged(item, *tasks, **more)
    return found.state, found.reason


SHIPPED = ("shipped", Details("UPS", "1Z-7", date(2026, 9, 15), 2))
GOOD, BROKEN, UNREADABLE = (("received", Details(condition=word)) for word in ("good", "RB", "unreadable"))
RETURNED, LOST, REQUESTED = (("returned", Details()), ("lost", Details()), ("requested", Details()))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([REQUESTED], ("requested", None)),
        ([SHIPPED], ("expected", "in-transit")),
        ([SHIPPED, GOOD], ("accepted", None)),
        ([SHIPPED, BROKEN], ("not-acceptable", "insufficient")),
        ([SHIPPED, LOST], ("missing", "lost")),
        ([SHIPPED, LOST, GOOD], ("accepted", None)),
        ([SHIPPED, GOOD, RETURNED], ("missing", "returned")),
    ],
)
def test_what_happened_to_the_slides_is_the_state_of_their_item(steps: list[Any], expected: tuple[str, str | None]) -> None:
    assert said(SLIDES, consignment(SLIDES, *steps)) == expected


def test_slides_returned_after_the_review_stay_accepted() -> None:
    assert said(SLIDES, consignment(SLIDES, SHIPPED, GOOD, RETURNED, reviewed=True)) == ("accepted", None)


def test_what_does_not_come_on_its_day_is_overdue_the_day_after_and_the_rules_know_when() -> None:
    task = consignment(SLIDES, SHIPPED)
    assert judged(SLIDES, task).changes == (date(2026, 9, 16),)
    assert said(SLIDES, task, at="2026-09-15") == ("expected", "in-transit")
    assert said(SLIDES, task, at="2026-09-16") == ("missing", "overdue")


def test_a_disc_that_can_not_be_read_is_unreadable_and_images_that_came_otherwise_stand() -> None:
    task = consignment(DISC, SHIPPED, UNREADABLE)
    assert said(DISC, task) == ("not-acceptable", "unreadable")
    assert said(DISC, task, records=(images(),)) == ("accepted", None)


def test_a_disc_in_good_condition_is_its_images() -> None:
    assert said(DISC, consignment(DISC, SHIPPED, GOOD, back=False)) == ("accepted", None)


def specimen(status: str = "available") -> dict[str, Any]:
    slides = next(item for item in checklist().items if item.id == SLIDES)
    ((system, code), *_) = sorted(next(way for part in slides.parts for way in part.inputs if way.type == "Specimen").codes)
    return coded("Specimen", "slides", code, system, "type", status=status, receivedTime="2026-09-08")


def test_a_record_of_slides_that_are_broken_or_lost_closes_nothing() -> None:
    assert said(SLIDES, records=(specimen(),))[0] == "accepted"
    for steps, expected in (([SHIPPED, BROKEN], "insufficient"), ([SHIPPED, LOST], "lost")):
        assert said(SLIDES, consignment(SLIDES, *steps), records=(specimen(),))[1] == expected


def test_the_arrival_of_slides_answers_no_objection_to_their_record() -> None:
    arrived = consignment(SLIDES, SHIPPED, GOOD)
    assert said(SLIDES, arrived, records=(specimen("entered-in-error"),)) == ("missing", "retracted")
    assert said(SLIDES, arrived, records=(specimen("unsatisfactory"),)) == ("not-acceptable", "insufficient")


def test_of_several_consignments_the_best_speaks_whatever_their_order() -> None:
    lost, sent = consignment(SLIDES, SHIPPED, LOST, name="a"), consignment(SLIDES, SHIPPED, name="b")
    assert said(SLIDES, lost, sent) == said(SLIDES, sent, lost) == ("expected", "in-transit")
    arrived = consignment(SLIDES, GOOD, name="c")
    assert said(SLIDES, arrived, sent, lost) == ("accepted", None)


def test_a_cancelled_custody_task_says_nothing() -> None:
    assert said(SLIDES, consignment(SLIDES, SHIPPED, GOOD) | {"status": "cancelled"})[0] == "missing"


def test_custody_of_what_is_no_thing_says_nothing() -> None:
    assert said("pathology-report", consignment("pathology-report", SHIPPED, GOOD)) == said("pathology-report")


def test_what_was_said_is_kept_and_said_anew_replaces_it() -> None:
    task = consignment(SLIDES, SHIPPED, ("shipped", Details(expected=date(2026, 9, 18))), GOOD)
    (one,) = judged(SLIDES, task).custody
    assert (one.state, one.carrier, one.tracking, one.expected, one.containers, one.condition) == (
        "received",
        "UPS",
        "1Z-7",
        date(2026, 9, 18),
        2,
        "good",
    )
    assert [note["text"] for note in task["note"]] == ["shipped", "shipped", "received"]


def test_the_flat_answer_says_where_things_are_and_what_must_go_back() -> None:
    case = Case(tasks=[consignment(SLIDES, SHIPPED, GOOD), consignment(DISC, SHIPPED, GOOD, name="disc", back=False)])
    answer = flat(case.evaluation("2026-09-10"), checklist())
    item = next(one for one in answer["items"] if one["id"] == SLIDES)
    assert item["custody"] == [
        {"task": "box", "state": "received", "carrier": "UPS", "tracking": "1Z-7", "expected": "2026-09-15", "containers": 2, "condition": "good"}
    ]
    assert answer["case"]["toReturn"] == [SLIDES], "the disc may stay"
    assert next(one for one in answer["items"] if one["id"] == "pathology-report")["custody"] == []


def test_every_word_has_its_code() -> None:
    assert codes("custody-state") == set(custody.TASK_STATUS) == set(custody.NEXT) - {""}
    assert {word for word, system in custody.CONDITIONS.items() if system == custody.SYSTEM} < codes("custody")
    assert {"in-transit", "overdue", "lost", "returned"} < codes("item-reason")


@pytest.mark.parametrize("was", ["", *custody.TASK_STATUS])
@pytest.mark.parametrize("now", [*custody.TASK_STATUS])
def test_a_custody_task_is_written_only_along_the_table(was: Any, now: Any) -> None:
    before = custody.moved(custody.begun(COORDINATION, SLIDES, NOW), was, Details(), now=NOW, who="", reviewed=False, back=True) if was else None
    after = custody.moved(before or custody.begun(COORDINATION, SLIDES, NOW), now, Details(), now=NOW, who="", reviewed=False, back=True)
    refused = custody.refusal(before, after)
    assert bool(refused) == (now != was and now not in custody.NEXT[was])
    assert not refused or "possible now" in refused


def test_a_custody_task_that_says_nothing_or_contradicts_itself_is_refused_and_another_task_is_none() -> None:
    task = custody.moved(custody.begun(COORDINATION, SLIDES, NOW), "shipped", Details(), now=NOW, who="", reviewed=False, back=True)
    assert "does not go with shipped" in custody.refusal(None, task | {"status": "completed"})
    assert "one of requested, shipped" in custody.refusal(None, task | {"businessStatus": {"text": "on the road"}})
    assert custody.refusal(task, task | {"status": "entered-in-error", "businessStatus": {"text": "oops"}}) == ""
    assert custody.refusal(None, COORDINATION) == ""
