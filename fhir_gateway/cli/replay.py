"""`fhir-gateway replay`: kept messages mapped again by today's rules and tables; what that changes, and what waits for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import err, out, stop, write
from fhir_gateway.pipeline import Gateway, conflicts
from fhir_gateway.pipeline.conflicts import Take
from fhir_gateway.pipeline.rebase import Change
from fhir_gateway.pipeline.replay import Outcome
from fhir_gateway.store import Stored
from fhir_gateway.store.inbox import Chosen
from fhir_gateway.validation import decode, encode

app = typer.Typer(help="Map kept messages again by today's rules and tables")
BATCH = 200


@app.callback(invoke_without_command=True)
def replay(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change")] = False,
    since: Annotated[datetime | None, typer.Option("--since", help="Received on or after this day")] = None,
    until: Annotated[datetime | None, typer.Option("--until", help="Received before this day")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Of this type: ORU^R01, or ORU for all of them")] = None,
    sender: Annotated[str | None, typer.Option("--sender", help="From this sender")] = None,
    code: Annotated[str | None, typer.Option("--code", help="Waiting for this code (its number in codes list)")] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="This message; may be given several times")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Also try again what was refused or failed")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per message that differs")] = False,
) -> None:
    """Map processed messages again, oldest first, and apply what differs. Exit 1 when something waits for a person or is refused today."""
    if context.invoked_subcommand is not None:
        return
    seen = {"messages": 0, "changed": 0, "conflicts": 0, "refused": 0}
    with gateway() as opened, Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err, transient=True) as shown:
        zone = opened.settings.zone
        with opened.store.snapshot(STAFF) as tx:
            local = tx.codes.find(code) if code else None
            if code and local is None:
                stop(f"There is no code {code}; fhir-gateway codes list shows them")
            first, last = (day.replace(tzinfo=zone) if day else None for day in (since, until))
            chosen = Chosen(first, last, kind, sender, local.pk if local else None, tuple(ids or ()))
            task = shown.add_task("", total=tx.inbox.count(chosen))
        for outcome in _outcomes(opened, chosen, dry_run):
            _count(seen, outcome)
            if outcome.differences or outcome.refused:
                _print(outcome, json)
            shown.advance(task)
        again = _retried(opened) if refused and not dry_run else 0
    verb = "would change" if dry_run else "changed"
    said = f"{seen['messages']} messages mapped again: {seen['changed']} {verb} something, {seen['conflicts']} conflict with edits, {seen['refused']} refused today"
    err.print(said + (f"; {again} refused before are processed now" if refused and not dry_run else ""), markup=False)
    if seen["conflicts"] or seen["refused"]:
        raise typer.Exit(1)


@app.command("conflicts")
def list_conflicts(json: Annotated[bool, typer.Option("--json", help="As JSON")] = False) -> None:
    """What a replay would change but somebody edited, with both values."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        found = list(conflicts.waiting(tx, _open(opened)))
    if json:
        rows = [
            {
                "task": task.id,
                "resource": task.resource["focus"]["reference"],
                "elements": [dict(zip(("path", "held", "mapped"), c, strict=True)) for c in cells],
            }
            for task, cells in found
        ]
        write(encode(rows))
        return
    for task, cells in found:
        out.print(f"{task.id} {task.resource['focus']['reference']}", markup=False)
        for path, held, mapped in cells:
            out.print(f"  {path}\n    holds    {_text(held)}\n    mapping  {_text(mapped)}", markup=False, soft_wrap=True)


@app.command("settle")
def settle(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Id of the conflict's Task")],
    take: Annotated[str, typer.Option("--take", help="mapped: what today's mapping says; kept: what the resource holds")],
) -> None:
    """Settle one conflict for good."""
    if take not in ("mapped", "kept"):
        stop("--take takes mapped or kept", 2)
    with gateway() as opened:
        opened.settle_conflict(task, cast(Take, take), STAFF.name)
    out.print(f"{task} settled: {take}", markup=False)


def _outcomes(opened: Gateway, chosen: Chosen, dry_run: bool) -> Any:
    after = ""
    while True:
        with opened.store.snapshot(STAFF) as tx:
            batch = tx.inbox.select(chosen, after, BATCH)
        if not batch:
            return
        for after in batch:
            yield opened.replay.try_one(after) if dry_run else opened.replay.one(after, STAFF.name)


def _retried(opened: Gateway) -> int:
    """What was refused or failed, tried again as `inbox retry` does; how many are processed now."""
    with opened.store.snapshot(STAFF) as tx:
        lines = [line for state in ("refused", "failed") for line in tx.inbox.list(state, 10_000) if line.channel != "fhir"]
    return sum(opened.retry(line.id).state == "processed" for line in sorted(lines, key=lambda line: line.id))


def _count(seen: dict[str, int], outcome: Outcome) -> None:
    seen["messages"] += 1
    seen["changed"] += outcome.changed
    seen["conflicts"] += outcome.conflicting
    seen["refused"] += bool(outcome.refused)


def _print(outcome: Outcome, json: bool) -> None:
    if json:
        write(encode(_plain(outcome)))
        return
    out.print(outcome.inbox_id + (f" refused today: {outcome.refused}" if outcome.refused else ""), markup=False)
    for one in outcome.differences:
        out.print(f"  {one.reference}{' is new' if one.created else ''}{f': {one.note}' if one.note else ''}", markup=False)
        for title, changes in (("", one.changes), ("conflict ", one.conflicts)):
            for change in changes:
                out.print(f"    {title}{change.path}: {_text(change.before)} → {_text(change.after)}", markup=False, soft_wrap=True)


def _plain(outcome: Outcome) -> dict[str, Any]:
    def told(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
        return [{"path": c.path, "before": c.before, "after": c.after} for c in changes]

    rows = [
        {"resource": d.reference, "created": d.created, "changes": told(d.changes), "conflicts": told(d.conflicts), "note": d.note}
        for d in outcome.differences
    ]
    return {"message": outcome.inbox_id, "refused": outcome.refused, "differences": rows}


def _open(opened: Gateway) -> list[Stored]:
    """Every open conflict's Task."""
    query = [("code", conflicts.CODE), ("status", conflicts.OPEN), ("_count", "1000")]
    found = decode(encode(opened.fhir.search(STAFF, "Task", query, "")))
    names = [f"Task/{entry['resource']['id']}" for entry in found.get("entry", ())]
    with opened.store.snapshot(STAFF) as tx:
        return list(tx.resources.read_many(names).values())


def _text(value: Any) -> str:
    return "nothing" if value is None else encode(value).decode()
