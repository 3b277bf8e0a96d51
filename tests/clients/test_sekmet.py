"""SEKMET's scenarios (`sekmet-fhir`, a hospital system in small that tests other servers), all of them, against a live server.

Each that is not passed to its end is named here with the step it stops at and why; one that gets further than it says fails too, so the table stays true.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.server import Server, free_port

STOPS: Final = {
    "messaging_adt_orders": (
        1,
        "Message patient-register",
        "its event codes are its own; taken are referral events, admissions and orders come as HL7 v2",
    ),
    "subscription_backport_roundtrip": (2, "This topic is not known here", "the topic is SEKMET's own; ours are about cases (docs/referrer.md)"),
}
"""Scenario → step it stops at, what is said there, why it is so."""
SKIPPED: Final = {
    "bulk_export_group": ("does not advertise $export", "records of one person's case are not taken out in bulk"),
    "lab_order_peer_fills": ("does not play role 'lab-filler'", "the clinic orders tests, it is no laboratory"),
}
"""Scenarios SEKMET itself leaves out, by what the CapabilityStatement says."""
PASSED: Final = (
    "adt_admit_transfer_discharge",
    "adt_merge_update",
    "appointment_book_cancel",
    "billing_claim",
    "clinical_documentation",
    "conformance_smoke",
    "lab_order_to_result",
    "medication_order_dispense",
    "rad_order_imaging_report",
    "subscription_roundtrip",
)

LEFT_OUT: Final = {
    "conformance_smoke": ((14,), "peer does not advertise format xml"),
    "billing_claim": ((8, 9, 10), "peer does not play role 'payer'"),
}
"""Scenario that passes → the steps SEKMET itself leaves out, and why."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Scenario id → what SEKMET reports of it."""
    here = tmp_path_factory.mktemp("sekmet")
    port = free_port()
    with Server(f"sqlite:///{here}/sekmet.db", worker_seconds="0.5") as server:
        own = {"base_url": f"http://127.0.0.1:{port}/fhir", "host": "127.0.0.1", "port": port, "data_dir": str(here / "data")}
        peers = {"gateway": {"base_url": f"{server.base}/fhir"}}
        (here / "settings.yaml").write_text(yaml.safe_dump({**own, "peers": peers}), encoding="utf-8")
        command = [
            str(Path(sys.executable).with_name("sekmet")),
            "scenario",
            "run",
            "all",
            "--peer",
            "gateway",
            "--serve",
            "--config",
            "settings.yaml",
        ]
        subprocess.run(command, cwd=here, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, check=False, timeout=110)
    report = next((here / "reports").glob("*/results.json"))
    yield {Path(result["file"]).stem: result for result in json.loads(report.read_text(encoding="utf-8"))}


def faults(result: dict[str, Any]) -> list[tuple[int, str, str]]:
    """(step, status, what is said) of every step that did not pass."""
    return [(step["index"], step["status"], step["message"]) for step in result["steps"] if step["status"] != "passed"]


def test_every_scenario_is_spoken_for(results: dict[str, dict[str, Any]]) -> None:
    assert set(results) == {*PASSED, *STOPS, *SKIPPED}


@pytest.mark.parametrize("scenario", PASSED)
def test_it_passes(results: dict[str, dict[str, Any]], scenario: str) -> None:
    steps, said = LEFT_OUT.get(scenario, ((), ""))
    assert [(step, status) for step, status, _ in faults(results[scenario])] == [(step, "skipped") for step in steps]
    assert all(said in text for _, _, text in faults(results[scenario]))


@pytest.mark.parametrize("scenario", STOPS)
def test_it_goes_as_far_as_is_said(results: dict[str, dict[str, Any]], scenario: str) -> None:
    step, said, _ = STOPS[scenario]
    first, *rest = faults(results[scenario])
    assert first[0] == step and first[1] in ("failed", "error") and said in first[2]
    assert all(status == "skipped" for _, status, _ in rest)


@pytest.mark.parametrize("scenario", SKIPPED)
def test_it_is_left_out_by_what_the_server_says_of_itself(results: dict[str, dict[str, Any]], scenario: str) -> None:
    assert {(status, SKIPPED[scenario][0] in said) for _, status, said in faults(results[scenario])} == {("skipped", True)}
