"""FHIR transactions and batches: entries → responses. R4 http.html#transaction; order DELETE, POST, PUT, GET; all or nothing for a transaction.

What each entry means is settled before anything is written (`_place`), then references are pointed at what was settled (`linking`), then the
entries are done in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from fhir_gateway.errors import GatewayError, InvalidError, NotFoundError, UnreadableError, operation_outcome
from fhir_gateway.pipeline import conditions, writes
from fhir_gateway.pipeline.conditions import Condition
from fhir_gateway.pipeline.entries import NAMED, ORDER, Entry
from fhir_gateway.pipeline.identity import keys_of
from fhir_gateway.pipeline.interactions import patch
from fhir_gateway.pipeline.linking import link
from fhir_gateway.pipeline.results import Written
from fhir_gateway.pipeline.search import matches
from fhir_gateway.pipeline.translate import translated
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import Issue, decode, encode
from mappers.result import IdentityKey

Json = dict[str, Any]
Pairs = list[tuple[str, str]]
Search = Callable[[Transaction, str, Pairs, str | None], Json]
"""A searchset of a type; of the compartment of a Patient alone where its id is given."""
Histories = Callable[[Transaction, str, str, Pairs], Json]
"""The history of a resource, of a type (id ""), or of everything (type "" too)."""


@dataclass(slots=True)
class Done:
    """responses in request order; written: new versions, for the cases they touch."""

    responses: list[Json]
    written: list[Stored]


@dataclass(frozen=True, slots=True)
class Options:
    """base: the FHIR base of this request. create: PUT may create. search, history: do what a GET asks for."""

    base: str
    create: bool
    inbox_id: str | None
    search: Search
    history: Histories


def transact(tx: Transaction, entries: list[Entry], options: Options) -> Done:
    """All entries in one transaction. The first failing step raises; nothing then stands."""
    _place(tx, entries)
    _no_overlap(entries)
    link(tx, entries, options.base)
    responses: dict[int, Json] = {}
    written: list[Stored] = []
    for position in sorted(range(len(entries)), key=lambda p: _turn(entries[p], p)):
        with _located(entries[position]):
            responses[position] = _done(tx, entries[position], options, written)
    return Done([responses[position] for position in range(len(entries))], written)


def _turn(entry: Entry, position: int) -> tuple[int, str, str, int]:
    """http.html#trules, and within updates and deletions one order for everyone, so that two transactions do not wait for each other."""
    named = entry.method in NAMED
    return ORDER[entry.method], entry.type if named else "", entry.id if named else "", position


def _place(tx: Transaction, entries: list[Entry]) -> None:
    """Settle which resource each writing entry means, before anything is written: references between entries need the ids.

    Everything that could be contended for is waited for at once and in one order, so that two transactions do not wait for each other.
    """
    asked = {entry.path: _condition(entry) for entry in entries}
    conditions.hold(tx, [condition for condition in asked.values() if condition])
    names = {entry.path: _keys(entry, asked[entry.path]) for entry in entries}
    holders = {holder.key: (holder.type, holder.id) for holder in tx.keys.find([key for keys in names.values() for key in keys])}
    placed: dict[tuple[str, str], str] = {}
    for entry in sorted(entries, key=lambda e: ORDER[e.method]):
        with _located(entry):
            _settle(tx, entry, asked[entry.path], holders, placed)
        if entry.method in ("POST", "PUT"):
            _claim(tx, entry, names[entry.path], holders)
    deleted = {(entry.type, entry.id) for entry in entries if entry.method == "DELETE"}
    for entry in entries:
        entry.late = any(holders[key] in deleted for key in names[entry.path] if key in holders)


def _condition(entry: Entry) -> Condition | None:
    text = entry.if_none_exist if entry.method == "POST" else entry.query if entry.method in NAMED and not entry.id else None
    if text is None:
        return None
    with _located(entry):
        return conditions.read(entry.type, text)


def _keys(entry: Entry, condition: Condition | None) -> list[IdentityKey]:
    """The names the resource of an entry goes by, those of its condition first."""
    if entry.method not in ("POST", "PUT"):
        return []
    return [*(condition.keys(entry.resource) if condition else ()), *keys_of(entry.resource or {})]


