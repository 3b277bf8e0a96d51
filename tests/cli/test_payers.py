"""`fhir-gateway payer` and `coverage check` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_gateway.cli import build
from fhir_gateway.cli.connection import gateway
from fhir_gateway.store import Store
from tests import messages

RUN = CliRunner()


@pytest.fixture(autouse=True)
def _database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/cli.db"
    store = Store(url)
    store.upgrade()
    store.close()
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)


def run(*words: str) -> tuple[int, str]:
    done = RUN.invoke(build([words[0]]), list(words))
    return done.exit_code, " ".join(done.output.split())


def test_a_payer_is_put_listed_shown_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "acme.json"
    file.write_text(json.dumps({"name": "acme", "title": "Acme", "rules": [{"serviceType": "20", "covered": True}]}), encoding="utf-8")
    assert run("payer", "put", str(file))[0] == 0
    code, listed = run("payer", "list", "--json")
    assert code == 0
    assert {"name": "acme", "title": "Acme", "channel": "rules", "from": "database"} in json.loads(listed)
    assert json.loads(run("payer", "show", "acme")[1])["title"] == "Acme"
    assert (run("payer", "remove", "acme")[0], run("payer", "remove", "acme")[0], run("payer", "show", "acme")[0]) == (0, 1, 1)


def test_a_document_with_faults_is_refused_with_each_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "acme.json"
    file.write_text(json.dumps({"name": "acme", "title": 7, "insurancePlan": {"resourceType": "InsurancePlan", "plan": 3}}), encoding="utf-8")
    code, said = run("payer", "put", str(file))
    assert (code, "title: must be a string" in said) == (1, True)
    file.write_text(json.dumps({"name": "acme", "title": "Acme", "insurancePlan": {"resourceType": "InsurancePlan", "plan": 3}}), encoding="utf-8")
    code, said = run("payer", "put", str(file))
    assert (code, "insurancePlan.plan" in said) == (1, True)


def test_a_folder_of_payers_with_a_fault_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payers").mkdir()
    (tmp_path / "payers" / "a.json").write_text('{"name": "a"}', encoding="utf-8")
    monkeypatch.setenv("GATEWAY_PAYERS", str(tmp_path / "payers"))
    code, said = run("payer", "list")
    assert (code, "a.json: title: is missing" in said) == (1, True)


def test_a_check_names_a_case_or_all_that_are_due() -> None:
    assert run("coverage", "check")[0] == 2
    assert run("coverage", "check", "nobody") == (1, "nobody: There is no such case")
    assert run("coverage", "check", "--due") == (0, "")


def test_an_answer_heard_on_the_telephone_is_entered_with_its_proof() -> None:
    with gateway() as opened:
        list(opened.receive_v2(messages.referral(), "mllp", "test"))
    heard = ("coverage", "answer", "REF-1", "--by", "Ann at Blue Plan", "--proof", "All in order, she said")
    code, said = run(*heard, "--in-force", "--covered", "--in-network", "--no-authorisation", "--deductible", "500,120")
    assert (code, "deductible 500.00 USD (120.00 USD left)" in said) == (0, True)
    assert run(*heard)[0] == 1
    for wrong in ("five", "1,2,3"):
        assert run(*heard, "--deductible", wrong)[0] == 2
    assert run(*heard, "--copay", "30,10")[0] == 2
    assert run("coverage", "answer", "nobody", *heard[3:], "--in-force") == (1, "There is no such case")


@pytest.mark.parametrize(
    "words",
    [
        ("payer", "put"),
        ("map",),
        ("send", "--mllp", "127.0.0.1:1"),
        ("eligibility",),
        ("mock-payer", "--script"),
        ("checklist", "import"),
        ("case", "check"),
        ("case", "opinion", "REF-1", "--file"),
        ("case", "file", "REF-1", "insurance-card"),
        ("case", "authorisation", "REF-1", "--granted", "--by", "Ann", "--proof"),
    ],
)
def test_a_file_that_is_not_there_is_told_in_words(words: tuple[str, ...], tmp_path: Path) -> None:
    code, said = run(*words, str(tmp_path / "none.json"))
    assert code == 2 and "No such file or directory" in said and "Errno" not in said, said
    code, said = run(*words, str(tmp_path))
    assert code == 2 and "Is a directory" in said and "Errno" not in said, said


def test_a_document_or_folder_that_cannot_be_read_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.json").write_bytes('{"name": "caf\u00e9"}'.encode("latin-1"))
    code, said = run("payer", "put", str(tmp_path / "latin.json"))
    assert code == 2 and "is not UTF-8 at byte 13" in said
    monkeypatch.setenv("GATEWAY_PAYERS", str(tmp_path / "nowhere"))
    code, said = run("payer", "list")
    assert code == 1 and "there is no folder" in said
    (tmp_path / "payers" / "a.json").mkdir(parents=True)
    monkeypatch.setenv("GATEWAY_PAYERS", str(tmp_path / "payers"))
    code, said = run("payer", "list")
    assert code == 1 and "a.json: can't be read: Is a directory" in said
    monkeypatch.setenv("GATEWAY_X12_CODES", str(tmp_path / "nowhere"))
    code, said = run("eligibility", "fixtures/x12/active-with-copay/input.edi")
    assert code == 2 and "No such file or directory" in said and "Errno" not in said, said
