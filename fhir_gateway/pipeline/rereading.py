"""Telling whoever relied on a record that it is another now: the reviewer what changed, everybody who read it that it was taken back. Once per version.

A record is taken back by its sender (entered in error, cancelled, deleted, moved to another patient) or by the clinic (judged as another patient's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fhir_gateway.cases import changes, machine
from fhir_gateway.cases.decisions import WRONG_PATIENT, judged_as
from fhir_gateway.cases.evidence import walk
from fhir_gateway.pipeline.results import Judged
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.store.records import aspect
from mappers.result import IdentityKey

Json = dict[str, Any]
HELD: Final = ("accepted", "expiring")
READING: Final = frozenset({"read", "vread", "found"})


@dataclass(frozen=True, slots=True)
class _News:
    """One record relied on, as it is now. versions: names of what was written anew, for the key. lines: what changed. why: how it was taken back, or ""."""

    record: Stored
    versions: tuple[str, ...]
    about: tuple[str, ...]
    lines: tuple[str, ...]
    why: str


def reread(tx: Transaction, judged: Sequence[Judged], at: datetime) -> None:
    """After cases were judged: a Communication for each record they had relied on that was written anew or judged to be somebody else's."""
    written = {stored.reference: stored for stored in tx.written()}
    again = {name for name, stored in written.items() if stored.version > 1}
    refused = {
        str(name): task for task in written.values() if judged_as(task.resource, WRONG_PATIENT) for name in walk(task.resource, "focus.reference")
    }
    for one in judged if again or refused else ():
        relied_on = {str(name) for item in (one.before or {}).get("items", ()) if item["state"] in HELD for name in item["suppliedBy"]}
        reports = _reports(relied_on) - written.keys() if any(name.startswith("Observation/") for name in again) else set[str]()
        held = {**tx.resources.read_many(sorted(reports)), **{name: written[name] for name in relied_on & written.keys()}}
        told_with: set[str] = set()
        for name in sorted(held, key=lambda name: (not name.startswith("DiagnosticReport/"), name)):
            if name not in told_with and (news := _news(tx, held[name], written, one)):
                # A result that was taken back out of a report that stands is news of its own.
                told_with.update(part for part in news.about if news.why or not changes.taken_back(written[part].resource))
                _tell(tx, one, news, at, [report for report, stored in held.items() if name in changes.parts(stored.resource)])
        for name in sorted(relied_on & refused.keys() - told_with):
            record = held.get(name) or tx.resources.read(*name.split("/"))
            if record is not None:
                version = f"{refused[name].reference}@{refused[name].version}"
                _tell(tx, one, _News(record, (version,), (), (), "was found to be about another patient"), at)


def _reports(names: set[str]) -> set[str]:
    """Records that speak through others, which may be written anew while they are not."""
    return {name for name in names if name.startswith("DiagnosticReport/")}


def _news(tx: Transaction, now: Stored, written: Mapping[str, Stored], one: Judged) -> _News | None:
    """What is new about a record: its own new version, and those of its results. None when there is nothing to tell."""
    again = now.reference in written and now.version > 1
    before = tx.resources.vread(now.type, now.id, now.version - 1) if again else now
    if before is None or before.deleted:
        return None
    fresh = [written[name] for name in changes.parts(before.resource, now.resource) if name in written]
    if not again and not fresh:
        return None
    lines = changes.changes(before.resource, now.resource) if again and not now.deleted else []
    for part in fresh:
        earlier = tx.resources.vread(part.type, part.id, part.version - 1) if part.version > 1 else None
        old = earlier.resource if earlier is not None and not earlier.deleted else None
        lines += changes.told_of_part(old, None if part.deleted else part.resource) if old or not part.deleted else []
    why = _taken_back(tx, before, now, one) if again else ""
    if not lines and not why and now.type in ("Patient", "ServiceRequest"):
        return None
    return _News(
        now,
        tuple(f"{stored.reference}@{stored.version}" for stored in (now, *fresh)),
        tuple(part.reference for part in fresh if not part.deleted),
        tuple(lines) or (() if why else ("only in its narrative or in what is kept beside it",)),
        why,
    )


def _taken_back(tx: Transaction, before: Stored, now: Stored, one: Judged) -> str:
    if now.deleted:
        return "was deleted by its sender"
    if changes.taken_back(now.resource):
        return "was taken back by its sender"
    was, found = aspect(before.resource), aspect(now.resource)
    people = tx.identities.person(one.case.patient_id) if one.case.patient_id else frozenset[str]()
    moved = was is not None and found is not None and was.patient_id in people and found.patient_id not in people
    return "was moved to another patient by its sender" if moved else ""


def _tell(tx: Transaction, one: Judged, news: _News, at: datetime, within: Sequence[str] = ()) -> None:
    """within: reports in which the record could be read as well."""
    states = {one.after["case"]["state"], (one.before or one.after)["case"]["state"]}
    readers = _readers(tx, news.record, within) if news.why else {}
    if not states & machine.REVIEWED and not readers:
        return
    key = IdentityKey("Communication:case-notice", "\t".join((one.case.service_request_id, *news.versions)))
    if tx.keys.find([key]):
        return
    name = f"{changes.titled(_content(tx, news.record))} ({news.record.reference})"
    what = f"{name} {news.why or 'changed after the review began'}" + (": " if news.lines else "") + "; ".join(news.lines)
    made = changes.notice(
        "record-retracted" if news.why else "record-changed",
        patient=f"Patient/{one.case.patient_id}" if one.case.patient_id else None,
        case=one.case.service_request_id,
        records=[news.record.reference, *news.about],
        owner=one.task.resource.get("owner") if one.task is not None else None,
        words=f"{what}. {changes.readers_told(readers)}" if news.why else what,
        readers=sorted(readers),
        now=at,
    )
    identity = new_id()
    tx.keys.claim([key], "Communication", identity, strict=True)
    tx.resources.create(made, id=identity, fresh=True)


def _content(tx: Transaction, record: Stored) -> Json:
    """The record, or what it held before it was deleted."""
    before = tx.resources.vread(record.type, record.id, record.version - 1) if record.deleted else record
    return before.resource if before is not None else record.resource


def _readers(tx: Transaction, record: Stored, within: Sequence[str]) -> dict[str, list[datetime]]:
    """Who has read the record, its results, its attachments, a report it is in or the message it came in (Binary, ADR 0009), and when; oldest first."""
    found: dict[str, set[datetime]] = {}
    versions = tx.resources.history(record.type, record.id)
    names = {record.reference, *within, *(name for version in versions if not version.deleted for name in changes.carriers(version.resource))}
    names |= {f"Binary/{version.inbox_id}" for version in versions if version.inbox_id}
    for name in names:
        for moment, organisation, who, action in tx.audit.of(*name.split("/", 1)):
            if action in READING:
                label = f"{who} ({organisation})" if who and organisation else who or organisation or "somebody not named"
                found.setdefault(label, set()).add(moment.astimezone(UTC))
    return {name: sorted(times) for name, times in found.items()}
