"""A clinic edits its lists over FHIR: the cases follow, old answers keep the list they were given by, and what is wrong is refused with its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fhir_gateway.cases.inforce import BASE_URL
from fhir_gateway.errors import ConflictError, GatewayError, InvalidError, NotTheClinicError
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode
from profiles import plandefinitions
from profiles.canonical import canonical
from tests.messages import referral
from tests.pipeline.conftest import BASE, STAFF, Told

Json = dict[str, Any]
URL = canonical("PlanDefinition", "breast")
REFERRER = Principal("referrer", "NORTHSIDE")


def breast(version: str = "2026.1", status: str = "active", **content: Any) -> Json:
    """The shipped breast list as a clinic's own."""
    return copy.deepcopy(plandefinitions.load()["breast"]) | {"version": version, "status": status} | content


def with_item(plan: Json, item: str = "clip-report", **content: Any) -> Json:
    """The plan with one more required record; None takes an element away."""
    added = copy.deepcopy(next(action for action in plan["action"] if action["id"] == "er")) | {"id": item, "title": "Clip placement report"}
    added.pop("condition", None)
    return plan | {"action": [*plan["action"], {name: value for name, value in (added | content).items() if value is not None}]}


def kidney(status: str = "active", code: str = "C64", **content: Any) -> Json:
    """A list for a cancer no shipped list is for."""
    plan = with_item(breast(status=status)) | {
        "id": "kidney",
        "url": "https://clinic.example/PlanDefinition/kidney",
        "name": "Kidney",
        "title": "Kidney",
    }
    plan["action"] = plan["action"][-1:]
    focus = copy.deepcopy(plan["useContext"][0])
    focus["valueCodeableConcept"]["coding"][0]["code"] = code
    return plan | {"useContext": [focus]} | content


def base_with(item: str) -> Json:
    """The shipped base list as a clinic's own, with one more required record."""
    base = copy.deepcopy(plandefinitions.load()["base"]) | {"status": "active", "version": "2026.1"}
    report = next(action for action in base["action"] if action["id"] == "pathology-report")
    return base | {"action": [*base["action"], copy.deepcopy(report) | {"id": item, "title": "Photograph"}]}


def puts(told: Told, plan: Json, as_whom: Principal = STAFF) -> Json:
    """PUT a PlanDefinition."""
    return told.gateway.fhir.update(as_whom, "PlanDefinition", plan["id"], encode(plan), None).stored.resource


def refused(told: Told, plan: Json, error: type[GatewayError] = InvalidError) -> list[tuple[str, str]]:
    """(expression, text) of every fault a PUT is refused with."""
    with pytest.raises(error) as refusal:
        puts(told, plan)
    return [(issue.expression, issue.text) for issue in refusal.value.issues]


def items(told: Told) -> set[str]:
    return {item["id"] for item in told.case()["items"]}


def judged_by(told: Told) -> str:
    return str(told.case()["case"]["checklist"])


def test_a_clinic_adds_a_record_and_the_open_case_follows(told: Told) -> None:
    told.receives(referral())
    assert judged_by(told) == f"{URL}|1.0.0"
    puts(told, with_item(breast()))
    assert (judged_by(told), "clip-report" in items(told)) == (f"{URL}|2026.1", True)  # read before the worker has been by
    told.passes(seconds=1)
    (listed,) = told.cases()
    assert (listed["checklist"], listed["tumourGroup"]) == (f"{URL}|2026.1", "breast")


def test_retiring_it_puts_the_shipped_list_back(told: Told) -> None:
    told.receives(referral())
    puts(told, with_item(breast()))
    told.passes(seconds=1)
    puts(told, with_item(breast(status="retired")))
    told.passes(seconds=1)
    assert (judged_by(told), "clip-report" in items(told)) == (f"{URL}|1.0.0", False)


