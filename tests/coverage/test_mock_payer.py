"""What the mock payer says, asked directly over its socket: its two languages tell the same, and its faults are faults."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_gateway.cases.eligibility import insured
from fhir_gateway.mockpayer.folder import answer_all
from fhir_gateway.mockpayer.script import ScriptError, read, shipped
from fhir_gateway.validation import validate
from mappers import x12
from mappers.x12 import core
from tests import process
from tests.mockpayer import MockPayer, mock_payer
from tests.server import free_port

NOW = datetime(2026, 9, 10, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def payer() -> Iterator[MockPayer]:
    """One for all of them; each test asks about a member of its own."""
    with mock_payer() as made:
        yield made


def question(member: str, trace: str = "T-1") -> bytes:
    """A 270 about a member."""
    person = x12.Person("MARLOWE", "INES", member=member, born="19710314", gender="F")
    asked = x12.Question(trace, "9CLINIC000", x12.Party("EXAMPLE PAYER", "EXPAY", "PI"), x12.Party("CLINIC", "1999999984", "XX"), person)
    return x12.ask([asked], x12.Envelope("CLINIC", "EXPAY", 1, NOW))


def told_x12(payer: MockPayer, member: str) -> dict[str, Any]:
    """The answer to a raw 270, read."""
    answer = httpx.post(f"{payer.base}/x12", content=question(member), headers={"Content-Type": "application/edi-x12"})
    (read,) = x12.answers(x12.read(answer.content)[0].transactions[0])
    assert read.submitted == "T-1"
    return read.response


def told_fhir(payer: MockPayer, member: str) -> dict[str, Any]:
    """The answer to a Bundle, a legal resource."""
    request = {"resourceType": "CoverageEligibilityRequest", "identifier": [{"value": "urn:uuid:1"}], "purpose": ["benefits"]}
    entries = [{"resource": request}, {"resource": {"resourceType": "Coverage", "subscriberId": member}}]
    body = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    answer = httpx.post(f"{payer.base}/fhir/CoverageEligibilityRequest/$submit", json=body).json()
    assert not validate(answer)
    return answer


PLAIN = sorted(
    name
    for name, one in shipped().members.items()
    if not any(step.fault or step.reject or step.seconds for step in shipped().scenarios[one].eligibility)
)


@pytest.mark.parametrize("member", PLAIN)
def test_both_languages_tell_the_same(payer: MockPayer, member: str):
    scenario = payer.book.members[member]
    (by_x12,) = insured(told_x12(payer, member))
    payer.book.play(member, scenario)
    (by_fhir,) = insured(told_fhir(payer, member))
    for name in ("inforce", "excluded", "network", "authorisation", "mandated", "disagreeing"):
        assert getattr(by_x12, name) == getattr(by_fhir, name), name
    assert by_x12.service_type == (by_fhir.service_type or "30")
    assert bool(by_x12.unknown) == bool(by_fhir.unknown)
    assert [one.get("display") for one in by_x12.providers] == [one.get("display") for one in by_fhir.providers]
    assert _amounts(by_x12.item) == _amounts(by_fhir.item)


def _amounts(item: dict[str, Any]) -> set[tuple[str, str]]:
    found = set()
    for one in item.get("benefit", ()):
        amount = one.get("allowedUnsignedInt", one.get("allowedMoney", {}).get("value") if "allowedMoney" in one else None)
        found.add((one["type"]["coding"][0]["code"], f"{float(amount):g}"))
    return found


def test_steps_are_taken_in_turn_and_the_last_again(payer: MockPayer):
    assert [told_x12(payer, "M-1009")["outcome"] for _ in range(3)] == ["error", "complete", "complete"]
    assert [one["way"] for one in payer.asked("M-1009")] == ["x12"] * 3


def test_a_stranger_is_not_found_in_either_language(payer: MockPayer):
    for answer in (told_x12(payer, "NOBODY"), told_fhir(payer, "NOBODY")):
        assert answer["outcome"] == "error" and answer["error"][0]["code"]["coding"][0]["code"] == "75"


def test_the_envelope_comes_back_in_an_envelope(payer: MockPayer):
    kind, body = core.build(core.Message(question("M-1002"), core.REQUEST_270, "1", core.stamp(NOW), "CLINIC", "EXPAY"))
    answer = httpx.post(f"{payer.base}/x12", content=body, headers={"Content-Type": kind})
    back = core.read(answer.headers["content-type"], answer.content)
    assert (back.payload_type, back.failed, back.receiver_id) == (core.RESPONSE_271, False, "CLINIC")
    (read,) = x12.answers(x12.read(back.payload)[0].transactions[0])
    assert read.response["insurance"][0]["inforce"] is False


def test_its_faults_are_faults(payer: MockPayer):
    send = {"headers": {"Content-Type": "application/edi-x12"}}
    assert httpx.post(f"{payer.base}/x12", content=question("M-1021"), **send).status_code == 500
    with pytest.raises(x12.X12Error):
        x12.read(httpx.post(f"{payer.base}/x12", content=question("M-1023"), **send).content)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{payer.base}/x12", content=question("M-1020"), timeout=0.2, **send)
    other = x12.read(httpx.post(f"{payer.base}/x12", content=question("M-1025"), **send).content)[0].transactions[0]
    assert x12.answers(other)[0].traces == ("SOMEBODY-ELSE",)
    assert httpx.post(f"{payer.base}/x12", content=b"ISA", **send).status_code == 400
    assert httpx.post(f"{payer.base}/fhir/CoverageEligibilityRequest/$submit", content=b"[").status_code == 400


def test_an_authorisation_is_pended_then_approved(payer: MockPayer):
    claim = {"resourceType": "Claim", "identifier": [{"value": "C-1"}], "patient": {"identifier": {"value": "M-1003"}}, "use": "preauthorization"}
    first = httpx.post(f"{payer.base}/fhir/Claim/$submit", json=claim).json()["entry"][0]["resource"]
    assert (first["outcome"], "preAuthRef" in first) == ("queued", False) and not validate(first)
    later = httpx.get(f"{payer.base}/fhir/ClaimResponse/{first['id']}").json()
    assert (later["outcome"], later["preAuthRef"]) == ("complete", "PA-2026-0001") and not validate(later)
    found = httpx.get(f"{payer.base}/fhir/ClaimResponse", params={"request": "C-1"}).json()
    assert found["entry"][0]["resource"]["preAuthRef"] == "PA-2026-0001"


def test_documents_are_asked_for_beside_the_pended_answer(payer: MockPayer):
    claim = {"resourceType": "Claim", "identifier": [{"value": "C-12"}], "patient": {"identifier": {"value": "M-1012"}}}
    answer, wanted = (entry["resource"] for entry in httpx.post(f"{payer.base}/fhir/Claim/$submit", json=claim).json()["entry"])
    assert answer["outcome"] == "queued" and not validate(wanted)
    assert "11526-1" in json.dumps(wanted) and wanted["about"][0]["identifier"]["value"] == "C-12"


def test_files_are_answered_with_files(payer: MockPayer, tmp_path: Path):
    (tmp_path / "a.270").write_bytes(question("M-1001", "T-9"))
    (tmp_path / "b.270").write_bytes(b"not X12")
    (tmp_path / "c.270").write_bytes(question("M-1020"))
    answer_all(payer.book, tmp_path, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.271", "b.refused"]
    assert x12.answers(x12.read((tmp_path / "a.271").read_bytes())[0].transactions[0])[0].traces == ("T-9",)


def test_a_script_says_where_it_is_wrong():
    wrong = {"title": "X", "number": "X", "members": {"M": "b"}, "scenarios": {"a": {"about": "x", "eligibility": [{"falt": "slow"}]}}}
    with pytest.raises(ScriptError) as told:
        read(json.dumps(wrong))
    assert "scenarios.a.eligibility[0].falt" in str(told.value) and "members.M" in str(told.value)


def test_the_command_says_where_it_can_be_asked(tmp_path: Path):
    port, said = free_port(), tmp_path / "said"
    with said.open("wb") as stdout, Path("/dev/null").open("rb") as stdin:
        arguments = ["mock-payer", "--port", str(port), "--folder", str(tmp_path), str(tmp_path)]
        started = process.Started(arguments, dict(os.environ), stdin.fileno(), stdout.fileno(), stdout.fileno())
    try:
        while f"http://127.0.0.1:{port}/x12" not in said.read_text():
            assert started.poll() is None, said.read_text()
            time.sleep(0.02)
        assert httpx.get(f"http://127.0.0.1:{port}/asked").json() == []
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(10)
