"""Run every benchmark: `python -m benchmarks [FILE.hl7 …]` (default: the synthetic referral; give REF-I12-01.hl7 for the published ratio)."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import api, completeness, corpus, documents, eligibility, flat, intake, mapping, validation, x12

DEFAULT = Path(__file__).parents[1] / "fixtures/v2/ref_i12/breast-second-opinion/input.hl7"


def main() -> None:
    """Print one table per message, one for public messages, one for the whole way."""
    console = Console()
    _corpus(console)
    for path in [Path(name) for name in sys.argv[1:]] or [DEFAULT]:
        table = Table(title=f"{path.name}: one message, one thread", title_justify="left")
        for column in ("step", "µs a message", "messages/s", "× hl7apy parse"):
            table.add_column(column, justify="right" if column != "step" else "left")
        for step in mapping.measure(path.read_bytes()):
            table.add_row(step.name, f"{step.seconds * 1e6:,.0f}", f"{1 / step.seconds:,.0f}", f"{step.ratio:,.0f}")
        console.print(table)
    table = Table(title=f"A referral Bundle of {validation.ENTRIES} entries: processor time, one thread", title_justify="left")
    for column in ("step", "ms", "wanted"):
        table.add_column(column, justify="right" if column != "step" else "left")
    for cost in validation.measure():
        table.add_row(cost.name, f"{cost.seconds * 1e3:.2f}", f"< {cost.wanted * 1e3:.0f}" if cost.wanted else "")
    console.print(table)
    table = Table(title="A PDF in an OBX: read, mapped, validated, encoded", title_justify="left")
    for column in ("MB", "ms", "per MB ÷ that of the smallest"):
        table.add_column(column, justify="right")
    for size in documents.measure():
        table.add_row(str(size.megabytes), f"{size.seconds * 1e3:,.0f}", f"{size.ratio:.2f}")
    console.print(table)
    table = Table(title=f"An X12 271 of {x12.segments(x12.CASE.read_bytes())} segments: one thread", title_justify="left")
    for column in ("step", "µs an answer", "answers/s", "wanted"):
        table.add_column(column, justify="right" if column != "step" else "left")
    for rate in x12.measure():
        table.add_row(rate.name, f"{rate.seconds * 1e6:,.0f}", f"{1 / rate.seconds:,.0f}", f"≥ {rate.wanted:,}" if rate.wanted else "")
    console.print(table)
    table = Table(title="Bytes to acknowledgement: MLLP over a real socket, SQLite with synchronous=FULL", title_justify="left")
    for column in ("connections", "messages", "messages/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for run in intake.measure():
        table.add_row(str(run.connections), str(run.messages), f"{run.rate:,.0f}", f"{run.p50 * 1e3:.1f}", f"{run.p99 * 1e3:.1f}")
    console.print(table)
    table = Table(title="An eligibility question answered by rules held here: stored and on disk, SQLite", title_justify="left")
    for column in ("p50 ms", "p99 ms", "wanted", "questions/s", "by a payer/s", "over HTTP/s", "wanted"):
        table.add_column(column, justify="right")
    speed = eligibility.measure()
    wanted = (f"< {eligibility.P99 * 1e3:.0f}", f"{speed.rate:,.0f}", f"{speed.payer:,.0f}", f"{speed.served:,.0f}", f"≥ {eligibility.RATE}")
    table.add_row(f"{speed.median * 1e3:.1f}", f"{speed.p99 * 1e3:.1f}", *wanted)
    console.print(table)
    _api(console)
    table = Table(
        title="A case among many: SQLite, one thread; GATEWAY_BENCH_CASES sets how many (100,000 take some minutes to fill)", title_justify="left"
    )
    for column in ("what", "cases", "median ms", "p99 ms"):
        table.add_column(column, justify="right" if column != "what" else "left")
    for asked in completeness.measure():
        table.add_row(asked.what, f"{asked.cases:,}", f"{asked.median * 1e3:.2f}", f"{asked.p99 * 1e3:.2f}")
    console.print(table)


def _api(console: Console) -> None:
    table = Table(
        title="FHIR over HTTP, one worker, SQLite: ours, the bare floor, SEKMET; in turn, and without a pause on one connection", title_justify="left"
    )
    for column in ("request", "server", "ServiceRequests held", "median ms in turn", "requests/s", "ours ÷ this one"):
        table.add_column(column, justify="left" if column in ("request", "server") else "right")
    ours = 1.0
    for cost in api.measure():
        ours = cost.rate if cost.server == "ours" else ours
        table.add_row(cost.what, cost.server, f"{cost.held:,}", f"{cost.median * 1e3:.2f}", f"{cost.rate:,.0f}", f"{ours / cost.rate:.2f}")
    console.print(table)
    table = Table(
        title="FHIR over HTTP as the database grows; GATEWAY_BENCH_RESOURCES names the sizes, such as 1000,100000,1000000", title_justify="left"
    )
    for column in ("request", "ServiceRequests held", "median ms", "p99 ms", "× the smallest"):
        table.add_column(column, justify="right" if column != "request" else "left")
    for held in flat.measure():
        table.add_row(held.what, f"{held.held:,}", f"{held.median * 1e3:.2f}", f"{held.p99 * 1e3:.2f}", f"{held.factor:.2f}")
    console.print(table)


def _corpus(console: Console) -> None:
    folder, raws = corpus.messages()
    size = sum(map(len, raws)) / max(len(raws), 1)
    table = Table(title=f"{len(raws)} messages of {size:,.0f} bytes in {folder}: processor time, one thread", title_justify="left")
    for column in ("step", "messages", "µs a message", "messages/s", "× hl7apy", "wanted"):
        table.add_column(column, justify="right" if column != "step" else "left")
    rates = list(corpus.measure(raws))
    floor = rates[-1].seconds
    for rate in rates:
        if rate.note:
            table.add_row(rate.name, f"[bold yellow]{rate.note}[/]")
            continue
        wanted = f"{rate.bar / corpus.REFERENCE:,.0f}" if rate.bar else ""
        table.add_row(rate.name, str(rate.messages), f"{rate.seconds * 1e6:,.0f}", f"{1 / rate.seconds:,.0f}", f"{floor / rate.seconds:,.0f}", wanted)
    console.print(table)
    table = Table(title="What a message costs as it grows (factor 1.0 is linear)", title_justify="left")
    for column in ("what", "size", "ms", "factor"):
        table.add_column(column, justify="right" if column != "what" else "left")
    for row in corpus.growth():
        table.add_row(row.what, row.size, f"{row.seconds * 1e3:,.1f}", f"{row.factor:.2f}")
    console.print(table)


main()
