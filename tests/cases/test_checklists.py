"""The sixteen lists: valid FHIR, compiled, every item reachable, every diagnosis chosen rightly, errors that name the action."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from fhir_gateway.cases.checklist import ChecklistError, compile_checklist
from fhir_gateway.cases.choice import choose
from fhir_gateway.cases.completeness import evaluate
from fhir_gateway.cases.facts import diagnoses
from fhir_gateway.cases.model import Code
from fhir_gateway.cases.requirement import Checklist, Requirement
from fhir_gateway.validation import validate
from tests.cases.story import ICD10CM, PATIENT, REFERRAL, Case, checklist, moment, plans
from tests.cases.supplies import answered, everything, needed, series

LISTS = sorted(plans())
OWN_ITEMS = [
    (name, item.id) for name in LISTS for item in checklist(name).items if name == "base" or item.id in {a["id"] for a in plans()[name]["action"]}
]
WITHIN_THE_CASE = {"ServiceRequest", "Patient"}
SNOMED = "http://snomed.info/sct"
# Nobody having said otherwise, there is insurance to ask about, and no further studies were wanted.
ALWAYS_DECIDED = {"insurance-card", "coverage-eligibility", "mandated-second-opinion", "tissue-block"}


def find(list_name: str, item: str) -> Requirement:
    return next(requirement for requirement in checklist(list_name).items if requirement.id == item)


def test_all_sixteen_lists_with_their_176_items() -> None:
    assert (len(LISTS), len(OWN_ITEMS)) == (16, 176)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_a_valid_plan_definition_that_says_it_is_a_starter_set(name: str) -> None:
    plan = plans()[name]
    assert validate(plan) == []
    assert (plan["status"], plan["experimental"], plan["version"].split(".")[0]) == ("draft", True, "1")
    assert "starter set" in plan["description"]
    assert "Regenstrief" in plan["copyright"]


@pytest.mark.parametrize("name", LISTS)
def test_every_item_says_on_whose_word_it_is_required(name: str) -> None:
    for action in plans()[name]["action"]:
        cited = action["documentation"][0]
        assert cited["citation"]
        assert cited["extension"][0]["valueCode"] in ("cited", "proposed")
        assert action["participant"]


def unconditionally(name: str, item: str) -> Checklist:
    """A list of one item, with its condition taken off."""
    return replace(checklist(name), items=(replace(find(name, item), condition=None, pairs_with=None, narrative_in=()),))


@pytest.mark.parametrize(("name", "item"), OWN_ITEMS)
def test_every_way_to_supply_an_item_is_reachable(name: str, item: str) -> None:
    requirement = find(name, item)
    for part in requirement.parts:
        for number, way in enumerate(part.inputs):
            if way.type in WITHIN_THE_CASE or way.only_when:
                continue  # the stories of the referral, the patient and acute leukaemia show those
            case = Case(name)
            for other in requirement.parts:
                case.receives(*(needed(requirement) if other is not part else series(way, f"way-{number}")))
            found = evaluate(case.file(), unconditionally(name, item), moment()).items[0]
            assert found.state == ("received" if way.confirm else "accepted"), (way.type, found)


@pytest.mark.parametrize("name", LISTS)
def test_every_condition_can_be_true_false_and_unknown(name: str) -> None:
    undiagnosed = REFERRAL | {"reasonCode": [{"text": "What now?"}]}
    young = PATIENT | {"birthDate": "1995-01-01"}
    told = [None, answered(name, True), answered(name, True, self_pay=False), answered(name, False)]
    seen: dict[str, set[str]] = {}
    for telling in told:
        case = Case(name, referral=undiagnosed, patient=young).receives(*([telling] if telling else []))
        for judgement in case.evaluation().items:
            applies = "unknown" if judgement.reason == "applicability-unknown" else str(judgement.state != "not-applicable")
            seen.setdefault(judgement.item, set()).add(applies)
    for item in checklist(name).items:
        wanted = {"True"} if not item.condition else {"True", "False"} if item.id in ALWAYS_DECIDED else {"True", "False", "unknown"}
        assert seen[item.id] == wanted, item.id


@pytest.mark.parametrize("name", LISTS)
def test_a_case_that_holds_everything_passes_all_gates(name: str) -> None:
    evaluation = everything(name).evaluation(moment("2026-09-10"))
    assert {gate.name: (gate.state, gate.open) for gate in evaluation.gates.values()} == {
        "records": ("satisfied", ()),
        "permission": ("satisfied", ()),
        "money": ("satisfied", ()),
    }


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ((ICD10CM, "C50.411"), "breast"),
        ((ICD10CM, "C50411"), "breast"),
        (("http://hl7.org/fhir/sid/icd-10", "D05.1"), "breast"),
        (("urn:oid:2.16.840.1.113883.6.90", "C61"), "prostate"),
        ((SNOMED, "254837009"), "breast"),
        ((ICD10CM, "C07"), "head-and-neck"),
        ((ICD10CM, "C92.00"), "leukaemia-mds"),
        ((ICD10CM, "D46.9"), "leukaemia-mds"),
        ((ICD10CM, "C57.9"), "gynaecologic"),
    ],
)
def test_a_diagnosis_chooses_its_list(code: Code, name: str) -> None:
    choice = choose(plans(), [(SNOMED, "38341003"), code])
    assert (choice.name, choice.flagged, choice.matched) == (name, False, code)


@pytest.mark.parametrize(
    "codes",
    [[], [(ICD10CM, "C64.1")], [(ICD10CM, "C62.9")], [(ICD10CM, "C80.1")], [("urn:example:local", "C50")], [(SNOMED, "C50")], [(ICD10CM, "")]],
)
def test_no_tumour_group_is_the_base_list_flagged(codes: list[Code]) -> None:
    choice = choose(plans(), codes)
    assert (choice.name, choice.flagged) == ("base", True)


def test_the_principal_diagnosis_decides() -> None:
    assert choose(plans(), [(ICD10CM, "C34.1"), (ICD10CM, "C50.1")]).name == "lung"


def condition(name: str, code: str) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": name, "code": {"coding": [{"system": ICD10CM, "code": code}]}}


def test_an_earlier_cancer_is_not_what_this_referral_is_about() -> None:
    kidney = REFERRAL | {"reasonCode": [], "reasonReference": [{"reference": "Condition/now"}]}
    case = Case(referral=kidney).receives(condition("before", "C50.1"), condition("now", "C64.1"))
    assert choose(plans(), diagnoses(case.file())).flagged
    unsaid = Case(referral=REFERRAL | {"reasonCode": []}).receives(condition("before", "C50.1"))
    assert choose(plans(), diagnoses(unsaid.file())).name == "breast"


def test_a_withdrawn_diagnosis_chooses_nothing() -> None:
    withdrawn = condition("before", "C50.1") | {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    assert choose(plans(), diagnoses(Case(referral=REFERRAL | {"reasonCode": []}).receives(withdrawn).file())).flagged


def test_no_category_belongs_to_two_lists() -> None:
    seen: dict[Any, str] = {}
    for name, plan in plans().items():
        for context in plan["useContext"]:
            coding = context["valueCodeableConcept"]["coding"][0]
            assert seen.setdefault((coding["system"], coding["code"]), name) == name


def broken(change: dict[str, Any], item: str = "er") -> dict[str, Any]:
    plan = copy.deepcopy(plans()["breast"])
    action = next(a for a in plan["action"] if a["id"] == item)
    action.update(change)
    return plan


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"title": ""}, "title"),
        ({"requiredBehavior": "should"}, "requiredBehavior"),
        ({"extension": []}, "extension(item-kind)"),
        ({"input": []}, "input"),
        ({"input": [{"codeFilter": []}]}, "input[0].type"),
        ({"input": [{"type": "Observation", "codeFilter": [{"path": "code", "valueSet": "urn:x"}]}]}, "input[0].codeFilter.valueSet"),
        ({"input": [{"type": "Observation", "codeFilter": [{"path": "code"}]}]}, "input[0].codeFilter"),
        ({"input": [{"type": "Observation", "limit": 0}]}, "input[0].limit"),
        (
            {"input": [{"type": "Observation", "dateFilter": [{"path": "effective", "valueDuration": {"value": 3, "code": "mo"}}]}]},
            "input[0].dateFilter",
        ),
        (
            {"condition": [{"kind": "applicability", "expression": {"name": "x", "description": "?", "expression": "%nobody"}}]},
            "condition.expression",
        ),
        ({"condition": [{"kind": "applicability", "expression": {"name": "x", "description": "?", "expression": "foo("}}]}, "condition.expression"),
        (
            {"condition": [{"kind": "applicability", "expression": {"name": "x", "description": "?", "expression": "code.magic()"}}]},
            "condition.expression",
        ),
        ({"condition": [{"kind": "applicability", "expression": {"name": "x", "description": "?", "expression": "a = 'b"}}]}, "condition.expression"),
        ({"condition": [{"kind": "start", "expression": {"name": "x", "description": "?", "expression": "true"}}]}, "condition.kind"),
        ({"condition": [{"kind": "applicability", "expression": {"expression": "true"}}]}, "condition.expression.name"),
    ],
)
def test_a_plan_that_is_no_checklist_is_refused_with_the_action_at_fault(change: dict[str, Any], element: str) -> None:
    with pytest.raises(ChecklistError) as refused:
        compile_checklist(broken(change), plans()["base"])
    assert (refused.value.action, refused.value.expression) == ("er", element)


def test_an_item_may_filter_by_a_value_set_that_is_held() -> None:
    way = {"type": "Observation", "codeFilter": [{"path": "code", "valueSet": "urn:receptors"}]}
    compiled = compile_checklist(broken({"input": [way]}), plans()["base"], {"urn:receptors": frozenset({("urn:x", "ER")})})
    assert next(item for item in compiled.items if item.id == "er").parts[0].inputs[0].codes == {("urn:x", "ER")}


def test_a_group_item_replaces_the_base_item_of_the_same_id() -> None:
    plan = broken({"id": "lab-cbc", "title": "Blood count, our own"})
    compiled = compile_checklist(plan, plans()["base"])
    assert [item.title for item in compiled.items if item.id == "lab-cbc"] == ["Blood count, our own"]


def test_two_items_of_one_id_and_a_pair_that_is_not_there_are_refused() -> None:
    plan = copy.deepcopy(plans()["breast"])
    with pytest.raises(ChecklistError, match="is used twice"):
        compile_checklist(plan | {"action": [*plan["action"], plan["action"][0]]}, plans()["base"])
    with pytest.raises(ChecklistError, match="names the item 'mammography-report'"):
        compile_checklist(plan | {"action": plan["action"][1:]}, plans()["base"])
