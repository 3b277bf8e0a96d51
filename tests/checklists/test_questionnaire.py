"""What a clinic asks for, as a form: every list becomes a legal Questionnaire, and what is answered on it settles a case's conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_gateway.cases.checklist import compile_checklist
from fhir_gateway.cases.questionnaire import enabled, questionnaire
from fhir_gateway.errors import GoneError, NotFoundError
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode, validate
from profiles import plandefinitions
from profiles.codesystems import answer_types
from tests import messages
from tests.pipeline.conftest import BASE, STAFF, Told

PLANS = plandefinitions.load()
REFERRER = Principal("referrer", "NORTHSIDE", "ehr")


def form(name: str) -> dict[str, Any]:
    return questionnaire(compile_checklist(PLANS[name], None if name == "base" else PLANS["base"]), PLANS[name], answer_types())


def rows(of: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in of.get("item", ()):
        yield row
        yield from rows(row)


def row(form: dict[str, Any], link: str) -> dict[str, Any]:
    (found,) = [one for one in rows(form) if one["linkId"] == link]
    return found


@pytest.mark.parametrize("name", PLANS)
def test_every_list_becomes_a_legal_form_of_all_its_records_and_questions(name: str) -> None:
    made = form(name)
    assert validate(made) == []
    links = [one["linkId"] for one in rows(made)]
    assert len(links) == len(set(links)), "que-2"
    for one in rows(made):
        assert (one["type"] == "group") <= bool(one.get("item")), "que-1: a group is not empty"
        assert one["type"] != "display" or not {"code", "required", "repeats", "item"} & one.keys(), "que-1, que-3, que-6"
        assert ("answerOption" in one) == (one["type"] in ("choice", "open-choice")), "que-5"
        assert ("enableBehavior" in one) == (len(one.get("enableWhen", ())) > 1), "que-12"
        assert all(when["question"] in links for when in one.get("enableWhen", ()))
    checklist = compile_checklist(PLANS[name], None if name == "base" else PLANS["base"])
    assert {item.id for item in checklist.items} | checklist.questions.keys() | {"treatment-start"} <= set(links)
    assert [group["linkId"] for group in made["item"]] == ["gate.records", "gate.permission", "gate.money"]


def test_a_form_names_the_list_it_came_from_and_changes_its_version_with_it_or_its_base() -> None:
    made = form("breast")
    assert (made["url"], made["version"]) == ("urn:second-opinion-gateway:Questionnaire:breast", "1.0.0+1.1.0")
    assert [one["valueCanonical"] for one in made["extension"]] == [
        "urn:second-opinion-gateway:PlanDefinition:breast|1.0.0",
        "urn:second-opinion-gateway:PlanDefinition:base|1.1.0",
    ]
    newer = compile_checklist(PLANS["breast"], {**PLANS["base"], "version": "1.2.0"})
    assert questionnaire(newer, PLANS["breast"], answer_types())["version"] == "1.0.0+1.2.0"
    own = compile_checklist({**PLANS["base"], "url": "https://clinic.example/lists/own"})
    assert questionnaire(own, PLANS["base"], answer_types())["url"] == "https://clinic.example/lists/own/questionnaire"


def test_a_record_says_what_it_is_and_when_it_is_asked_for() -> None:
    made = form("breast")
    ultrasound = row(made, "breast-us-report")
    assert ultrasound["type"] == "reference" and ultrasound["code"][0] == {"system": "http://loinc.org", "code": "24601-7", "display": "US Breast"}
    assert ultrasound["enableWhen"] == [{"question": "breast-ultrasound-done", "operator": "=", "answerBoolean": True}]
    assert {e["valueCode"] for e in ultrasound["extension"]} == {"DiagnosticReport", "DocumentReference"}
    assert "183 days" in ultrasound["item"][0]["text"]
    assert row(made, "pathology-report")["required"] and not row(made, "grade")["required"]
    assert [row(made, q)["type"] for q in ("breast-ultrasound-done", "treatment-start", "treatment-started", "pending-results")] == [
        "boolean", "date", "open-choice", "text",
    ]  # fmt: skip
    assert row(made, "insurance-card")["enableWhen"] == [{"question": "self-pay", "operator": "!=", "answerBoolean": True}], (
        "asked of who said nothing"
    )


def test_a_condition_no_form_can_say_is_told_in_words_and_the_record_is_not_required() -> None:
    made = form("gynaecologic")
    markers = row(made, "afp-hcg")  # hangs on the patient's age as well
    assert "enableWhen" not in markers and markers["required"] is False
    assert "ovarian, tubal or peritoneal" in markers["item"][0]["text"]
    checklist = compile_checklist(PLANS["gynaecologic"], PLANS["base"])
    assert [item.id for item in checklist.items if enabled(item, checklist) is None] == ["afp-hcg"]


def test_what_hangs_on_either_of_two_questions_is_shown_for_either() -> None:
    pathology = row(form("brain-cns"), "cns-path")
    assert pathology["enableBehavior"] == "any"
    assert {when["question"] for when in pathology["enableWhen"]} == {"surgery-done", "tumour-biopsied"}


def answered(made: dict[str, Any], patient: str, **given: bool) -> dict[str, Any]:
    """The form filled in: its groups and questions as they stand on it, with these answers."""
    groups = []
    for group in made["item"]:
        inside = [one for one in group["item"] if one["linkId"].replace("-", "_") in given]
        done = [{"linkId": one["linkId"], "answer": [{"valueBoolean": given[one["linkId"].replace("-", "_")]}]} for one in inside]
        groups += [{"linkId": group["linkId"], "item": done}] if done else []
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{made['url']}|{made['version']}",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": "2026-09-10T10:00:00Z",
        "item": groups,
    }


def test_a_form_answered_and_sent_back_settles_what_a_case_could_not_decide(told: Told) -> None:
    told.receives(messages.referral())
    before = {item["id"]: item for item in told.case()["items"]}
    assert before["breast-us-report"]["reason"] == before["breast-mri-report"]["reason"] == "applicability-unknown"
    made = told.gateway.questionnaire(REFERRER, "breast")
    (patient,) = told.found("Patient")
    back = answered(made, patient["id"], breast_ultrasound_done=True, breast_mri_done=False, self_pay=True)
    told.gateway.fhir.create(STAFF, "QuestionnaireResponse", encode(back), None)
    after = {item["id"]: item for item in told.case()["items"]}
    assert (after["breast-us-report"]["state"], after["breast-us-report"]["reason"]) == ("missing", None)
    assert after["breast-mri-report"]["state"] == after["insurance-card"]["state"] == "not-applicable"
    assert after["operative-note"]["reason"] == "applicability-unknown", "what was not answered stays open"


def test_a_reference_on_the_form_closes_no_item(told: Told) -> None:
    told.receives(messages.referral())
    (patient,) = told.found("Patient")
    back = answered(form("breast"), patient["id"], self_pay=False)
    back["item"][0]["item"].append({"linkId": "pathology-report", "answer": [{"valueReference": {"display": "faxed on Monday"}}]})
    assert validate(back) == []
    told.gateway.fhir.create(STAFF, "QuestionnaireResponse", encode(back), None)
    assert told.item("pathology-report")["state"] == "missing"


@pytest.mark.parametrize(("context", "names"), [("C50", ["breast"]), ("C50.411", ["breast"]), ("C64.1", []), ("Q99", [])])
def test_the_list_of_a_site_is_found_by_its_code_and_no_list_means_the_base_list(told: Told, context: str, names: list[str]) -> None:
    assert [plan["id"] for plan in told.found("PlanDefinition", context=context)] == names
    told.receives(messages.referral(diagnosis=context))
    assert told.cases()[0]["tumourGroup"] == (names[0] if names else "base")


def test_a_list_the_clinic_edits_is_the_form_senders_get(told: Told) -> None:
    (plan,) = told.found("PlanDefinition", context="C50")
    actions = [action for action in plan["action"] if action["id"] != "grade"]
    edited = {**plan, "version": "2.0.0", "status": "active", "action": actions}
    told.gateway.fhir.update(STAFF, "PlanDefinition", "breast", encode(edited), None)
    made = told.gateway.questionnaire(REFERRER, "breast")
    assert made["version"] == "2.0.0+1.1.0" and "grade" not in {one["linkId"] for one in rows(made)}
    assert validate(made) == []


def test_what_is_no_list_of_the_clinic_s_has_no_form(told: Told) -> None:
    sent = {"resourceType": "PlanDefinition", "id": "theirs", "status": "active", "title": "A plan of treatment"}
    told.gateway.fhir.update(STAFF, "PlanDefinition", "theirs", encode(sent), None)
    for id in ("theirs", "nothing"):
        with pytest.raises(NotFoundError, match="no checklist"):
            told.gateway.questionnaire(STAFF, id)
    told.gateway.fhir.delete(STAFF, "PlanDefinition", "theirs", None)
    with pytest.raises(GoneError):
        told.gateway.questionnaire(STAFF, "theirs")
    assert told.gateway.fhir.search(STAFF, "Questionnaire", [], BASE).get("entry") is None, "a form is made, not stored"
