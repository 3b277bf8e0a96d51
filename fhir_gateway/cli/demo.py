"""`fhir-gateway demo`: the main job on an embedded database. A referral arrives on three channels; its case fills up before your eyes."""

from __future__ import annotations

import json
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
import uvicorn

from fhir_gateway.app import build
from fhir_gateway.cli.cases import flattened, print_case, print_money
from fhir_gateway.cli.serving import address
from fhir_gateway.cli.terminal import out, stop
from fhir_gateway.events import configure
from fhir_gateway.hl7v2.client import MllpClient
from fhir_gateway.mockpayer.app import build as mock_payer
from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.script import shipped as mock_script
from fhir_gateway.pipeline import Gateway, open_store
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from mappers import v2


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. channel: mllp, http or fhir with a file below fixtures/; task: a decision of the clinic; opinion: its file; payer: the payer
    is asked.
    """

    channel: str
    what: str
    title: str


# From referral to opinion, in the order it happens.
STORY: Final = (
    Step("mllp", "v2/ref_i12/breast-second-opinion/input.hl7", "REF^I12: the referral, with two insurances and a consent"),
    Step("payer", "", "is the plan in force, and does it pay for a second opinion? Asked over FHIR of a payer played by the mock payer"),
    Step("http", "v2/oru_r01/pathology-pdf/input.hl7", "ORU^R01: the pathology report as a PDF with its coded findings"),
    Step("fhir", "cases/breast/imaging-and-notes.json", "a FHIR transaction: mammography with images, and the doctors' notes"),
    Step("mllp", "v2/oru_r01/cbc/input.hl7", "ORU^R01: a complete blood count"),
    Step("mllp", "v2/siu_s12/consultation-booked/input.hl7", "SIU^S12: the consultation is booked, so every record has a due date"),
    Step("mllp", "v2/oru_r01/cbc-withdrawn/input.hl7", "ORU^R01: the laboratory withdraws the blood count; its item opens again"),
    Step("mllp", "v2/siu_s13/consultation-moved/input.hl7", "SIU^S13: the consultation moves, and every date with it"),
    Step("task", "waive pathology-slides", "the clinic does without the glass slides, and says why"),
    Step("task", "start-review", "the review begins"),
    Step("opinion", "cases/breast/opinion.json", "the opinion is issued and signed: note, patient summary, Task and ServiceRequest completed"),
)


CLINIC: Final = Principal("clinic", name="demo-staff")
MEMBER: Final = "RBH-778812"
PLAN: Final[dict[str, Any]] = {"name": "riverbend", "title": "Riverbend Health Plan", "identifier": [{"value": "RIV01"}], "channel": "fhir"}
"""The referral's first insurance: its member, and the payer as the clinic would configure it."""


def demo(
    fixtures: Annotated[Path, typer.Option("--fixtures", help="Folder of the synthetic messages")] = Path(__file__).parents[2] / "fixtures",
    once: Annotated[bool, typer.Option("--once", help="End after printing instead of serving on")] = False,
) -> None:
    """Start the gateway on an embedded database, send a synthetic breast-cancer referral through MLLP, HTTP and FHIR, and show its case."""
    if not fixtures.is_dir():
        stop(f"The demo's messages are not at {fixtures}; run it from a checkout, or say --fixtures FOLDER", 2)
    configure("warning")
    with tempfile.TemporaryDirectory(prefix="second-opinion-demo-") as folder:
        settings = Settings(
            database_url=f"sqlite:///{folder}/demo.db",
            auth="off",
            host="127.0.0.1",
            http_port=_free(8080),
            mllp_port=_free(2575),
            workers=1,
            eligibility="by-hand",
            worker_seconds=0.5,
        )
        store = open_store(settings)
        store.upgrade()
        store.close()
        with _payer() as plan, _served(settings) as gateway:
            gateway.store.run(CLINIC, datetime.now(UTC), lambda tx: tx.payers.put(plan["name"], json.dumps(plan)))
            _tell(settings, fixtures, gateway)
            if not once:
                _wait()


def _tell(settings: Settings, fixtures: Path, gateway: Gateway) -> None:
    base = address(settings)
    case = ""
    before: dict[str, Any] = {}
    for number, step in enumerate(STORY, 1):
        by = "the clinic" if step.channel in ("task", "opinion", "payer") else step.channel.upper()
        out.print(f"\n[bold cyan]{number}. {by}[/]: {step.title}")
        if step.channel == "task":
            _decide(gateway, case, step.what)
        elif step.channel == "payer":
            _ask(gateway, case)
        elif step.channel == "opinion":
            gateway.opinions.issue(CLINIC, case, json.loads((fixtures / step.what).read_text(encoding="utf-8")))
        else:
            out.print(f"   → {_send(step.channel, (fixtures / step.what).read_bytes(), settings)}", markup=False)
        case = case or _newest_case(base)
        now = _flat(base, case)
        if before:
            _print_change(before, now)
            if step.channel == "payer":
                print_money(now["money"])
        else:
            out.print("\n[bold]The case as the referral opened it[/]")
            print_case(now)
        before = now
    out.print("\n[bold]The same case now[/]")
    print_case(before)
    out.print(f"\nLook at it:\n  {base}/fhir/ServiceRequest/{case}/$completeness\n  {base}/fhir/Task?focus=ServiceRequest/{case}")
    out.print(f"  {base}/fhir/DiagnosticReport\n  {base}/fhir/metadata\n  {base}/readyz")
    out.print(f"Send to it:\n  fhir-gateway send FILE --mllp 127.0.0.1:{settings.mllp_port}\n  fhir-gateway send FILE --url {base}/hl7v2")
    out.print("Everybody on this machine is the clinic's administrator here (GATEWAY_AUTH=off); sign-in and the worklist pages are not built yet.")


