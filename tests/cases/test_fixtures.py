"""The shipped case stories: valid FHIR, and they show what their README says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.validation import validate
from tests.cases.story import Case

CASES = Path(__file__).parents[2] / "fixtures" / "cases"
BUNDLES = sorted(path for path in CASES.glob("*/*.json") if path.name not in ("story.json", "opinion.json"))


def resources(bundle: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(bundle.read_text(encoding="utf-8"))["entry"]]


def test_there_are_stories() -> None:
    assert BUNDLES
    assert all((bundle.parent / "README.md").is_file() for bundle in BUNDLES)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_fixture_is_valid_fhir(bundle: Path) -> None:
    assert validate(json.loads(bundle.read_text(encoding="utf-8"))) == []
    assert [issue for resource in resources(bundle) for issue in validate(resource)] == []


def test_the_breast_bundle_brings_imaging_notes_permission_and_answers() -> None:
    case = Case()
    for number, resource in enumerate(resources(CASES / "breast" / "imaging-and-notes.json")):
        if resource["resourceType"] not in ("Patient", "Binary"):
            case.receives(resource | {"id": f"sent-{number}"})
    evaluation = case.booked("2026-10-01T14:00:00-04:00").evaluation("2026-09-10")
    states = {item.item: item.state for item in evaluation.items}
    accepted = {
        "mammography-report",
        "mammography-images",
        "breast-priors",
        "consult-note",
        "history-physical",
        "first-opinion-plan",
        "medication-list",
    }
    assert {item: states[item] for item in accepted} == dict.fromkeys(accepted, "accepted")
    assert evaluation.gates["permission"].state == "satisfied"
    assert set(evaluation.gates["records"].open) == {
        *("pathology-report", "pathology-slides", "lab-cbc", "lab-chem", "er", "pr", "her2"),
        *("breast-us-report", "breast-us-images"),
    }
    assert str(evaluation.decide_by) == "2026-10-12"