def test_a_draft_is_kept_and_not_in_force(told: Told) -> None:
    told.receives(referral())
    puts(told, with_item(breast(status="draft")))
    told.passes(seconds=1)
    assert judged_by(told) == f"{URL}|1.0.0"
    puts(told, with_item(breast()))  # the same content under the same version, now active
    assert judged_by(told) == f"{URL}|2026.1"


def test_a_list_under_an_id_of_its_own_takes_the_place_of_the_shipped_one(told: Told) -> None:
    told.receives(referral())
    puts(told, with_item(breast()) | {"id": "our-breast"})
    assert judged_by(told) == f"{URL}|2026.1"
    assert {plan["id"]: plan["status"] for plan in told.found("PlanDefinition", url=URL)} == {"breast": "draft", "our-breast": "active"}


def test_a_list_for_a_new_cancer_takes_over_the_cases_the_base_list_stood_in_for(told: Told) -> None:
    told.receives(referral(diagnosis="C64.1"))
    assert judged_by(told) == f"{BASE_URL}|1.1.0"
    puts(told, kidney())
    told.passes(seconds=1)
    (listed,) = told.cases()
    assert (listed["tumourGroup"], "clip-report" in items(told), "pathology-report" in items(told)) == ("kidney", True, True)
    puts(told, kidney(status="retired"))
    told.passes(seconds=1)
    assert judged_by(told) == f"{BASE_URL}|1.1.0"


def test_a_record_added_to_the_base_list_is_asked_of_every_cancer(told: Told) -> None:
    told.receives(referral())
    puts(told, base_with("photo"))
    told.passes(seconds=1)
    case = told.case()
    assert "photo" in items(told)
    assert (case["case"]["checklist"], case["case"]["base"]) == (f"{URL}|1.0.0", f"{BASE_URL}|2026.1")


def test_a_list_may_name_the_version_of_the_base_it_derives_from(told: Told) -> None:
    told.receives(referral())
    puts(told, breast(relatedArtifact=[{"type": "derived-from", "resource": f"{BASE_URL}|1.1.0"}]))
    puts(told, base_with("photo"))
    told.passes(seconds=1)
    assert "photo" not in items(told)
    assert told.case()["case"]["base"] == f"{BASE_URL}|1.1.0"


def test_a_closed_case_keeps_the_list_it_was_judged_by(told: Told) -> None:
    told.receives(referral())
    (listed,) = told.cases()
    task = told.found("Task")[0]
    told.gateway.fhir.update(STAFF, "Task", task["id"], encode(task | declined()), None)
    before = told.case(listed["id"])
    puts(told, with_item(breast()))
    puts(told, with_item(with_item(breast("2026.2")), "second"))
    told.passes(seconds=1)
    assert told.case(listed["id"]) == before
    guidance = told.gateway.completeness(STAFF, listed["id"], None)
    assert guidance["moduleCanonical"] == f"{URL}|1.0.0"
    assert any(wanted["extension"][0]["valueString"] == "er" for wanted in guidance["dataRequirement"])


def declined() -> Json:
    return {"status": "rejected", "statusReason": {"text": "No capacity"}}


def test_as_of_answers_by_the_list_of_that_day(told: Told) -> None:
    told.receives(referral())
    (listed,) = told.cases()
    monday = told.now
    told.passes(days=1)
    puts(told, with_item(breast()))
    tuesday = told.now
    told.passes(days=1)
    puts(told, with_item(with_item(breast("2026.2")), "second"))
    told.passes(days=1)
    by_day = [told.case(listed["id"], as_of=day)["case"]["checklist"] for day in (monday, tuesday, told.now)]
    assert by_day == [f"{URL}|1.0.0", f"{URL}|2026.1", f"{URL}|2026.2"]


