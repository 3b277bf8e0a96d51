"""`fhir-gateway inbox`: what was received, in which state, why it failed; try again or put aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.mapping import print_rows
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.store import Transaction
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
    _print_lines(entries, json)


@app.command("show")
def show(
    id: str,
    json: Json = False,
    raw: Annotated[bool, typer.Option("--raw", help="Only the bytes as received")] = False,
    report: Annotated[bool, typer.Option("--report", help="Where every field went, as it was mapped")] = False,
) -> None:
    """One entry with its findings and its answer."""
    with gateway() as opened:
        with opened.store.snapshot(STAFF) as tx:
            entry = tx.inbox.get(id)
            codes = tx.codes.of(id)
        told = opened.messages.report(entry) if report and entry else None
    if entry is None:
        stop(f"There is no inbox entry {id}")
    if raw:
        write(entry.raw)
        return
    if json:
        rows = {"report": [row._asdict() for row in told.rows]} if told else {}
        write(encode({**_plain(entry), "unmapped": [f"{code.map}|{code.code}" for code in codes], **rows}))
        return
    for name, value in _plain(entry).items():
        if name not in ("findings", "ledger", "answer"):
            out.print(f"{name:14} {value}", markup=False)
    for finding in entry.findings or ():
        out.print(f"{finding['severity']:14} {finding.get('where') or ''} {finding['text']} ({finding['code']})", markup=False)
    counts = (entry.ledger or {}).get("counts", {})
    out.print(f"{'fields':14} " + ", ".join(f"{number} {fate}" for fate, number in counts.items()), markup=False)
    for code in codes:
        out.print(f"{'untranslated':14} {code.field} {code.map}|{code.code}", markup=False)
    if told:
        print_rows(out, told.rows, f"Mapped with {told.edition}")
        out.print(*([f"{told.more} more"] if told.more else []))
    if entry.answer:
        out.print("answer\n" + entry.answer.decode("utf-8", "replace").replace("\r", "\n"), markup=False)


@app.command("unmapped")
def unmapped(
    field: Annotated[str | None, typer.Option("--field", help="Messages whose field (PID-31) no element took")] = None,
    code: Annotated[
        str | None, typer.Option("--code", help="Messages with a code no table translates: TABLE|CODE, or its number in codes list")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    json: Json = False,
) -> None:
    """Which messages had a field or a code that was kept instead of mapped; without either, the fields and how often."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        if field is None and code is None:
            _print_fields(tx.inbox.kept_fields(limit), json)
            return
        pks = _codes(tx, code) if code else [None]
        entries = [line for pk in pks for line in tx.inbox.unmapped(field, pk, limit)]
    _print_lines(entries, json)


def _codes(tx: Transaction, name: str) -> list[int | None]:
    """A code's number, or every sender's code of a table."""
    table, bar, code = name.rpartition("|")
    found = [one.pk for one in tx.codes.waiting() if one.code == code and table in (one.map, one.map[:4])] if bar else []
    one = None if bar else tx.codes.find(name)
    if not found and one is None:
        stop(f"Nothing waits for a code {name}; fhir-gateway codes list shows what does")
    return [*found] if found else [one.pk if one else None]


def _print_fields(fields: Sequence[tuple[str, int]], json: bool) -> None:
    if json:
        write(encode([{"field": name, "messages": number} for name, number in fields]))
        return
    table = Table()
    table.add_column("field")
    table.add_column("messages", justify="right")
    for name, number in fields:
        table.add_row(name, str(number))
    out.print(table)


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


def _print_lines(entries: Sequence[InboxLine], json: bool) -> None:
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