def _decide(gateway: Gateway, case: str, what: str) -> None:
    """A decision of the clinic's staff, as the command line makes it (`fhir-gateway case waive|move`)."""
    verb, _, item = what.partition(" ")
    if verb == "waive":
        gateway.actions.waive(CLINIC, case, item, "the report and the outside review suffice")
    else:
        gateway.actions.move(CLINIC, case, verb)


def _ask(gateway: Gateway, case: str) -> None:
    """Have the payer asked (`fhir-gateway coverage check`), and wait until the worker has its answer."""
    flat, deadline = gateway.check_coverage(CLINIC, case), time.monotonic() + 30
    while flat["money"]["raw"] is None and time.monotonic() < deadline:
        time.sleep(0.1)
        flat = gateway.case(CLINIC, case, None)


@contextmanager
def _payer() -> Iterator[dict[str, Any]]:
    """The mock payer in a thread of this process, with the demo's member; the payer's document."""
    book, port = Book(mock_script()), _free(8090)
    book.play(MEMBER, "active-with-copay")
    with _running(uvicorn.Config(mock_payer(book), host="127.0.0.1", port=port, log_level="warning", access_log=False)):
        yield {**PLAN, "fhir": {"base": f"http://127.0.0.1:{port}/fhir"}}


def _print_change(before: dict[str, Any], now: dict[str, Any]) -> None:
    """What one step did to the case: its state and dates, gates and items that are not what they were."""
    for name in ("state", "appointment", "due"):
        if before["case"].get(name) != now["case"].get(name):
            out.print(f"   {name}: {before['case'].get(name) or '–'} → [bold]{now['case'].get(name) or '–'}[/]")
    for name, gate in now["gates"].items():
        was = before["gates"][name]
        if (was["state"], was.get("reason")) != (gate["state"], gate.get("reason")):
            out.print(f"   {name} gate: {gate['state']}  {gate.get('reason') or ''}")
    held = {item["id"]: item for item in before["items"]}
    for item in now["items"]:
        was = held.get(item["id"], {})
        if was.get("state") != item["state"] or was.get("reason") != item.get("reason"):
            why = f" ({item['reason']})" if item.get("reason") else ""
            out.print(f"   {item['title']}: {was.get('state', '–')} → [bold]{item['state']}[/]{why}")


def _send(channel: str, raw: bytes, settings: Settings) -> str:
    if channel == "mllp":
        with MllpClient("127.0.0.1", settings.mllp_port) as client:
            return " ".join(v2.read_ack(client.exchange(raw))[:2])
    base = address(settings)
    if channel == "http":
        response = httpx.post(f"{base}/hl7v2", content=raw, headers={"Content-Type": "x-application/hl7-v2+er7"}, timeout=30)
        return " ".join(v2.read_ack(response.content)[:2])
    response = httpx.post(f"{base}/fhir", content=raw, headers={"Content-Type": "application/fhir+json"}, timeout=30)
    return f"{response.status_code} {response.json().get('type', response.text[:300])}, {len(response.json().get('entry', ()))} entries"


def _newest_case(base: str) -> str:
    tasks = httpx.get(f"{base}/fhir/Task", params={"code": "fulfill"}, timeout=30).json()
    entries: list[dict[str, Any]] = tasks.get("entry", [])
    if not entries:
        stop("The referral opened no case")
    return str(entries[0]["resource"]["focus"]["reference"]).removeprefix("ServiceRequest/")


def _flat(base: str, case: str) -> dict[str, Any]:
    """The case as the FHIR operation answers it, laid out flat for the table."""
    return flattened(httpx.get(f"{base}/fhir/ServiceRequest/{case}/$completeness", timeout=30).json())


@contextmanager
def _served(settings: Settings) -> Iterator[Gateway]:
    """The real server in a thread of this process."""
    app = build(settings, host=settings.host, mllp_port=settings.mllp_port)
    with _running(uvicorn.Config(app, host=settings.host, port=settings.http_port, log_level="warning", access_log=False)):
        deadline = time.monotonic() + 60
        while not _ready(settings):
            if time.monotonic() > deadline:
                stop("The gateway did not start")
            time.sleep(0.05)
        yield app.state.gateway


@contextmanager
def _running(config: uvicorn.Config) -> Iterator[None]:
    """A server in a thread of this process, from when it listens."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            stop("A server of the demo did not start")
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


def _ready(settings: Settings) -> bool:
    try:
        return httpx.get(f"{address(settings)}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _free(wanted: int) -> int:
    """The port wanted, or any free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")


def _wait() -> None:
    out.print("\n[bold]Serving until Ctrl-C[/]")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