def test_another_process_on_the_same_database_follows_too(told: Told) -> None:
    told.receives(referral())
    other = Gateway(told.gateway.settings, told.executor, clock=lambda: told.now)
    name = told.cases()[0]["id"]
    assert other.case(STAFF, name, None)["case"]["checklist"] == f"{URL}|1.0.0"
    puts(told, with_item(breast()))
    assert other.case(STAFF, name, None)["case"]["checklist"] == f"{URL}|2026.1"
    other.receive_bundle(encode({"resourceType": "Bundle", "type": "transaction"}), STAFF, BASE)
    list(other.receive_v2(referral("REF-2", mrn="8", family="Vale", born="19600101"), "mllp", "test"))
    assert {case["checklist"] for case in other.cases(STAFF, 10)} == {f"{URL}|1.0.0", f"{URL}|2026.1"}
    other.stop()


def test_a_list_tried_out_in_a_dry_run_leaves_nothing_behind(told: Told) -> None:
    told.receives(referral())
    tried = with_item(breast())
    records = told.found("ServiceRequest")[0]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": tried, "request": {"method": "PUT", "url": "PlanDefinition/breast"}},
            {"resource": records | {"note": [{"text": "again"}]}, "request": {"method": "PUT", "url": f"ServiceRequest/{records['id']}"}},
        ],
    }
    guidance = told.gateway.dry_run.bundle(encode(bundle), STAFF, BASE)
    assert guidance["moduleCanonical"] == f"{URL}|2026.1"
    puts(told, with_item(breast(), "other-item"))
    assert {"other-item", "clip-report"} & items(told) == {"other-item"}


def test_a_transaction_saves_several_lists_or_none(told: Told) -> None:
    def bundle(*plans: Json) -> Json:
        entries = [{"resource": plan, "request": {"method": "PUT", "url": f"PlanDefinition/{plan['id']}"}} for plan in plans]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    status, outcome = told.posts(bundle(kidney(), with_item(breast(), input=None)))
    assert status == 422
    assert [issue["expression"] for issue in outcome["issue"]] == [["Bundle.entry[1].resource.action.where(id = 'clip-report').input"]]
    assert told.count("PlanDefinition", status="active") == 0
    assert told.posts(bundle(kidney(), with_item(breast())))[0] == 200
    assert told.count("PlanDefinition", status="active") == 2


@pytest.mark.parametrize(
    ("change", "expression", "words"),
    [
        (lambda p: with_item(p, input=None), "action.where(id = 'clip-report').input", "nothing could ever supply"),
        (lambda p: with_item(p, requiredBehavior=None), "action.where(id = 'clip-report').requiredBehavior", "is one of must"),
        (
            lambda p: with_item(p, extension=None),
            f"action.where(id = 'clip-report').extension('{canonical('StructureDefinition', 'item-kind')}')",
            "one of",
        ),
        (lambda p: with_item(p, "er"), "action[15].id", "used twice"),
        (lambda p: p | {"action": p["action"][1:]}, None, "names the item 'mammography-report'"),
        (lambda p: without(p, "useContext"), "useContext", "names no focus"),
        (lambda p: without(p, "version"), "version", "missing"),
        (lambda p: p | {"url": "urn:second-opinion-gateway:PlanDefinition:bust"}, "url", "must stay"),
        (lambda p: p | {"relatedArtifact": [{"type": "derived-from", "resource": f"{BASE_URL}|9"}]}, "relatedArtifact.resource", "not held"),
        (lambda p: p | {"relatedArtifact": [{"type": "derived-from", "resource": URL}]}, "relatedArtifact.resource", "derives from"),
    ],
)
def test_a_list_that_would_not_work_is_refused_with_its_place(told: Told, change: Callable[[Json], Json], expression: str | None, words: str) -> None:
    faults = refused(told, change(breast()))
    found = [(at, text) for at, text in faults if words in text and (expression is None or at == f"PlanDefinition.{expression}")]
    assert found, faults
    assert told.count("PlanDefinition", status="active") == 0


def without(plan: Json, name: str) -> Json:
    return {key: value for key, value in plan.items() if key != name}


def test_every_faulty_item_is_named_at_once(told: Told) -> None:
    plan = breast()
    for action in plan["action"]:
        if action["id"] in ("er", "pr"):
            del action["input"]
    assert {at for at, _ in refused(told, plan)} == {f"PlanDefinition.action.where(id = '{name}').input" for name in ("er", "pr")}


