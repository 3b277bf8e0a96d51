"""`fhir-gateway partner` and `outbox`: whom the gateway tells of its own accord, and what became of that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table

from fhir_gateway.cli.connection import STAFF, gateway
from fhir_gateway.cli.terminal import out, stop, write
from fhir_gateway.store import Partner
from fhir_gateway.store.partners import REPLIES
from fhir_gateway.validation import encode

app = typer.Typer(help="Organisations that are told of their cases, and how each is reached", no_args_is_help=True)
outbox = typer.Typer(help="What is still to be sent, was sent, or was given up", no_args_is_help=True)
STATES = ("pending", "done", "dead")


@app.command("add")
def add(
    organisation: Annotated[str, typer.Argument(help="The name its messages come by (MSH-4), as `inbox list` shows it")],
    name: Annotated[str, typer.Option("--name", help="What to call it")] = "",
    fhir: Annotated[str, typer.Option("--fhir", metavar="URL", help="Base of its FHIR server: requests for records are POSTed there as Tasks")] = "",
    mllp: Annotated[str, typer.Option("--mllp", metavar="HOST:PORT", help="Where it takes HL7 v2")] = "",
    tls: Annotated[bool, typer.Option("--tls", help="MLLP over TLS")] = False,
    application: Annotated[str, typer.Option("--application", help="Its MSH-5")] = "",
    facility: Annotated[str, typer.Option("--facility", help="Its MSH-6; its own name when left out")] = "",
    replies: Annotated[str, typer.Option("--replies", help=f"What it is told by HL7 v2, separated by commas: {', '.join(REPLIES)}")] = "",
) -> None:
    """Register a partner, or change how it is reached."""
    host, _, port = mllp.rpartition(":")
    if mllp and (not host or not port.isdecimal() or not 0 < int(port) < 65536):
        stop(f"--mllp takes HOST:PORT, not {mllp!r}", 2)
    if fhir and (urlsplit(fhir).scheme not in ("http", "https") or not urlsplit(fhir).hostname):
        stop(f"--fhir takes the address of a FHIR base, not {fhir!r}", 2)
    wanted = frozenset(filter(None, map(str.strip, replies.split(","))))
    if unknown := wanted - set(REPLIES):
        stop(f"--replies takes {', '.join(REPLIES)}, not {', '.join(sorted(unknown))}", 2)
    if wanted and not mllp:
        stop("--replies needs --mllp: they are HL7 v2 messages", 2)
    if {"rri", "osu"} <= wanted:
        stop("A state is told by rri or by osu, not by both", 2)
    partner = Partner(
        organisation, name or organisation, fhir.rstrip("/"), host.strip("[]"), int(port or 0), tls, application, facility or organisation, wanted
    )
    with gateway() as opened, opened.store.transaction(STAFF, datetime.now(UTC)) as tx:
        tx.partners.put(partner)
        tx.audit.append("partner-add", "Organization", organisation)
    out.print(f"{organisation} is told: {_ways(partner)}", markup=False)


@app.command("list")
def list_partners(json: Annotated[bool, typer.Option("--json", help="As JSON")] = False) -> None:
    """Every partner and how it is reached."""
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        partners = tx.partners.list()
    if json:
        write(encode([_plain(partner) for partner in partners]))
        return
    table = Table()
    for column in ("organisation", "name", "is told"):
        table.add_column(column, overflow="fold")
    for partner in partners:
        table.add_row(partner.organisation, partner.name, _ways(partner))
    out.print(table)


@app.command("remove")
def remove(organisation: str) -> None:
    """Forget a partner. What is on its way to it is not sent any more."""
    with gateway() as opened, opened.store.transaction(STAFF, datetime.now(UTC)) as tx:
        found = tx.partners.remove(organisation)
        tx.audit.append("partner-remove", "Organization", organisation)
    if not found:
        stop(f"There is no partner {organisation}")
    out.print(f"{organisation} is forgotten", markup=False)


@outbox.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option("--state", help=f"Only these: {', '.join(STATES)} (dead: given up)")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """The newest things to send and what became of them."""
    if state is not None and state not in STATES:
        stop(f"--state takes one of {', '.join(STATES)}", 2)
    with gateway() as opened, opened.store.snapshot(STAFF) as tx:
        lines = tx.outbox.list(state, limit)
    if json:
        fields = ("pk", "kind", "key", "queued_at", "due_at", "attempts", "state", "last_error")
        write(encode([{name: _text(getattr(line, name)) for name in fields} for line in lines]))
        return
    table = Table()
    for column in ("id", "kind", "what", "queued", "due", "tries", "state", "last error"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "queued", "due"))
    for line in lines:
        when = [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (line.queued_at, line.due_at)]
        table.add_row(str(line.pk), line.kind, line.key, *when, str(line.attempts), line.state, line.last_error or "")
    out.print(table)


@outbox.command("retry")
def retry(id: int) -> None:
    """Try a thing that was given up again, from now on."""
    with gateway() as opened, opened.store.transaction(STAFF, datetime.now(UTC)) as tx:
        found = tx.outbox.retry(id)
    if not found:
        stop(f"Nothing under {id} was given up")
    out.print(f"{id} is tried again by the running gateway")


def _ways(partner: Partner) -> str:
    ways = [f"requests as Tasks to {partner.fhir_base}"] if partner.fhir_base else []
    if partner.mllp_host:
        secure = " (TLS)" if partner.mllp_tls else ""
        ways.append(f"{', '.join(sorted(partner.replies)) or 'nothing'} over MLLP to {partner.mllp_host}:{partner.mllp_port}{secure}")
    return "; ".join(ways) or "nothing: it polls, or gets letters"


def _plain(partner: Partner) -> dict[str, object]:
    return {
        "organisation": partner.organisation,
        "name": partner.name,
        "fhir": partner.fhir_base or None,
        "mllp": f"{partner.mllp_host}:{partner.mllp_port}" if partner.mllp_host else None,
        "tls": partner.mllp_tls,
        "application": partner.application,
        "facility": partner.facility,
        "replies": sorted(partner.replies),
    }


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
