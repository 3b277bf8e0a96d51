"""`fhir-gateway eligibility`: an answer as a sheet for a clerk and as JSON; what is wrong with a file, with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from fhir_gateway.cli.eligibility import eligibility
from tests.cli.test_commands import run
from tests.mappers.x12_golden import FOLDER, cases


def told(capsys: pytest.CaptureFixture[str], file: str | Path, **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = 0
    try:
        eligibility(str(file), **options)
    except typer.Exit as end:
        code = end.exit_code
    streams = capsys.readouterr()
    return code, streams.out, " ".join(streams.err.split())


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            "active-with-copay",
            [
                "INES MARLOWE, born 1971-03-14, no. MH4471902 · MERIDIAN HEALTH PLAN",
                "plan in force: yes",
                "copay 40.00 USD per visit",
                "co-insurance 20 %",
                "412.50 USD left",
                "not required",
                "the payer says: ELIGIBILITY IS NO GUARANTEE OF PAYMENT",
            ],
        ),
        ("inactive", ["plan in force: no", "2026-01-01 to 2026-05-31"]),
        ("fallback-98", ["20 Second surgical opinion", "unknown", "could not process", "98 Office visit"]),
        ("mandated", ["required", "out of network", "SECOND OPINION REQUIRED BEFORE ELECTIVE SURGERY"]),
        ("named-providers", ["restricted to: the providers named", "KOFI OSEI 1111111112"]),
        ("aaa-42", ["2100A AAA", "42", "payer", "after 15 min"]),
        ("aaa-75", ["plan in force: unknown", "patient", "Correct and send again"]),
        ("dependent", ["TEO MARLOWE, born 2009-05-02", "plan in force: yes   from 2026-03-01   member MH4471902"]),
        ("two-answers", ["INES MARLOWE", "BOLA ADEYEMI"]),
    ],
)
def test_a_clerk_reads(capsys, case, words) -> None:
    code, sheet, faults = told(capsys, FOLDER / case / "input.edi", json=False)
    assert (code, faults) == (0, "")
    assert [word for word in words if word not in sheet] == []


def test_json_of_a_271_is_read_again_as_json_and_says_the_same(capsys, tmp_path) -> None:
    for case in cases():
        code, text, _ = told(capsys, case / "input.edi", json=True)
        assert (code, json.loads(text)) == (0, json.loads((case / "expected.json").read_text("utf-8")))
        copy = tmp_path / f"{case.name}.json"
        copy.write_text(text, "utf-8")
        assert told(capsys, copy, json=False) == told(capsys, case / "input.edi", json=False)


GOOD = (FOLDER / "fallback-98/input.edi").read_bytes()
TWO = (FOLDER / "two-answers/input.edi").read_bytes()


@pytest.mark.parametrize(
    ("raw", "fault", "answers"),
    [
        (b"", "segment 1: the file is empty", 0),
        (b"hello", "segment 1: not an X12 interchange", 0),
        (GOOD[: GOOD.index(b"***27*30")], "segment 17 (EB): the file breaks off", 0),
        (GOOD.replace(b"ST*271", b"ST*270"), "segment 3 (ST), element 1: the transaction set is no answer", 0),
        (GOOD.replace(b"HL*3*2*22", b"HL*3*2*29"), "segment 10 (HL), element 3: the level is none of", 0),
        (GOOD.replace(b"*27*30*", b"*27*3O*"), "segment 17 (EB), element 7: not a number", 1),
        (GOOD.replace(b"SE*", b"SE*9"), "element 1: the count is wrong", 1),
        (TWO.replace(b"ST*271*0002", b"ST*999*0002"), "(ST), element 1: the transaction set is no answer", 1),
        (b'{"resourceType": ', "Not JSON: Expecting value at line 1, column 17", 0),
        (b'{"resourceType": "Patient"}', "resourceType: expected is a CoverageEligibilityResponse", 0),
        (b"[]", "the array is empty", 0),
        (b"[7]", "[0] resourceType: expected is a", 0),
        (b'{"resourceType": "CoverageEligibilityResponse", "outcome": "fine"}', "CoverageEligibilityResponse.outcome: 'fine' is not one of", 0),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_can_be_read_is_shown(capsys, tmp_path, raw, fault, answers) -> None:
    file = tmp_path / "answer"
    file.write_bytes(raw)
    code, text, faults = told(capsys, file, json=True)
    assert code == 1 and fault in faults
    assert text.count('"resourceType":"CoverageEligibilityResponse"') == answers


def test_as_a_command_from_stdin() -> None:
    done = run("eligibility", "-", "--json", stdin=GOOD)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["resourceType"] == "CoverageEligibilityResponse"
    missing = run("eligibility", "no-such-file.edi")
    assert missing.returncode == 2 and b"no-such-file.edi" in missing.stderr and b"Traceback" not in missing.stderr


def test_codes_of_the_site(capsys, tmp_path, monkeypatch) -> None:
    file = tmp_path / "codes.json"
    monkeypatch.setenv("GATEWAY_X12_CODES", str(file))
    file.write_text('{"1365": {"98": "Visit of ours"}}', "utf-8")
    assert "98 Visit of ours" in told(capsys, FOLDER / "fallback-98/input.edi", json=False)[1]
    file.write_text('{"1": {}}', "utf-8")
    code, _, faults = told(capsys, FOLDER / "fallback-98/input.edi", json=False)
    assert code == 2 and "GATEWAY_X12_CODES: X12 codes, '1'" in faults
