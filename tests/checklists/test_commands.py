"""`fhir-gateway checklist`: a clinic takes its lists out as a table, edits it, and puts it back; an open case follows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_gateway.cli.checklist import app
from tests.messages import referral
from tests.pipeline.conftest import Told

URL = "urn:second-opinion-gateway:PlanDefinition:breast"


@pytest.fixture(autouse=True)
def settings(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the story's database."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", told.gateway.settings.database_url)
    monkeypatch.setenv("GATEWAY_AUTH", "off")


def run(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def edited(file: Path, *changes: tuple[str, str, str]) -> Path:
    """The exported table with some cells changed: (item, column, text)."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    for item, column, text in changes:
        next(row for row in rows if row["id"] == item)[column] = text
    made = file.with_name("edited.csv")
    with made.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return made


def exported(tmp_path: Path, *words: str) -> Path:
    file = tmp_path / "lists.csv"
    assert run("export", *words, "--out", file) == (0, "", "")
    return file


def judged_by(told: Told) -> Any:
    return told.case()["case"]["checklist"]


def test_a_clinic_edits_a_list_in_a_spreadsheet_and_the_case_follows(told: Told, tmp_path: Path) -> None:
    told.receives(referral())
    table = edited(exported(tmp_path, "breast"), ("", "version", "2026.1"), ("er", "title", "Receptors"), ("pr", "required", "could"))
    code, said, _ = run("import", table)
    assert (code, "version 2026.1 in force (PlanDefinition/own-breast)" in said) == (0, True)
    told.passes(seconds=1)
    assert judged_by(told) == f"{URL}|2026.1"
    assert (told.item("er")["title"], told.item("pr")["required"]) == ("Receptors", "could")
    assert {plan["id"] for plan in told.found("PlanDefinition", url=URL)} == {"breast", "own-breast"}


def test_export_import_export_of_all_lists_is_the_same_file(told: Told, tmp_path: Path) -> None:
    first = exported(tmp_path).read_bytes()
    assert run("import", tmp_path / "lists.csv")[0] == 0
    assert told.count("PlanDefinition", status="active") == 16
    assert exported(tmp_path).read_bytes() == first
    code, said, _ = run("import", tmp_path / "lists.csv")
    assert (code, said.count("unchanged")) == (0, 16)
    assert {plan["meta"]["versionId"] for plan in told.found("PlanDefinition", status="active")} == {"1"}


def test_a_draft_is_saved_and_not_in_force(told: Told, tmp_path: Path) -> None:
    told.receives(referral())
    assert run("import", edited(exported(tmp_path, "breast"), ("", "version", "2026.1")), "--draft")[0] == 0
    assert (judged_by(told), told.count("PlanDefinition", url=URL, version="2026.1", status="draft")) == (f"{URL}|1.0.0", 1)


def test_every_fault_of_a_table_is_named_and_nothing_is_saved(told: Told, tmp_path: Path) -> None:
    table = edited(exported(tmp_path, "breast"), ("er", "recency days", "x"), ("pr", "required", "maybe"))
    code, _, said = run("import", table)
    assert code == 1
    assert [line.partition(": ")[0].rpartition("column ")[2] for line in said.splitlines()[:2]] == ["recency days", "required"]
    assert told.count("PlanDefinition", status="active") == 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("er", "title", "Receptors"), "line 2, column version"),
        (("er", "pairs with", "nothing"), "column pairs with"),
        (("", "codes", "ICD10CM#C51-C57"), "line 2, column codes"),
        (("", "derives from", "base|9"), "line 2, column derives from"),
    ],
)
def test_what_the_gateway_refuses_is_laid_to_its_cell(told: Told, tmp_path: Path, change: tuple[str, str, str], place: str) -> None:
    version = [] if "version" in place else [("", "version", "2026.1")]
    code, _, said = run("import", edited(exported(tmp_path, "breast"), *version, change))
    assert (code, place in said) == (1, True), said
    assert told.count("PlanDefinition", status="active") == 0


def test_lint_says_what_is_doubtful_in_force_in_a_table_or_in_a_resource(told: Told, tmp_path: Path) -> None:
    assert run("lint", "--all")[:2] == (0, "Nothing to report\n")
    code, said, _ = run("lint", edited(exported(tmp_path, "breast"), ("er", "codes", "LOINC#85337-5"), ("pr", "citation", "")))
    assert (code, "column codes: 85337-5 is mistyped" in said, "column citation: says on nobody's word" in said) == (1, True, True)
    plan = told.found("PlanDefinition", url=URL)[0]
    plan["action"][0]["input"][0]["type"] = "Binary"
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    code, said, _ = run("lint", tmp_path / "plan.json")
    assert (code, "no record of type Binary" in said) == (1, True)


def test_a_command_used_wrongly_says_so(told: Told, tmp_path: Path) -> None:
    assert run("export", "nobody")[0] == 2
    assert run("import", tmp_path / "nowhere.csv")[0] == 2
    assert run("lint", tmp_path / "nowhere.csv", "--all")[0] == 2
    (tmp_path / "odd.csv").write_bytes("group,id\nbreast,\xe4".encode("latin-1"))
    code, _, said = run("import", tmp_path / "odd.csv")
    assert (code, "line 2" in said) == (1, True)


def test_the_columns_of_an_exported_table_are_explained(told: Told, tmp_path: Path) -> None:
    header = exported(tmp_path, "breast").read_text(encoding="utf-8-sig").splitlines()[0]
    code, said, _ = run("columns")
    assert (code, [column for column in header.split(",") if f" {column} " not in said]) == (0, [])