def _settle(
    tx: Transaction, entry: Entry, condition: Condition | None, holders: dict[IdentityKey, tuple[str, str]], placed: dict[tuple[str, str], str]
) -> None:
    """The id of one entry: found by its condition, made by an entry before it with the same condition, or new."""
    if condition is not None:
        found = conditions.match(tx, condition)
        if found is not None and entry.method == "PUT" and (entry.resource or {}).get("id", found.id) != found.id:
            raise UnreadableError("The condition means another resource than the id in the body", f"{entry.path}.resource.id")
        entry.id = found.id if found else placed.get((entry.type, condition.text), "")
        if not entry.id and entry.method == "POST":
            entry.id = next((holders[key][1] for key in condition.keys(entry.resource) if key in holders), "")
    if entry.method == "POST":
        entry.new = not entry.id
    if not entry.id and entry.method in ("POST", "PUT"):
        entry.id = new_id() if entry.method == "POST" else (entry.resource or {}).get("id", "") or new_id()
    if condition is not None and entry.method in ("POST", "PUT"):
        placed[(entry.type, condition.text)] = entry.id


def _claim(tx: Transaction, entry: Entry, names: list[IdentityKey], holders: dict[IdentityKey, tuple[str, str]]) -> None:
    """Claim the names nobody holds for the resource this entry makes or changes."""
    if entry.method == "POST" and not entry.new:
        return
    free = [key for key in names if key not in holders]
    if free:
        tx.keys.claim(free, entry.type, entry.id, strict=True)
        holders.update(dict.fromkeys(free, (entry.type, entry.id)))


def _no_overlap(entries: list[Entry]) -> None:
    """http.html#trules: one resource may be written only once, and what a condition found may not be deleted beside it."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.id and (entry.new or entry.method in NAMED):
            other = first.setdefault((entry.type, entry.id), entry)
            if other is not entry:
                raise _overlapping(entry, other)
    for entry in entries:
        other_write = first.get((entry.type, entry.id))
        if entry.method == "POST" and not entry.new and other_write is not None and other_write.method == "DELETE":
            raise _overlapping(entry, other_write)


def _overlapping(entry: Entry, other: Entry) -> InvalidError:
    text = f"This entry and {other.path} are about the same resource; a transaction may write it only once"
    return InvalidError(text, f"{entry.path}.request.url")


@contextmanager
def _located(entry: Entry) -> Iterator[None]:
    """Say of every fault which entry it is in."""
    try:
        with translated():
            yield
    except GatewayError as fault:
        raise type(fault)(fault.text, issues=[_at(issue, entry) for issue in fault.issues]) from fault


def _at(issue: Issue, entry: Entry) -> Issue:
    if issue.expression.startswith("Bundle."):
        return issue
    element = issue.expression.removeprefix(entry.type) if issue.expression.startswith(f"{entry.type}.") else ""
    return Issue(issue.severity, issue.code, issue.text, f"{entry.path}.resource{element}" if element else entry.path)


def _done(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    match entry.method:
        case "POST":
            return _posted(tx, entry, options, written)
        case "PUT":
            return _put(tx, entry, options, written)
        case "PATCH":
            return _patched(tx, entry, options, written)
        case "DELETE":
            gone = writes.delete(tx, entry.type, entry.id, entry.expected) if entry.id else None
            written.extend([gone] if gone else [])
            return {"response": {"status": "204 No Content"}}
        case _:
            return _got(tx, entry, options)


def _posted(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    assert entry.resource is not None
    if not entry.new:
        return _wrote(Written(writes.read(tx, entry.type, entry.id), created=False, changed=False), options, written)
    resource = {key: value for key, value in entry.resource.items() if key != "id"}
    return _wrote(writes.create(tx, resource, id=entry.id, inbox_id=options.inbox_id, keyed=not entry.late, fresh=True), options, written)


def _put(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    assert entry.resource is not None
    may_create = options.create or bool(entry.query)
    made = writes.update(tx, entry.resource, entry.id, entry.expected, create_allowed=may_create, inbox_id=options.inbox_id, keyed=not entry.late)
    return _wrote(made, options, written)


def _patched(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    """The patched resource takes the entry's place, so that what it points at is checked like that of the others."""
    assert entry.patch is not None
    if not entry.id:
        raise NotFoundError(f"No {entry.type} matches the condition of the patch")
    made = patch(tx, entry.type, entry.id, entry.patch.body, entry.patch.kind, entry.expected)
    entry.resource = made.stored.resource
    return _wrote(made, options, written)


