"""A running gateway on real sockets with a clock of its own, and the stories of `fixtures/cases/` played on it step by step.

A story is a list of steps; each is one of

    {"at": "2026-09-10T14:00:00Z"}                          time goes on to this moment, and the worker with it
    {"mllp": "referral.hl7", "answer": "AA"}                a message over MLLP (or "http"), and MSA-1 of its acknowledgement
    {"fhir": "records.json", "answer": 200}                 a Bundle over FHIR, and the status
    {"staff": "move", "case": "REF-1", "with": ["accept"]}  what staff do (fhir_gateway.pipeline.actions); "refused": true when it must be;
                                                            "until": a day; "record supplying": the record that speaks for an item comes first
    {"expect": "REF-1", "state": …, "gates": {…}, "items": {"pathology-report": "accepted", "lab-cbc": "missing: retracted"}, "asOf": …}
    {"count": "DetectedIssue?code=two-referrals", "is": 1}
    {"says": "Communication?_sort=_lastUpdated", "holds": ["Positive", "Negative"]}   some resource found holds all of these words
    {"reads": "DiagnosticReport?code=11529-5"}              somebody reads what is found, over FHIR
    {"opinion": "opinion.json", "case": "REF-1", "answer": 200}   the reviewer's Parameters, over FHIR
    {"waiting": 2, "given up": 0}                           records no case has taken in, and those that waited too long
    {"attach": "DiagnosticReport?identifier=S26-1", "case": "REF-1"}   staff say that a waiting record is the patient's; "reject" that it is not
    {"open cases": 2}

Files are beside the story, or anywhere below `fixtures/` when their path says so.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from fhir_gateway.app import build
from fhir_gateway.errors import GatewayError
from fhir_gateway.hl7v2.client import MllpClient
from fhir_gateway.pipeline import Gateway, open_store
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from mappers import v2
from tests.databases import migrate
from tests.server import free_port

FIXTURES = Path(__file__).parents[2] / "fixtures"
STAFF = Principal("clinic", name="scenario-staff")
JsonDict = dict[str, Any]


class Theatre:
    """now: what the gateway's clock says."""

    def __init__(self, settings: Settings) -> None:
        self.now = datetime(2026, 9, 10, 14, 0, tzinfo=UTC)
        self.settings = settings
        self.app = build(settings, host="127.0.0.1", mllp_port=settings.mllp_port, clock=lambda: self.now)
        self.gateway: Gateway = self.app.state.gateway
        self.base = f"http://127.0.0.1:{settings.http_port}"

    def play(self, folder: Path) -> None:
        """Every step of a story; a failing one says its number."""
        story = json.loads((folder / "story.json").read_text(encoding="utf-8"))
        for number, step in enumerate(story["steps"], 1):
            try:
                self._step(folder, step)
            except AssertionError as fault:
                raise AssertionError(f"{folder.name}, step {number} {json.dumps(step)[:200]}: {fault}") from fault

    def _step(self, folder: Path, step: JsonDict) -> None:
        plays: dict[str, Callable[[Path, JsonDict], None]] = {
            "at": self._at,
            "mllp": self._mllp,
            "http": self._http,
            "fhir": self._fhir,
            "staff": self._staff,
            "expect": self._expect,
            "count": self._count,
            "says": self._says,
            "reads": self._reads,
            "opinion": self._opinion,
            "waiting": self._waiting,
            "attach": self._intake,
            "reject": self._intake,
            "open cases": self._open_cases,
        }
        kind = next(name for name in plays if name in step)
        plays[kind](folder, step)

    def _at(self, _folder: Path, step: JsonDict) -> None:
        moment = datetime.fromisoformat(step["at"])
        assert moment >= self.now, "time does not go back"
        while self.now < moment:  # a day at a time, so that everything due in between happens on its day
            self.now = min(moment, self.now + timedelta(days=1))
            while self.gateway.evaluate_due(100):
                pass

    def _mllp(self, folder: Path, step: JsonDict) -> None:
        with MllpClient("127.0.0.1", self.settings.mllp_port) as client:
            answer = v2.read_ack(client.exchange(_message(folder, step["mllp"])))
        assert answer.code == step.get("answer", "AA"), answer

    def _http(self, folder: Path, step: JsonDict) -> None:
        headers = {"Content-Type": "application/hl7-v2"}
        answer = v2.read_ack(httpx.post(f"{self.base}/hl7v2", content=_message(folder, step["http"]), headers=headers, timeout=30).content)
        assert answer.code == step.get("answer", "AA"), answer

    def _fhir(self, folder: Path, step: JsonDict) -> None:
        headers = {"Content-Type": "application/fhir+json"}
        response = httpx.post(f"{self.base}/fhir", content=_file(folder, step["fhir"]), headers=headers, timeout=30)
        assert response.status_code == step.get("answer", 200), response.text[:500]

    def _staff(self, _folder: Path, step: JsonDict) -> None:
        act = getattr(self.gateway.actions, step["staff"])
        given = list(step.get("with", ()))
        if "record supplying" in step:
            items = {item["id"]: item for item in self.gateway.case(STAFF, step["case"], None)["items"]}
            given.insert(0, items[step["record supplying"]]["suppliedBy"][0])
        until = {"until": date.fromisoformat(step["until"])} if "until" in step else {}
        try:
            act(STAFF, step["case"], *given, **until)
        except GatewayError as refusal:
            assert step.get("refused"), refusal
            return
        assert not step.get("refused"), "it was not refused"

    def _expect(self, _folder: Path, step: JsonDict) -> None:
        asked = {"asOf": step["asOf"]} if "asOf" in step else {}
        flat = self.gateway.case(STAFF, step["expect"], datetime.fromisoformat(step["asOf"]) if asked else None)
        address = f"{self.base}/fhir/ServiceRequest/{flat['case']['id']}/$completeness"
        guidance = httpx.get(address, params=asked, timeout=30).json()
        open_items = [item for item in flat["items"] if item["gapStatus"] in ("open-gap", "prospective-gap")]
        assert len(guidance.get("dataRequirement", ())) == len(open_items), "the operation and the command line say the same"
        for name in ("state", "due", "appointment", "decideBy"):
            if name in step:
                assert flat["case"][name] == step[name], (name, flat["case"][name])
        for name, state in step.get("gates", {}).items():
            assert flat["gates"][name]["state"] == state, (name, flat["gates"][name])
        held = {item["id"]: f"{item['state']}: {item['reason']}" if item["reason"] else item["state"] for item in flat["items"]}
        for name, state in step.get("items", {}).items():
            assert held[name] == state or held[name].partition(":")[0] == state, (name, held[name])

    def _count(self, _folder: Path, step: JsonDict) -> None:
        path, _, query = step["count"].partition("?")
        found = httpx.get(f"{self.base}/fhir/{path}?_summary=count&{query}", timeout=30).json()
        assert found.get("total") == step["is"], found

    def _says(self, _folder: Path, step: JsonDict) -> None:
        found = httpx.get(f"{self.base}/fhir/{step['says']}", timeout=30).json()
        texts = [json.dumps(entry["resource"], ensure_ascii=False) for entry in found.get("entry", ())]
        assert any(all(word in text for word in step["holds"]) for text in texts), texts

    def _reads(self, _folder: Path, step: JsonDict) -> None:
        for name in self._names(step["reads"]):
            assert httpx.get(f"{self.base}/fhir/{name}", timeout=30).status_code == 200

    def _opinion(self, folder: Path, step: JsonDict) -> None:
        address = f"{self.base}/fhir/ServiceRequest/{self.gateway.case(STAFF, step['case'], None)['case']['id']}/$opinion"
        headers = {"Content-Type": "application/fhir+json"}
        response = httpx.post(address, content=_file(folder, step["opinion"]), headers=headers, timeout=30)
        assert response.status_code == step.get("answer", 200), response.text[:500]

    def _waiting(self, _folder: Path, step: JsonDict) -> None:
        held = [len(self.gateway.orphans.listed(STAFF, 100, expired=expired)) for expired in (False, True)]
        assert held == [step["waiting"], step.get("given up", 0)], held

    def _intake(self, _folder: Path, step: JsonDict) -> None:
        for decide in ("attach", "reject"):
            for name in self._names(step[decide]) if decide in step else ():
                getattr(self.gateway.orphans, decide)(STAFF, name, step["case"])

    def _names(self, query: str) -> list[str]:
        """What a search finds, as Type/id; at least one."""
        found = httpx.get(f"{self.base}/fhir/{query}", timeout=30).json()
        names = [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in found.get("entry", ())]
        assert names, f"{query} finds nothing"
        return names

    def _open_cases(self, _folder: Path, step: JsonDict) -> None:
        assert len(self.gateway.cases(STAFF, 100)) == step["open cases"]


def _file(folder: Path, name: str) -> bytes:
    beside = folder / name
    return (beside if beside.is_file() else FIXTURES / name).read_bytes()


def _message(folder: Path, name: str) -> bytes:
    return _file(folder, name).replace(b"\r\n", b"\r").replace(b"\n", b"\r")


@contextmanager
def theatre(database_url: str) -> Iterator[Theatre]:
    """The real server in a thread of this process."""
    settings = Settings(
        database_url=database_url,
        auth="off",
        http_port=free_port(),
        mllp_port=free_port(),
        timezone="America/Chicago",
        worker_seconds=3600,
        log_level="error",
    )
    store = open_store(settings)
    migrate(database_url)
    store.upgrade()
    store.close()
    made = Theatre(settings)
    server = uvicorn.Server(uvicorn.Config(made.app, host="127.0.0.1", port=settings.http_port, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not made.app.state.ready or not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the gateway did not start"
        time.sleep(0.01)
    try:
        yield made
    finally:
        server.should_exit = True
        thread.join(20)
