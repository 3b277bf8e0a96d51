"""`fhir-gateway send`: a real client. Sends messages over MLLP(S) or HTTP and prints every acknowledgement."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

import httpx
import typer

from fhir_gateway.cli.terminal import out, stop
from fhir_gateway.hl7v2.client import MllpClient
from mappers import v2

ACCEPTED = ("AA", "CA")


def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of HL7 v2 messages or batches")],
    mllp: Annotated[str | None, typer.Option("--mllp", metavar="HOST:PORT", help="Send over MLLP")] = None,
    url: Annotated[str | None, typer.Option("--url", help="Send over HTTP to this address (…/hl7v2)")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="MLLP over TLS")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for each answer")] = 30.0,
) -> None:
    """Send messages and print each ACK. Exit 1 if one is not AA or CA."""
    if (mllp is None) == (url is None):
        stop("Say where to send: --mllp HOST:PORT or --url URL (one of them)", 2)
    messages = [raw for path in files for raw in _read(path)]
    try:
        answers = _over_mllp(messages, mllp, tls, timeout) if mllp else _over_http(messages, url or "", timeout)
        good = [_show(answer) for answer in answers]
    except (OSError, httpx.HTTPError) as fault:
        stop(f"Not sent: {fault or type(fault).__name__}")
    if not all(good) or len(good) < len(messages):
        raise typer.Exit(1)


def _read(path: Path) -> list[bytes]:
    try:
        raw = path.read_bytes()
    except OSError as fault:
        stop(f"{path}: {fault.strerror or fault}", 2)
    return v2.split(raw) or [raw]


def _over_mllp(messages: list[bytes], target: str, tls: bool, timeout: float) -> list[bytes]:
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        stop(f"--mllp takes HOST:PORT, not {target!r}", 2)
    context = ssl.create_default_context() if tls else None
    with MllpClient(host.strip("[]"), int(port), tls=context, timeout=timeout) as client:
        return [client.exchange(message) for message in messages]


def _over_http(messages: list[bytes], url: str, timeout: float) -> list[bytes]:
    headers = {"Content-Type": "x-application/hl7-v2+er7"}
    with httpx.Client(timeout=timeout) as client:
        return [client.post(url, content=message, headers=headers).content for message in messages]


def _show(answer: bytes) -> bool:
    code, control_id, texts = v2.read_ack(answer)
    colour = "green" if code in ACCEPTED else "red"
    out.print(f"[{colour}]{code or 'no acknowledgement'}[/] {control_id}")
    for text in texts:
        out.print(f"   {text}", markup=False)
    return code in ACCEPTED