def _wrote(made: Written, options: Options, written: list[Stored]) -> Json:
    stored = made.stored
    if made.changed:
        written.append(stored)
    return {
        **_full_url(stored, options),
        "response": {
            "status": "201 Created" if made.created else "200 OK",
            "location": f"{stored.type}/{stored.id}/_history/{stored.version}",
            **_state(stored),
        },
    }


def _full_url(stored: Stored, options: Options) -> Json:
    """A Bundle worked on again by staff has no address it was sent to."""
    return {"fullUrl": f"{options.base}/{stored.type}/{stored.id}"} if options.base else {}


def _state(stored: Stored) -> Json:
    return {"etag": f'W/"{stored.version}"', "lastModified": stored.resource["meta"]["lastUpdated"]}


def hinted(response: Json, text: str) -> Json:
    """The response with something its sender should know (Bundle.entry.response.outcome: hints and warnings)."""
    outcome = operation_outcome([Issue("information", "informational", text)])
    return {**response, "response": {**response["response"], "outcome": outcome}}


def renewed(response: Json, stored: Stored) -> Json:
    """The response about a resource that was changed again in the same transaction (its case was opened): the version that stands."""
    location = f"{stored.type}/{stored.id}/_history/{stored.version}"
    return {**response, "response": {**response["response"], "location": location, **_state(stored)}}


def represented(tx: Transaction, answer: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """An answer with the version each entry wrote or found in its place (http.html#ops, `return=representation`), and the (type, id) of each."""
    given, names = decode(answer), list[tuple[str, str]]()
    entries: list[Json] = []
    for entry in given.get("entry", ()):
        match str(entry["response"].get("location", "")).split("/"):
            case [type, id, "_history", version] if stored := tx.resources.vread(type, id, int(version)):
                names.append((type, id))
                entry = {"resource": msgspec.Raw(stored.body)} | entry
        entries.append(entry)
    return encode({**given, "entry": entries}) if names else answer, names


def _got(tx: Transaction, entry: Entry, options: Options) -> Json:
    if entry.part or not entry.id:
        found = _listed(tx, entry, options)
        for name in matches(found):
            tx.audit.append("found", *name)
        return {**({} if entry.method == "HEAD" else {"resource": found}), "response": {"status": "200 OK"}}
    stored = writes.read(tx, entry.type, entry.id) if entry.version is None else writes.vread(tx, entry.type, entry.id, entry.version)
    tx.audit.append("read", stored.type, stored.id)
    if _unchanged(entry, stored):
        return {**_full_url(stored, options), "response": {"status": "304 Not Modified", **_state(stored)}}
    body = {} if entry.method == "HEAD" else {"resource": stored.resource}
    return {**_full_url(stored, options), **body, "response": {"status": "200 OK", **_state(stored)}}


def _listed(tx: Transaction, entry: Entry, options: Options) -> Json:
    pairs = [pair for pair in parse_qsl(entry.query, keep_blank_values=True) if pair[0] not in ("_format", "_pretty")]
    if entry.part == "_history":
        return options.history(tx, entry.type, entry.id, pairs)
    return options.search(tx, entry.part or entry.type, pairs, entry.id or None)


def _unchanged(entry: Entry, stored: Stored) -> bool:
    """Bundle.entry.request.ifNoneMatch and ifModifiedSince: does the client hold this version? The first outranks the second, as with HTTP."""
    if entry.expected is not None and entry.expected.none_match is not None:
        return stored.version in entry.expected.none_match
    return entry.since is not None and stored.last_updated <= entry.since


def failed(fault: GatewayError) -> Json:
    """A batch entry that failed, as its response."""
    return {"response": {"status": f"{fault.http}", "outcome": operation_outcome(fault.issues)}}
