"""Looking at what was kept, saying what codes mean, and mapping again, from the command line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.pipeline import Gateway
from fhir_gateway.settings import Settings
from fhir_gateway.validation import decode, encode
from mappers import v2
from tests import messages, process
from tests.cli.test_commands import run
from tests.pipeline.conftest import STAFF
from tests.pipeline.test_codes import married, translation


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Gateway, str]]:
    """A database with two referrals in it: one with a field no element takes, one with a code nobody translates."""
    url = f"sqlite:///{tmp_path}/held.db"
    with ThreadPoolExecutor(1) as executor:
        gateway = Gateway(Settings(database_url=url, auth="off"), executor, clock=lambda: datetime(2026, 9, 10, 9, tzinfo=UTC))
        gateway.store.upgrade()
        for message in (
            messages.referral("REF-1", control_id="C1").replace(b"||||en\r", b"||||en||||||||||||||||Y\r"),
            married(mrn="P2", number="REF-2"),
        ):
            list(gateway.receive_v2(message, "mllp", "test"))
        yield gateway, url
        gateway.stop()


def ids(gateway: Gateway) -> list[str]:
    with gateway.store.snapshot(STAFF) as tx:
        return sorted(line.id for line in tx.inbox.list())


def the_patient(gateway: Gateway) -> dict[str, Any]:
    (entry,) = decode(encode(gateway.fhir.search(STAFF, "Patient", [("identifier", "P2")], "")))["entry"]
    return dict(entry["resource"])


def test_a_messages_report_says_where_each_field_went_with_what_it_was_mapped(held: tuple[Gateway, str]) -> None:
    gateway, url = held
    first, _ = ids(gateway)
    shown = run("inbox", "show", first, "--report", database_url=url)
    assert shown.returncode == 0, shown.stderr
    text = shown.stdout.decode()
    assert "PID[1]-31" in text and "Patient.extension" in text and f"Mapped with {v2.MAPPING_VERSION}" in text
    rows = json.loads(run("inbox", "show", first, "--report", "--json", database_url=url).stdout)["report"]
    mapped = {row["field"]: row for row in json.loads(json.dumps(rows))}
    assert mapped["PID[1]-5"]["target"] == "Patient.name[]" and mapped["PID[1]-31"]["fate"] == "kept" and mapped["PID[1]-31"]["why"]


def test_which_messages_had_a_field_or_a_code_unmapped_is_asked_by_name(held: tuple[Gateway, str]) -> None:
    gateway, url = held
    first, second = ids(gateway)
    with_field = json.loads(run("inbox", "unmapped", "--field", "PID-31", "--json", database_url=url).stdout)
    with_code = json.loads(run("inbox", "unmapped", "--code", "0002|COHAB", "--json", database_url=url).stdout)
    assert ([line["id"] for line in with_field], [line["id"] for line in with_code]) == ([first], [second])
    fields = {row["field"]: row["messages"] for row in json.loads(run("inbox", "unmapped", "--json", database_url=url).stdout)}
    assert fields["PID-31"] == 1
    assert run("inbox", "unmapped", "--code", "0002|NONE", database_url=url).returncode == 1


def test_a_code_is_listed_resolved_and_gone(held: tuple[Gateway, str]) -> None:
    _, url = held
    (code,) = json.loads(run("codes", "list", "--json", database_url=url).stdout)
    assert (code["sender"], code["field"], code["code"], code["messages"]) == ("NORTHSIDE", "PID-16", "COHAB", 1)
    assert run("codes", "resolve", str(code["number"]), database_url=url).returncode == 2
    assert run("codes", "resolve", "999", "T", database_url=url).returncode == 1
    done = run("codes", "resolve", str(code["number"]), "T", "--display", "Domestic partner", database_url=url)
    assert done.returncode == 0 and b"1 messages mapped again" in done.stdout, done.stderr
    assert json.loads(run("codes", "list", "--json", database_url=url).stdout) == []


def test_a_replay_says_what_it_would_change_changes_it_and_leaves_conflicts_to_settle(held: tuple[Gateway, str]) -> None:
    gateway, url = held
    _, second = ids(gateway)
    patient = the_patient(gateway)
    gateway.fhir.update(STAFF, "Patient", patient["id"], encode({**patient, "maritalStatus": {"text": "widowed"}}), None)
    gateway.fhir.create(STAFF, "ConceptMap", encode(translation("COHAB", "T")), None)
    tried = run("replay", "--dry-run", "--json", database_url=url)
    assert tried.returncode == 1
    (line,) = [json.loads(text) for text in tried.stdout.splitlines()]
    assert line["message"] == second
    assert line["differences"][0]["conflicts"][0]["path"] == "maritalStatus"
    assert json.loads(run("replay", "conflicts", "--json", database_url=url).stdout) == []
    done = run("replay", "--type", "REF", "--sender", "NORTHSIDE", "--since", "2026-09-01", database_url=url)
    assert done.returncode == 1 and b"1 conflict with edits" in done.stderr
    (conflict,) = json.loads(run("replay", "conflicts", "--json", database_url=url).stdout)
    assert conflict["elements"][0]["held"] == {"text": "widowed"}
    assert run("replay", "settle", conflict["task"], "--take", "neither", database_url=url).returncode == 2
    assert run("replay", "settle", conflict["task"], "--take", "mapped", database_url=url).returncode == 0
    assert run("replay", "settle", conflict["task"], "--take", "mapped", database_url=url).returncode == 1
    assert run("replay", database_url=url).returncode == 0
    patient = the_patient(gateway)
    assert patient["maritalStatus"]["coding"][0]["code"] == "T"


def test_what_was_refused_is_tried_again_when_asked(held: tuple[Gateway, str]) -> None:
    gateway, url = held
    list(gateway.receive_v2(messages.referral("REF-3").replace(b"REF^I12^REF_I12", b"ZZZ^Z01"), "mllp", "test"))
    done = run("replay", "--refused", database_url=url)
    assert done.returncode == 0 and b"0 refused before are processed now" in done.stderr


def test_a_replay_that_was_killed_is_finished_by_running_it_again(held: tuple[Gateway, str]) -> None:
    gateway, url = held
    for n in range(60):
        list(gateway.receive_v2(married("M", mrn=f"K{n}", number=f"K-{n}"), "mllp", "test"))
    gateway.fhir.create(STAFF, "ConceptMap", encode(translation("M", "T")), None)
    environment = {**os.environ, "GATEWAY_DATABASE_URL": url}
    with Path(os.devnull).open("r+b") as nothing:
        started = process.Started(["replay"], environment, *[nothing.fileno()] * 3)
    while started.poll() is None and again(gateway) < 5:
        time.sleep(0.002)
    started.kill()
    started.wait()
    killed_at = again(gateway)
    assert 0 < killed_at < 60, "killed in the middle"
    assert run("replay", database_url=url).returncode == 0
    assert again(gateway) == 60
    patients = decode(encode(gateway.fhir.search(STAFF, "Patient", [("_count", "100")], "")))["entry"]
    assert {e["resource"]["meta"]["versionId"] for e in patients if e["resource"]["identifier"][0]["value"].startswith("K")} == {"2"}


def again(gateway: Gateway) -> int:
    """How many messages were mapped again and changed something: each says so in one Provenance."""
    found = decode(encode(gateway.fhir.search(STAFF, "Provenance", [("_count", "1000")], "")))["entry"]
    return sum(entry["resource"]["activity"].get("text") == "Mapped again" for entry in found)
