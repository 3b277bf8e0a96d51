"""The answer as others read it: names and parts are fixed (PRODUCT, "What `$completeness` answers")."""

from __future__ import annotations

import json
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from fhir_gateway.cases.answer import ITEM_EXTENSION, flat, guidance_response
from fhir_gateway.validation import validate
from tests.cases.story import REFERRAL, Case, checklist, consent, pathology
from tests.cases.supplies import everything

Json = dict[str, Any]


def part(parameter: Json, name: str) -> list[Any]:
    return [next(v for k, v in p.items() if k.startswith("value")) for p in parameter["part"] if p["name"] == name]


def answer(case: Case) -> tuple[Json, Json]:
    kept = json.loads(json.dumps(flat(case.evaluation(), checklist(case.list_name))))
    return kept, guidance_response(kept, checklist(case.list_name), "Patient/ines")


def test_the_answer_is_a_valid_guidance_response_made_from_what_the_store_kept() -> None:
    case = Case().receives(pathology(), source="inbox-7").booked("2026-10-01T14:00:00-04:00")
    _, response = answer(case)
    get_fhir_model_class("Parameters").model_validate(response["contained"][0])
    assert validate(response) == []
    assert response["moduleCanonical"] == "urn:second-opinion-gateway:PlanDefinition:breast|1.0.0"
    assert response["status"] == "data-required"
    assert response["outputParameters"]["reference"] == f"#{response['contained'][0]['id']}"


def test_the_parameters_say_case_gates_and_items() -> None:
    case = Case().receives(pathology(), consent(), source="inbox-7").booked("2026-10-01T14:00:00-04:00")
    _, response = answer(case)
    parameters = response["contained"][0]["parameter"]
    about = next(p for p in parameters if p["name"] == "case")
    assert [part(about, name) for name in ("id", "state", "due", "appointment")] == [
        ["ref"],
        ["received"],
        ["2026-09-24"],
        ["2026-10-01T14:00:00-04:00"],
    ]
    assert [(*part(p, "name"), *part(p, "state")) for p in parameters if p["name"] == "gate"] == [
        ("records", "not-satisfied"),
        ("permission", "satisfied"),
        ("money", "indeterminate"),
    ]
    items = {part(p, "id")[0]: p for p in parameters if p["name"] == "item"}
    assert list(items) == [item.id for item in checklist().items]
    path = items["pathology-report"]
    assert (part(path, "state"), part(path, "gapStatus"), part(path, "reason")) == (["accepted"], ["closed-gap"], [])
    assert part(path, "suppliedBy") == [{"reference": "DiagnosticReport/path"}]
    assert part(path, "source") == [{"reference": "Binary/inbox-7"}]
    assert "11529-5" in [coding["code"] for coding in part(path, "code")]


def test_one_data_requirement_per_open_item() -> None:
    kept, response = answer(Case())
    asked = [e["valueString"] for r in response["dataRequirement"] for e in r["extension"] if e["url"] == ITEM_EXTENSION]
    assert asked == [item["id"] for item in kept["items"] if item["gapStatus"] in ("open-gap", "prospective-gap")]
    assert "performance-status" not in asked


def test_nothing_open_is_success() -> None:
    case = everything("breast")
    kept, response = answer(case)
    assert {name: gate["state"] for name, gate in kept["gates"].items()} == {"records": "satisfied", "permission": "satisfied", "money": "satisfied"}
    assert response["status"] == "success"
    assert "dataRequirement" not in response


def test_a_dry_run_without_ids_is_answered_too() -> None:
    _, response = answer(Case(referral={k: v for k, v in REFERRAL.items() if k != "id"}))
    assert validate(response) == []
    assert "id" not in [part["name"] for part in response["contained"][0]["parameter"][0]["part"]]
