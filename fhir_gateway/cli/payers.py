"""`fhir-gateway payer`: the payers the gateway knows, from files and from the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.coverage.payer import Payer, PayerError, read
from fhir_gateway.validation import encode, validate

app = typer.Typer(help="Payers: how each is named and asked, and what is known of its rules", no_args_is_help=True)


@app.command("list")
def list_payers(json: Annotated[bool, typer.Option("--json", help="As JSON")] = False) -> None:
    """Every payer, how it is asked, and where it is configured."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        payers, held = opened.casework.payers.all(tx), {one.name for one in tx.payers.list()}
    if json:
        lines = [{"name": p.name, "title": p.title, "channel": p.channel, "from": "database" if p.name in held else "file"} for p in payers.values()]
        write(encode(lines))
        return
    table = Table()
    for column in ("payer", "title", "is named by", "channel", "from"):
        table.add_column(column, overflow="fold")
    for name, payer in sorted(payers.items()):
        table.add_row(name, payer.title, _named(payer), payer.channel, "database" if name in held else "file")
    out.print(table)


@app.command("show")
def show(name: str) -> None:
    """The document of a payer in the database; of one from a file, what was read."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        document = next((one.document for one in tx.payers.list() if one.name == name), None)
        payer = opened.casework.payers.all(tx).get(name)
    if document is not None:
        write(document)
    elif payer is not None:
        rules = ", ".join(rule.service_type for rule in payer.rules) or "none"
        out.print(f"{payer.title}: {_named(payer)}; channel {payer.channel}; rules for service types {rules}", markup=False)
    else:
        stop(f"There is no payer {name}")


@app.command("put")
def put(file: Annotated[str, typer.Argument(metavar="FILE", help="A payer's JSON document; - is stdin")]) -> None:
    """Configure a payer, or change how it is. A document with faults is refused with each of them at its place."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        payer = read(text)
    except OSError as fault:
        stop(f"{file}: {fault.strerror or fault}", 2)
    except UnicodeDecodeError as fault:
        stop(f"{file}: is not UTF-8 at byte {fault.start}", 2)
    except PayerError as refused:
        stop("\n".join(f"{file}: {fault}" for fault in refused.faults))
    if payer.plan and (issues := validate(payer.plan, "insurancePlan")):
        stop("\n".join(f"{file}: {issue.expression}: {issue.text}" for issue in issues))
    with gateway() as opened:
        opened.payers.put(STAFF, payer, text)
    out.print(f"{payer.name} is configured; open cases are asked about with: fhir-gateway coverage check --due", markup=False, soft_wrap=True)


@app.command("remove")
def remove(name: str) -> None:
    """Forget a payer of the database. A file of the same name holds again."""
    with gateway() as opened:
        found = opened.payers.remove(STAFF, name)
    if not found:
        stop(f"The database holds no payer {name}")
    out.print(f"{name} is forgotten", markup=False)


def _named(payer: Payer) -> str:
    return ", ".join([*(f"{one.system}|{one.value}".lstrip("|") for one in payer.identifiers), payer.title, *payer.names])
