"""Paper at the desk, as staff type it: real processes over one database."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_commands import run

INES = ("--family", "Marlowe", "--given", "Ines", "--birth-date", "1971-03-14", "--identifier", "urn:x:mrn|554321")
ASKS = ("--diagnosis", "c50.411", "--question", "Is chemotherapy needed?", "--number", "P-1")


def test_a_case_is_opened_filled_and_answered_by_hand(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    scan = tmp_path / "histology.bin"  # the name says nothing
    scan.write_bytes(b"%PDF-1.7\n")
    assert run("db", "upgrade", database_url=url).returncode == 0
    opened = run("case", "open", *INES, *ASKS, database_url=url)
    assert opened.returncode == 0, opened.stderr
    assert b"state received" in opened.stdout and b"surgery-done" in opened.stdout, "what is to be asked stands below the table"
    assert b"Has surgery, an excisional biopsy" in opened.stdout
    filed = run("case", "file", "P-1", "pathology-report", str(scan), "--signed", "--date", "2026-03-01", "--json", database_url=url)
    states = {item["id"]: item["state"] for item in json.loads(filed.stdout)["items"]}
    assert states["pathology-report"] == "accepted"
    answered = run("case", "answer", "P-1", "surgery-done", "no", database_url=url)
    assert answered.returncode == 0 and b"surgery-done" not in answered.stdout, answered.stderr
    nowhere = run("case", "route", "P-1", database_url=url)
    assert nowhere.returncode == 1 and b"breast: the clinic holds no active service of this line" in nowhere.stdout
    assert b"Reviewed by: Internal Medicine, Medical Oncology" in nowhere.stdout


def test_wrong_use_and_refusals_end_with_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/desk.db"
    run("db", "upgrade", database_url=url)
    for more, code, said in (
        (("--diagnosis", "breast cancer"), 2, b"ICD-10-CM"),
        (("--by", "neighbour"), 2, b"relative"),
        (("--identifier", "554321"), 2, b"SYSTEM|VALUE"),
        (("--sex", "f"), 1, b"Patient.gender"),
        (("--by", "relative"), 1, b"name of who refers"),
    ):
        done = run("case", "open", *INES, *ASKS, *more, database_url=url)
        assert done.returncode == code and said in done.stderr and b"Traceback" not in done.stderr, (more, done.stderr)
    missing = run("case", "file", "P-1", "pathology-report", str(tmp_path / "nothing.pdf"), database_url=url)
    assert missing.returncode == 2 and b"No such file" in missing.stderr


def test_the_form_of_a_list_is_written_without_a_database(tmp_path: Path) -> None:
    made = run("checklist", "questionnaire", "breast", "--out", str(tmp_path / "form.json"), database_url=f"sqlite:///{tmp_path}/none.db")
    assert made.returncode == 0, made.stderr
    assert json.loads((tmp_path / "form.json").read_bytes())["resourceType"] == "Questionnaire"
    unknown = run("checklist", "questionnaire", "elbow", database_url=f"sqlite:///{tmp_path}/none.db")
    assert unknown.returncode == 1 and b"no checklist" in unknown.stderr
