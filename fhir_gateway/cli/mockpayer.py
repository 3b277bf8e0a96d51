"""`fhir-gateway mock-payer`: a payer to try things against, on this machine only."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from fhir_gateway.cli.terminal import out, stop
from fhir_gateway.mockpayer.app import build
from fhir_gateway.mockpayer.book import Book
from fhir_gateway.mockpayer.folder import Watch
from fhir_gateway.mockpayer.script import Script, ScriptError, read, shipped
from fhir_gateway.mockpayer.signin import SignIn

_HOST = "127.0.0.1"


def mock_payer(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="HTTP port")] = 8090,
    script: Annotated[
        Path | None, typer.Option("--script", help="JSON file of members and what is answered; else the one that comes with it")
    ] = None,
    folder: Annotated[
        tuple[Path, Path] | None, typer.Option("--folder", metavar="IN OUT", help="Answer 270 files of IN with 271 files in OUT")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="PEM public key of the client that may ask over FHIR; else everybody may")] = None,
    client: Annotated[str, typer.Option("--client", help="Id of that client")] = "second-opinion-gateway",
) -> None:
    """Play a payer: eligibility and authorisation over FHIR, X12 270/271 over HTTP and files, with the answers and faults of a script."""
    book = Book(_script(script))
    watch = _watch(book, folder)
    app = build(book, SignIn(_bytes(key), client) if key else None)
    server = uvicorn.Server(uvicorn.Config(app, host=_HOST, port=port, log_level="warning", access_log=False))
    threading.Thread(target=_tell, args=(server, port, folder), daemon=True).start()
    if watch:
        watch.start()
    with suppress(KeyboardInterrupt):
        server.run()
    if watch:
        watch.stop()


def _script(file: Path | None) -> Script:
    try:
        return read(_bytes(file)) if file else shipped()
    except ScriptError as fault:
        stop(f"{file}: {fault}")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)


def _watch(book: Book, folders: tuple[Path, Path] | None) -> Watch | None:
    if not folders:
        return None
    for folder in folders:
        if not folder.is_dir():
            stop(f"{folder} is no folder", 2)
    return Watch(book, *folders)


def _tell(server: uvicorn.Server, port: int, folder: tuple[Path, Path] | None) -> None:
    """Where it can be asked, once it can."""
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.02)
    base = f"http://{_HOST}:{port}"
    out.print(f"FHIR   {base}/fhir   token {base}/token\nX12    {base}/x12\nAsked  {base}/asked", soft_wrap=True)
    if folder:
        out.print(f"Files  {folder[0]} → {folder[1]}", markup=False, soft_wrap=True)
