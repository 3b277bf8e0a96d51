"""`fhir-gateway map`: HL7 v2 → FHIR without a database. One Bundle per message on stdout; refusals as OperationOutcome on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fhir_gateway.cli.terminal import err, stop, write
from fhir_gateway.errors import operation_outcome
from fhir_gateway.outcomes import issues_of
from fhir_gateway.settings import Settings
from fhir_gateway.validation import encode
from mappers import v2
from mappers.result import Mapped, Refused
from profiles import conceptmaps


def map_files(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files of HL7 v2 messages or FHS/BHS batches; - is stdin")],
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="One line per message, in input order; a refused one's line is its OperationOutcome")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Say for every valued field where it went, on stderr")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also check the messages against their version of the standard; findings on stderr, exit 1 for any")
    ] = False,
    source: Annotated[str | None, typer.Option("--source", help="Treat the messages as this sender's (default: what MSH-3 and MSH-4 say)")] = None,
) -> None:
    """Map HL7 v2 messages to FHIR R4 Bundles. Exit 0 all mapped, 1 some refused (or, with --strict, out of line), 2 usage."""
    tables, site = conceptmaps.load(), v2.Site(timezone=Settings().source_zone, sender=source)
    results: list[dict[str, Any]] = []
    refused = deviating = 0
    for name in files:
        for raw in _messages(name):
            deviating += strict and _deviates(raw)
            made, good = _one(raw, tables, site, report)
            refused += not good
            if ndjson:
                write(encode(made))
            elif good:
                results.append(made)
            if not good:
                err.print(encode(made).decode(), markup=False)
    if not ndjson and results:
        write(encode(results[0] if len(results) == 1 else results))
    if refused or deviating:
        raise typer.Exit(1)


def _messages(name: str) -> list[bytes]:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as fault:
        stop(f"{name}: {fault.strerror or fault}", 2)
    return v2.split(raw) or [raw]


def _deviates(raw: bytes) -> bool:
    """Say where a message leaves its standard; does it?"""
    try:
        message = v2.read(raw)
    except Refused:
        return False  # said by the mapping
    found = v2.conformance(message)
    for finding in found:
        err.print(f"{message.header.message_type} {message.header.control_id}: {finding.where or ''} {finding.text} ({finding.code})", markup=False)
    return any(finding.severity != "information" for finding in found)


def _one(raw: bytes, tables: conceptmaps.Tables, site: v2.Site, report: bool) -> tuple[dict[str, Any], bool]:
    try:
        mapped = v2.map_message(v2.read(raw), tables, site)
    except Refused as refusal:
        return operation_outcome(issues_of(refusal.findings)), False
    if report:
        _print_report(mapped)
    return v2.bundle(mapped), True


def _print_report(mapped: Mapped) -> None:
    print_rows(err, v2.report(mapped), f"{mapped.header.message_type} {mapped.header.control_id}")
    for finding in mapped.findings:
        err.print(f"{finding.severity}: {finding.where or ''} {finding.text} ({finding.code})", markup=False)


def print_rows(console: Console, rows: Iterable[v2.Row], title: str) -> None:
    """A report as a table."""
    table = Table(title=title, title_justify="left")
    for column in ("field", "name", "fate", "where", "why"):
        table.add_column(column, overflow="fold")
    colours = {"mapped": "green", "kept": "yellow"}
    for row in rows:
        table.add_row(row.field, row.name, f"[{colours.get(row.fate, 'white')}]{row.fate}[/]", Text(row.target), Text(row.why))
    console.print(table)
