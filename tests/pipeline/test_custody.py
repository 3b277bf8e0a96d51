"""Slides on their way: shipped, late, here, broken, back again; told by the desk and refused where it can't be."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_gateway.cases import custody
from fhir_gateway.cases.custody import Details
from fhir_gateway.cli.cases import app
from fhir_gateway.errors import InvalidError, NotFoundError, TransitionError
from fhir_gateway.validation import encode, validate
from tests import messages
from tests.pipeline.conftest import OPINION, STAFF, Told
from tests.pipeline.test_opinion import in_review

SLIDES = "pathology-slides"


def happens(told: Told, state: str, item: str = SLIDES, **said: Any) -> dict[str, Any]:
    flat = told.gateway.custody.record(STAFF, "REF-1", item, state, Details(**said))
    return next(one for one in flat["items"] if one["id"] == item)


def custody_tasks(told: Told) -> list[dict[str, Any]]:
    return [task for task in told.found("Task") if task["code"]["coding"][0]["code"] == "custody"]


def test_slides_are_shipped_late_received_and_the_item_follows(told: Told) -> None:
    told.receives(messages.referral())
    item = happens(told, "shipped", carrier="UPS", tracking="1Z-7", expected=date(2026, 9, 14))
    assert (item["state"], item["reason"]) == ("expected", "in-transit")
    told.passes(days=6)
    assert (told.item(SLIDES)["state"], told.item(SLIDES)["reason"]) == ("missing", "overdue")
    item = happens(told, "received", tracking="1Z-7", condition="good", containers=2)
    assert item["state"] == "accepted"
    (task,) = custody_tasks(told)
    assert validate(task) == []
    assert (task["businessStatus"]["coding"][0]["code"], task["meta"]["versionId"]) == ("received", "2")
    assert [(note["text"], note["authorString"]) for note in task["note"]] == [("shipped", STAFF.name), ("received", STAFF.name)]
    as_of = told.case(as_of=told.now.replace(day=12))
    assert next(one for one in as_of["items"] if one["id"] == SLIDES)["state"] == "expected", "as it was then"


def test_a_second_box_is_a_consignment_of_its_own(told: Told) -> None:
    told.receives(messages.referral())
    happens(told, "shipped", tracking="1Z-7")
    item = happens(told, "shipped", tracking="1Z-8")
    assert [one["tracking"] for one in item["custody"]] == ["1Z-7", "1Z-8"]
    with pytest.raises(InvalidError, match="several consignments"):
        happens(told, "received", condition="good")
    happens(told, "lost", tracking="1Z-7")
    item = happens(told, "received", tracking="1Z-8", condition="good")
    assert item["state"] == "accepted"
    assert len(custody_tasks(told)) == 2


def test_a_broken_slide_is_not_acceptable_and_a_new_one_is(told: Told) -> None:
    told.receives(messages.referral())
    item = happens(told, "received", condition="RB")
    assert (item["state"], item["reason"], item["custody"][0]["condition"]) == ("not-acceptable", "insufficient", "RB")
    assert happens(told, "shipped", tracking="1Z-9")["state"] == "expected"
    assert happens(told, "received", tracking="1Z-9", condition="good")["state"] == "accepted"


def test_broken_slides_are_asked_for_again_although_their_consignment_is_still_here(told: Told) -> None:
    told.receives(messages.referral())
    happens(told, "received", condition="RB")
    told.gateway.actions.request(STAFF, "REF-1", [])
    asked = [task["input"][0]["valueString"] for task in told.found("Task") if task["code"]["coding"][0]["code"] == "record-request"]
    assert asked.count(SLIDES) == 1


def test_slides_must_go_back_after_the_opinion_and_are_listed_until_they_do(told: Told) -> None:
    in_review(told)
    happens(told, "received", condition="good")
    flat = told.opines()
    assert flat["case"]["toReturn"] == [SLIDES]
    flat = told.gateway.custody.record(STAFF, "REF-1", SLIDES, "returned", Details("UPS", "1Z-0"))
    assert flat["case"]["toReturn"] == []
    item = next(one for one in flat["items"] if one["id"] == SLIDES)
    assert (item["state"], item["custody"][0]["state"]) == ("accepted", "returned")


def test_slides_returned_before_the_review_are_missing(told: Told) -> None:
    told.receives(messages.referral())
    happens(told, "received", condition="good")
    item = happens(told, "returned")
    assert (item["state"], item["reason"]) == ("missing", "returned")


@pytest.mark.parametrize(
    ("item", "state", "said", "error", "words"),
    [
        (SLIDES, "returned", {}, TransitionError, "not announced; possible now: received, requested, shipped"),
        (SLIDES, "eaten", {}, InvalidError, "use one of requested, shipped"),
        (SLIDES, "received", {}, InvalidError, "Say in which condition"),
        (SLIDES, "received", {"condition": "fine"}, InvalidError, "'fine' is no condition"),
        (SLIDES, "shipped", {"condition": "good"}, InvalidError, "what was received"),
        (SLIDES, "lost", {"expected": date(2026, 9, 20)}, InvalidError, "on its way"),
        ("pathology-report", "shipped", {}, InvalidError, "no physical thing"),
        ("no-such-item", "shipped", {}, NotFoundError, "no item"),
    ],
)
def test_what_can_not_be_is_refused_in_words(told: Told, item: str, state: str, said: dict[str, Any], error: Any, words: str) -> None:
    told.receives(messages.referral())
    with pytest.raises(error, match=words):
        happens(told, state, item, **said)
    assert custody_tasks(told) == []


def test_what_went_back_is_gone(told: Told) -> None:
    told.receives(messages.referral())
    happens(told, "received", tracking="1Z-7", condition="good")
    happens(told, "returned", tracking="1Z-7")
    with pytest.raises(TransitionError, match="returned; possible now: nothing"):
        happens(told, "lost", tracking="1Z-7")


def test_the_desk_types_it_and_reads_it_back(told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", told.gateway.settings.database_url)

    def types(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(words))
        return done.exit_code, done.stdout + done.stderr

    in_review(told)
    code, shown = types("custody", "REF-1", SLIDES, "shipped", "--carrier", "UPS", "--tracking", "1Z-7", "--expected", "2099-09-14")
    assert code == 0 and "pathology-slides: shipped, UPS, 1Z-7, expected 2099-09-14" in shown
    assert types("custody", "REF-1", SLIDES, "received", "--condition", "good")[0] == 0
    code, shown = types("custody", "REF-1", SLIDES, "shipped", "--tracking", "1Z-7")
    assert code == 1 and "possible now: lost, returned" in shown
    file = tmp_path / "opinion.json"
    file.write_bytes(encode(OPINION | {"mode": "by letter"}))
    code, shown = types("opinion", "REF-1", "--file", str(file))
    assert code == 1 and "mode must be one of in-person, records-only" in shown
    file.write_bytes(b"{")
    assert types("opinion", "REF-1", "--file", str(file))[0] == 1
    assert types("opinion", "REF-1", "--file", str(tmp_path / "none.json"))[0] == 2
    file.write_bytes(encode(OPINION))
    code, shown = types("opinion", "REF-1", "--file", str(file))
    assert code == 0 and "opinion-issued" in shown and "still to be returned: pathology-slides" in shown


def test_a_fhir_client_moves_a_consignment_only_along_the_table(told: Told) -> None:
    told.receives(messages.referral())
    happens(told, "requested")
    (task,) = custody_tasks(told)
    with pytest.raises(TransitionError, match="returned can't be: the thing is requested; possible now: lost, received, shipped"):
        told.gateway.fhir.update(STAFF, "Task", task["id"], encode(moved(task, "returned")), None)
    told.gateway.fhir.update(STAFF, "Task", task["id"], encode(moved(task, "received", "completed")), None)
    assert told.item(SLIDES)["state"] == "accepted"
    fresh = {name: value for name, value in task.items() if name not in ("id", "meta")}
    with pytest.raises(TransitionError, match="lost can't be"):
        told.gateway.fhir.create(STAFF, "Task", encode(moved(fresh, "lost")), None)


def moved(task: dict[str, Any], state: str, status: str = "") -> dict[str, Any]:
    """The Task as a client would write it."""
    coding = task["businessStatus"]["coding"][0] | {"code": state}
    return task | {"status": status or custody.TASK_STATUS[state], "businessStatus": {"coding": [coding]}}
