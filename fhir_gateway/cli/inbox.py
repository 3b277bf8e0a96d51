"""`fhir-gateway inbox`: what was received, in which state, why it failed; try again or put aside."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.store.inbox import InboxEntry, InboxLine, InboxState
from fhir_gateway.validation import encode

app = typer.Typer(help="What was received, in which state, why it failed", no_args_is_help=True)
STATES = ("pending", "processed", "failed", "refused", "discarded")
Json = Annotated[bool, typer.Option("--json", help="As JSON")]


@app.command("list")
def list_entries(
    state: Annotated[str | None, typer.Option("--state", help=f"Only these: {', '.join(STATES)}")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    json: Json = False,
) -> None:
    """The newest entries."""
    if state is not None and state not in STATES:
        stop(f"--state takes one of {', '.join(STATES)}", 2)
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        entries = tx.inbox.list(state=cast(InboxState | None, state), limit=limit)
    if json:
        write(encode([_plain(entry) for entry in entries]))
        return
    table = Table()
    for column in ("id", "received", "channel", "sender", "type", "bytes", "state", "first finding"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "received"))
    for entry in entries:
        worst: dict[str, str] = next(iter(entry.findings or ()), {})
        said = f"{worst.get('where') or ''} {worst.get('text', '')}".strip()
        received = f"{entry.received_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(entry.id, received, entry.channel, entry.sender, entry.message_type, str(entry.size), entry.state, said)
    out.print(table)


@app.command("show")
def show(id: str, json: Json = False, raw: Annotated[bool, typer.Option("--raw", help="Only the bytes as received")] = False) -> None:
    """One entry with its findings and its answer."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        entry = tx.inbox.get(id)
    if entry is None:
        stop(f"There is no inbox entry {id}")
    if raw:
        write(entry.raw)
        return
    if json:
        write(encode(_plain(entry)))
        return
    for name, value in _plain(entry).items():
        if name not in ("findings", "ledger", "answer"):
            out.print(f"{name:14} {value}", markup=False)
    for finding in entry.findings or ():
        out.print(f"{finding['severity']:14} {finding.get('where') or ''} {finding['text']} ({finding['code']})", markup=False)
    for kept in (entry.ledger or {}).get("kept", ()):
        out.print(f"kept           {kept['field']} → {kept['where']}", markup=False)
    if entry.answer:
        out.print("answer\n" + entry.answer.decode("utf-8", "replace").replace("\r", "\n"), markup=False)


@app.command("retry")
def retry(id: str) -> None:
    """Work on a failed or refused message again; safe to repeat. Exit 1 when it still can't be taken."""
    with gateway() as opened:
        entry = opened.retry(id)
    out.print(f"{entry.id} {entry.state}")
    for finding in entry.findings or ():
        out.print(f"  {finding.get('where') or ''} {finding['text']}", markup=False)
    if entry.state != "processed":
        raise typer.Exit(1)


@app.command("discard")
def discard(id: str) -> None:
    """Put a message aside for good. It stays readable."""
    with gateway() as opened:
        opened.discard(id)
    out.print(f"{id} discarded")


def _plain(line: InboxLine) -> dict[str, object]:
    plain: dict[str, object] = {
        "id": line.id,
        "receivedAt": line.received_at.isoformat(),
        "channel": line.channel,
        "sender": line.sender,
        "controlId": line.control_id,
        "type": line.message_type,
        "bytes": line.size,
        "sha256": line.content_hash,
        "charset": line.charset,
        "state": line.state,
        "attempts": line.attempts,
        "findings": line.findings or [],
    }
    if isinstance(line, InboxEntry):
        plain |= {"complete": line.complete, "ledger": line.ledger or {}, "answer": line.answer.decode("utf-8", "replace") if line.answer else None}
    return plain