def test_changed_content_needs_a_new_version(told: Told) -> None:
    puts(told, breast())
    ((at, text),) = refused(told, with_item(breast()))
    assert (at, "give the changed list a new version" in text) == ("PlanDefinition.version", True)
    puts(told, with_item(breast("2026.2")))
    ((at, _),) = refused(told, with_item(with_item(breast()), "third"))  # back to a label that is taken
    assert at == "PlanDefinition.version"
    ((at, _),) = refused(told, with_item(breast("1.0.0")))  # the shipped list's
    assert at == "PlanDefinition.version"


def test_two_active_lists_may_not_be_for_the_same_patients(told: Told) -> None:
    puts(told, breast())
    ((at, text),) = refused(told, kidney(code="C50.4"))
    assert (at, "PlanDefinition/breast (C50)" in text) == ("PlanDefinition.useContext", True)
    ((at, text),) = refused(told, breast() | {"id": "our-breast"})
    assert (at, "PlanDefinition/breast is active" in text) == ("PlanDefinition.url", True)
    ((_, text),) = refused(told, kidney(code="C64-C66"))
    assert "is no ICD-10 category" in text


def test_a_clinics_list_may_be_for_some_of_the_patients_of_a_shipped_one(told: Told) -> None:
    told.receives(referral(diagnosis="C50.411"))
    puts(told, kidney(code="C50.4"))
    assert judged_by(told) == "https://clinic.example/PlanDefinition/kidney|2026.1"


def test_a_base_list_must_leave_the_lists_that_follow_it_whole(told: Told) -> None:
    base = copy.deepcopy(plandefinitions.load()["base"]) | {"status": "active", "version": "2026.1"}
    leant_on = {e["valueString"] for a in breast()["action"] for e in a["extension"] if e["url"].endswith("narrative-in")} & {
        a["id"] for a in base["action"]
    }
    base["action"] = [action for action in base["action"] if action["id"] not in leant_on]
    faults = refused(told, base)
    assert faults
    assert all(at.startswith("PlanDefinition.action") for at, _ in faults)


def test_a_checklist_is_retired_and_not_deleted(told: Told) -> None:
    with pytest.raises(ConflictError, match="retired"):
        told.gateway.fhir.delete(STAFF, "PlanDefinition", "breast", None)
    with pytest.raises(InvalidError, match="retired"):
        puts(told, without(without(breast(), "url"), "relatedArtifact"))


def test_a_sender_may_not_write_what_the_clinic_asks_for(told: Told) -> None:
    with pytest.raises(NotTheClinicError):
        puts(told, kidney(), REFERRER)
    puts(told, {"resourceType": "PlanDefinition", "id": "sender", "status": "active"}, REFERRER)
    ((at, text),) = refused(told, kidney() | {"id": "sender"})
    assert (at, "a sender owns" in text) == ("PlanDefinition.id", True)


def test_a_plan_that_is_no_checklist_is_a_record_like_any_other(told: Told) -> None:
    puts(told, {"resourceType": "PlanDefinition", "id": "order-set", "status": "active", "url": "https://clinic.example/order-set"})
    told.gateway.fhir.delete(STAFF, "PlanDefinition", "order-set", None)
    assert told.count("PlanDefinition") == 16


def test_of_two_lists_saved_at_once_for_the_same_patients_one_is_refused(told: Told) -> None:
    def saved(name: str) -> bool:
        try:
            puts(told, kidney() | {"id": name, "url": f"https://clinic.example/PlanDefinition/{name}"})
        except InvalidError:
            return False
        return True

    for number in range(5):
        told.passes(seconds=1)
        assert sorted(told.executor.map(saved, (f"one-{number}", f"two-{number}"))) == [False, True]
        (won,) = told.found("PlanDefinition", status="active")
        puts(told, won | {"status": "retired"})
