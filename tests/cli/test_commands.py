"""The command line as a person uses it: real processes, exit codes, what stands on stdout and what on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import messages, process
from tests.server import Server
from tests.stories import FIXTURES, breast_referral

REFERRAL = str(FIXTURES / "v2/ref_i12/breast-second-opinion/input.hl7")


def run(*arguments: str, stdin: bytes = b"", **settings: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()}}
    return process.run(arguments, environment, stdin)


def test_the_module_is_the_command() -> None:
    """Started as an interpreter of its own; every other test forks it from one that has imported it."""
    done = subprocess.run([sys.executable, "-m", "fhir_gateway", "map", REFERRAL], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == run("map", REFERRAL).stdout


def test_map_prints_one_bundle_and_the_report_stands_on_stderr() -> None:
    done = run("map", REFERRAL, "--report")
    assert done.returncode == 0
    bundle = json.loads(done.stdout)
    assert bundle["resourceType"] == "Bundle"
    assert {"ServiceRequest", "Patient", "Coverage"} <= {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert b"PID[1]-5" in done.stderr and b"Patient.name" in done.stderr


def test_map_takes_several_files_as_an_array_and_stdin_as_a_dash() -> None:
    done = run("map", REFERRAL, "-", stdin=messages.pathology())
    assert done.returncode == 0
    assert [bundle["type"] for bundle in json.loads(done.stdout)] == ["transaction", "transaction"]


def test_map_ndjson_keeps_input_order_and_gives_a_refused_message_its_outcome(tmp_path: Path) -> None:
    batch = b"\r".join(
        [
            b"FHS|^~\\&",
            b"BHS|^~\\&",
            messages.pathology().strip(),
            b"MSH|^~\\&|A|B|C|D|20260101||ZZZ^Z01|1|P|2.5",
            messages.referral().strip(),
            b"BTS|3",
            b"FTS|1",
        ]
    )
    path = tmp_path / "batch.hl7"
    path.write_bytes(batch)
    done = run("map", str(path), "--ndjson")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["resourceType"] for line in lines] == ["Bundle", "OperationOutcome", "Bundle"]
    assert lines[1]["issue"][0]["expression"] == ["MSH[1]-9.1"]
    assert b"OperationOutcome" in done.stderr


def test_map_says_in_a_sentence_what_is_wrong_with_its_use() -> None:
    missing = run("map", "no-such-file.hl7")
    assert missing.returncode == 2 and b"no-such-file.hl7" in missing.stderr and b"Traceback" not in missing.stderr
    assert run("map").returncode == 2
    garbage = run("map", "-", stdin=b"\x00\xffgarbage")
    assert garbage.returncode == 1 and b"Traceback" not in garbage.stderr


def test_serve_refuses_an_address_others_can_reach() -> None:
    done = run("serve", "--host", "0.0.0.0", auth="off", database_url="sqlite://")
    assert done.returncode == 2
    assert b"loopback" in done.stderr


def test_a_wrong_setting_is_named() -> None:
    done = run("settings", timezone="Mars/Base")
    assert done.returncode == 2
    assert b"GATEWAY_TIMEZONE" in done.stderr


def test_settings_hide_the_database_password() -> None:
    done = run("settings", database_url="postgresql+psycopg://me:secret@localhost/x")
    assert done.returncode == 0
    assert b"secret" not in done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('cli')}/cli.db"
    with Server(url) as running:
        yield running, url


def test_send_then_case_then_inbox(server: tuple[Server, str], tmp_path: Path) -> None:
    running, url = server
    mllp = f"127.0.0.1:{running.mllp_port}"
    sent = run("send", REFERRAL, "--mllp", mllp)
    assert (sent.returncode, sent.stdout.split()[:2]) == (0, [b"AA", b"NS-REF-0417"])
    assert run("send", REFERRAL, "--url", f"{running.base}/hl7v2").stdout == sent.stdout, "the same answer again, over another channel"

    listed = json.loads(run("case", "list", "--json", database_url=url).stdout)
    assert [(case["referral"], case["confirmed"]) for case in listed] == [("REF-2026-0417", True)]
    for name in ("REF-2026-0417", listed[0]["id"], listed[0]["task"]):
        shown = json.loads(run("case", "show", name, "--json", database_url=url).stdout)
        assert set(shown) == {"case", "gates", "items", "money"}
        assert set(shown["gates"]) == {"records", "permission", "money"}
    then = json.loads(run("case", "show", name, "--as-of", "2020-01-01", "--json", database_url=url).stdout or b"null")
    assert then is None, "there was no such case then"

    bad = tmp_path / "bad.hl7"
    bad.write_bytes(b"MSH|^~\\&|A|B|C|D|20260101||REF^I12|77|P|2.5.1\rRF1|A")
    refused = run("send", str(bad), "--mllp", mllp)
    assert refused.returncode == 1 and refused.stdout.startswith(b"AE 77")
    (line,) = json.loads(run("inbox", "list", "--state", "refused", "--json", database_url=url).stdout)
    assert run("inbox", "show", line["id"], "--raw", database_url=url).stdout.strip() == bad.read_bytes()
    assert run("inbox", "retry", line["id"], database_url=url).returncode == 1
    assert run("inbox", "discard", line["id"], database_url=url).returncode == 0
    assert run("inbox", "show", "nothing", database_url=url).returncode == 1


def test_send_says_when_nobody_listens() -> None:
    done = run("send", REFERRAL, "--mllp", "127.0.0.1:9")
    assert done.returncode == 1 and b"Not sent" in done.stderr and b"Traceback" not in done.stderr
    assert run("send", REFERRAL).returncode == 2


def test_db_check_and_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert run("db", "check", database_url=url).returncode == 1
    assert run("db", "upgrade", database_url=url).returncode == 0
    assert run("db", "check", database_url=url).returncode == 0
    assert run("db", "upgrade", database_url="mysql://x/y").returncode == 1


def test_the_demo_shows_the_case_going_from_missing_to_received() -> None:
    done = run("demo", "--once")
    assert done.returncode == 0, done.stderr[-2000:]
    told = done.stdout.decode()
    steps = (
        "money gate: satisfied",
        "copay 40.00 USD per visit",
        "Pathology report(s) establishing the diagnosis, final signed: missing → accepted",
        "state: received → scheduled",
        "Complete blood count: accepted → missing (retracted)",
        "due: 2026-09-17 → 2026-09-24",
        "missing → waived",
        "state: in-review → opinion-issued",
        "/$completeness",
    )
    places = [told.find(step) for step in steps]
    assert -1 not in places and places == sorted(places), [step for step, place in zip(steps, places, strict=True) if place < 0]


def test_the_fixture_is_the_one_the_stories_use() -> None:
    assert breast_referral().startswith(b"MSH|")


def test_partners_are_registered_listed_and_forgotten_and_wrong_ones_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/partners.db"
    assert run("db", "upgrade", database_url=url).returncode == 0
    added = run("partner", "add", "NORTHSIDE", "--mllp", "10.0.0.5:2575", "--replies", "rri,siu", database_url=url)
    assert added.returncode == 0 and b"rri, siu over MLLP to 10.0.0.5:2575" in added.stdout
    (listed,) = json.loads(run("partner", "list", "--json", database_url=url).stdout)
    assert (listed["organisation"], listed["mllp"], listed["replies"]) == ("NORTHSIDE", "10.0.0.5:2575", ["rri", "siu"])
    for wrong in (
        ("--mllp", "nowhere"),
        ("--replies", "rri"),
        ("--mllp", "h:1", "--replies", "rri,osu"),
        ("--fhir", "ftp://x"),
        ("--mllp", "h:1", "--replies", "telegram"),
    ):
        refused = run("partner", "add", "X", *wrong, database_url=url)
        assert refused.returncode == 2 and refused.stderr and b"Traceback" not in refused.stderr
    assert run("partner", "remove", "NORTHSIDE", database_url=url).returncode == 0
    assert run("partner", "remove", "NORTHSIDE", database_url=url).returncode == 1
    assert json.loads(run("outbox", "list", "--json", database_url=url).stdout) == []
    assert run("outbox", "retry", "7", database_url=url).returncode == 1
    assert run("outbox", "list", "--state", "lost", database_url=url).returncode == 2


def test_map_strict_says_where_a_message_leaves_its_standard_and_still_maps_it() -> None:
    done = run("map", "-", "--strict", stdin=messages.blood_count().replace(b"||12.40|", b"||twelve|"))
    assert done.returncode == 1
    assert json.loads(done.stdout)["resourceType"] == "Bundle"
    assert b"OBX[1]-5 not a valid NM (102)" in done.stderr
