"""`fhir-gateway serve` and `settings`."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from typing import Annotated

import httpx
import typer
import uvicorn
from pydantic import ValidationError
from rich.table import Table

from fhir_gateway.cli.terminal import note, out, stop
from fhir_gateway.coverage.payer import PayerError
from fhir_gateway.events import configure
from fhir_gateway.pipeline import open_store
from fhir_gateway.pipeline.eligibility import loaded
from fhir_gateway.pipeline.payers import Payers
from fhir_gateway.settings import Settings, is_loopback


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option("--port", help="HTTP port")] = None,
    mllp_port: Annotated[int | None, typer.Option("--mllp-port", help="MLLP port")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes (more than one needs PostgreSQL)")] = None,
) -> None:
    """Serve HTTP and MLLP; migrates the embedded database first and prints the addresses when ready."""
    settings = load(host=host, http_port=port, mllp_port=mllp_port, workers=workers)
    prepare(settings)
    run(settings, lambda: announce(settings))


def load(**given: object) -> Settings:
    """Settings from the environment with these values on top; a wrong one ends the command with a sentence."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # checked by Settings itself
    except ValidationError as fault:
        lines = [f"GATEWAY_{'_'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in fault.errors(include_url=False)]
        stop("Wrong settings:\n  " + "\n  ".join(lines), 2)


def prepare(settings: Settings) -> None:
    """Refuse what would be unsafe, then bring the embedded database up to date."""
    configure(settings.log_level)
    if not is_loopback(settings.host):
        stop(f"{settings.host} is no loopback address: until sign-in is built the gateway serves this machine only. Nothing was started.", 2)
    if settings.auth != "off":
        note("Callers over HTTP must sign in, and sign-in is not built yet: they get 401. GATEWAY_AUTH=off opens it to this machine.")
    if settings.workers > 1 and settings.database_url.startswith("sqlite"):
        stop("--workers above 1 needs PostgreSQL (GATEWAY_DATABASE_URL=postgresql+psycopg://…)", 2)
    try:
        Payers.from_folder(settings.payers)
    except PayerError as fault:
        stop("Wrong payers (GATEWAY_PAYERS):\n  " + "\n  ".join(map(str, fault.faults)), 2)
    try:
        loaded(settings.x12_codes)
    except (OSError, ValueError) as fault:
        stop(f"GATEWAY_X12_CODES: {fault}", 2)
    store = open_store(settings)
    if store.dialect == "sqlite":
        store.upgrade()
    elif not store.check():
        stop("The database is not at this version's schema; run: fhir-gateway db upgrade")
    store.close()


def run(settings: Settings, when_ready: Callable[[], None]) -> None:
    """Run until stopped. The settings travel to worker processes through the environment, the way an operator would set them."""
    for name in ("host", "http_port", "mllp_port", "workers", "auth", "database_url"):
        os.environ[f"GATEWAY_{name.upper()}"] = str(getattr(settings, name))
    threading.Thread(target=_tell, args=(settings, when_ready), daemon=True).start()
    uvicorn.run(
        "fhir_gateway.app:from_environment",
        factory=True,
        host=settings.host,
        port=settings.http_port,
        workers=settings.workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=15,
    )


def _tell(settings: Settings, when_ready: Callable[[], None]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address(settings)}/readyz", timeout=2).status_code == 200:
                when_ready()
                return
        except httpx.HTTPError:
            time.sleep(0.05)


def address(settings: Settings) -> str:
    """The HTTP address for a client on this machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.http_port}"


def announce(settings: Settings) -> None:
    """Where everything is."""
    base = address(settings)
    out.print(
        f"FHIR     {base}/fhir\nHL7 v2   {base}/hl7v2   and MLLP {settings.host}:{settings.mllp_port}\nHealth   {base}/readyz\nDatabase {shown(settings)}"
    )


def shown(settings: Settings) -> str:
    """The database's address without its password."""
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", settings.database_url)


def settings() -> None:
    """Print every setting, its value here and what it means."""
    current = load()
    table = Table(title="Settings (environment or .env)", title_justify="left")
    for column in ("setting", "value", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for name, field in Settings.model_fields.items():
        value = shown(current) if name == "database_url" else str(getattr(current, name))
        table.add_row(f"GATEWAY_{name.upper()}", value, str(field.default), field.description or "")
    out.print(table)
