"""`fhir-gateway codes`: what senders' codes mean that no table translates."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.pipeline.codework import system_of, targets_of
from fhir_gateway.validation import encode

app = typer.Typer(help="Codes no table translates: what they are, and what they mean", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="As JSON")]


@app.command("list")
def list_codes(limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100, json: Json = False) -> None:
    """Codes that messages wait for, the most wanted first."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        codes = tx.codes.waiting(limit)
    if json:
        rows = [
            {
                "number": c.pk,
                "sender": c.sender,
                "table": c.map,
                "system": system_of(c),
                "code": c.code,
                "display": c.display,
                "field": c.field,
                "messages": c.messages,
                "since": c.since.isoformat(),
                "task": c.task,
            }
            for c in codes
        ]
        write(encode(rows))
        return
    table = Table()
    for column in ("number", "sender", "field", "code", "display", "table or system", "messages", "since", "task"):
        table.add_column(column, overflow="fold", justify="right" if column in ("number", "messages") else "left")
    for c in codes:
        table.add_row(str(c.pk), c.sender, c.field, c.code, c.display, c.map, str(c.messages), f"{c.since:%Y-%m-%d}", c.task or "")
    out.print(table)


@app.command("resolve")
def resolve(
    name: Annotated[str, typer.Argument(metavar="CODE", help="Its number in the list, or the id of its Task")],
    meaning: Annotated[
        str | None, typer.Argument(metavar="[SYSTEM|CODE]", help="What it is: http://loinc.org|11529-5, or T alone for a table's own")
    ] = None,
    display: Annotated[str, typer.Option("--display", help="The words of that code")] = "",
    none: Annotated[bool, typer.Option("--none", help="It has no translation and needs none")] = False,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="From every sender, not only the one it came from")] = False,
) -> None:
    """Say what a code means. What waited for it is mapped again at once."""
    if none == (meaning is not None):
        stop("Say what the code means (SYSTEM|CODE), or that it means nothing elsewhere (--none)", 2)
    with gateway() as opened:
        with opened.store.snapshot(STAFF) as tx:
            local = tx.codes.find(name)
        if local is None:
            stop(f"There is no code {name}; fhir-gateway codes list shows them")
        system, bar, code = (meaning or "").rpartition("|")
        if meaning and not bar:
            known = targets_of(local)
            system = known[0] if known else ""
        if meaning and not system:
            stop(f"{code} needs its code system: http://loinc.org|{code}", 2)
        made = opened.codework.resolve(name, system, code, display, everywhere=everywhere, who=STAFF.name)
        while opened.codework.round():
            pass
        with opened.store.snapshot(STAFF) as tx:
            left = tx.codes.find(name)
    out.print(f"ConceptMap/{made.id} version {made.version}; {local.messages - (left.messages if left else 0)} messages mapped again", markup=False)


@app.command("messages")
def messages(name: Annotated[str, typer.Argument(metavar="CODE")], limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50) -> None:
    """Inbox ids of the messages that wait for a code, oldest first."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        local = tx.codes.find(name)
        ids = tx.codes.messages(local.pk, limit) if local else []
    if local is None:
        stop(f"There is no code {name}; fhir-gateway codes list shows them")
    for identity in ids:
        out.print(identity, markup=False)
