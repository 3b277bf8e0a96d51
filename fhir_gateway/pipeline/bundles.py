"""FHIR transactions and batches: entries → responses. R4 http.html#transaction; order DELETE, POST, PUT, GET; all or nothing for a transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fhir_gateway.errors import GatewayError, InvalidError, PreconditionError, UnreadableError, UnsupportedError, operation_outcome
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.references import references, rewritten
from fhir_gateway.pipeline.results import Written
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import Issue

Json = dict[str, Any]
ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
Search = Callable[[Transaction, str, list[tuple[str, str]]], Json]


@dataclass(slots=True)
class Entry:
    """One entry of a transaction or batch, taken apart. path: its FHIRPath. id: "" where it is still to be found."""

    path: str
    method: str
    type: str
    id: str
    query: str
    full_url: str
    resource: Json | None
    if_none_exist: str | None
    if_match: int | None
    new: bool = False


@dataclass(slots=True)
class Done:
    """responses in request order; written: new versions, for the cases they touch."""

    responses: list[Json]
    written: list[Stored]


@dataclass(frozen=True, slots=True)
class Options:
    """base: the FHIR base of this request. strict: refuse local references to what does not exist. create: PUT may create. search: runs a GET search."""

    base: str
    strict: bool
    create: bool
    inbox_id: str | None
    search: Search


def entries_of(bundle: Json, limit: int, base: str) -> list[Entry]:
    """Take the entries apart. Raises InvalidError with every entry that is no request, UnreadableError when there are too many."""
    given = bundle.get("entry") or []
    if len(given) > limit:
        raise UnreadableError(f"The Bundle has {len(given)} entries; {limit} is the limit", "Bundle.entry")
    issues: list[Issue] = []
    made: list[Entry] = []
    for position, entry in enumerate(given):
        try:
            made.append(entry_of(entry, f"Bundle.entry[{position}]", base))
        except GatewayError as fault:
            issues += fault.issues
    if issues:
        raise InvalidError(issues[0].text, issues=issues)
    return made


def entry_of(entry: Json, path: str, base: str) -> Entry:
    """One entry taken apart. Raises InvalidError or UnsupportedError, located."""
    request = entry.get("request") or {}
    method, url = request.get("method", ""), request.get("url", "")
    if url.startswith(f"{base}/"):
        url = url[len(base) + 1 :]
    address, _, query = url.lstrip("/").partition("?")
    parts = address.split("/")
    resource = entry.get("resource")
    if method not in ORDER or method == "PATCH":
        raise UnsupportedError(f"{method or 'An entry without a method'} is not done in a Bundle here", f"{path}.request.method")
    if len(parts) > 2 or not parts[0]:
        raise UnsupportedError("request.url must be Type, Type/id or Type?condition", f"{path}.request.url")
    writes.supported(parts[0])
    if method in ("POST", "PUT"):
        if resource is None:
            raise InvalidError(f"{method} needs a resource", f"{path}.resource")
        if resource.get("resourceType") != parts[0]:
            raise InvalidError(f"The resource is no {parts[0]}", f"{path}.resource.resourceType")
    identity = parts[1] if len(parts) == 2 else ""
    if method == "PUT" and identity and resource and resource.get("id", identity) != identity:
        raise InvalidError("The id of the resource and of request.url differ", f"{path}.resource.id")
    if method in ("PUT", "DELETE") and not identity and not query:
        raise InvalidError(f"{method} needs an id or a condition", f"{path}.request.url")
    if method == "POST" and identity:
        raise UnsupportedError("POST takes a type, not an id; use PUT", f"{path}.request.url")
    return Entry(
        path,
        method,
        parts[0],
        identity,
        query,
        entry.get("fullUrl", ""),
        resource,
        request.get("ifNoneExist"),
        _version(request.get("ifMatch"), path),
    )


def _version(text: str | None, path: str) -> int | None:
    if text is None:
        return None
    digits = text.removeprefix("W/").strip('"')
    if not digits.isdecimal():
        raise PreconditionError('ifMatch must be a version such as W/"3"', f"{path}.request.ifMatch")
    return int(digits)


def transact(tx: Transaction, entries: list[Entry], options: Options) -> Done:
    """All entries in one transaction. The first failing step raises; nothing then stands."""
    _place(tx, entries)
    _no_overlap(entries)
    _point(tx, entries, options)
    responses: dict[int, Json] = {}
    written: list[Stored] = []
    for position in sorted(range(len(entries)), key=lambda p: (ORDER[entries[p].method], p)):
        responses[position] = _done(tx, entries[position], options, written)
    return Done([responses[position] for position in range(len(entries))], written)


def _place(tx: Transaction, entries: list[Entry]) -> None:
    """Settle which resource each writing entry means, before anything is written: references between entries need the ids."""
    for entry in entries:
        if entry.method == "POST":
            entry.id, entry.new = new_id(), True
            if entry.if_none_exist:
                found = _one_match(tx, entry, entry.if_none_exist)
                if found:
                    entry.id, entry.new = found.id, False
        elif entry.method in ("PUT", "DELETE") and not entry.id:
            found = _one_match(tx, entry, entry.query)
            entry.id = found.id if found else (entry.resource or {}).get("id", "") or new_id()


def _one_match(tx: Transaction, entry: Entry, condition: str) -> Stored | None:
    found = writes.matches(tx, entry.type, condition)
    if len(found) > 1:
        raise PreconditionError(f"The condition on {entry.type} matches several resources", f"{entry.path}.request")
    return found[0] if found else None


def _no_overlap(entries: list[Entry]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        if entry.method in ("PUT", "DELETE") or (entry.method == "POST" and entry.new):
            first = seen.setdefault((entry.type, entry.id), entry.path)
            if first != entry.path:
                raise InvalidError(f"This entry and {first} write the same resource; a transaction may do so only once", f"{entry.path}.request.url")


def _point(tx: Transaction, entries: list[Entry], options: Options) -> None:
    """Replace references between entries (urn:uuid, urn:oid, absolute, relative) and conditional ones by the ids settled. Raises InvalidError for dangling ones."""
    addresses: dict[str, str] = {}
    for entry in entries:
        if entry.method in ("POST", "PUT"):
            target = f"{entry.type}/{entry.id}"
            if entry.full_url:
                addresses[entry.full_url] = target
                addresses.setdefault(entry.full_url.removeprefix(f"{options.base}/"), target)
                if entry.full_url.startswith(("http:", "https:")):
                    addresses.setdefault("/".join(entry.full_url.rstrip("/").split("/")[-2:]), target)
            own = (entry.resource or {}).get("id")
            if entry.method == "POST" and own:
                addresses.setdefault(f"{entry.type}/{own}", target)
    issues: list[Issue] = []
    for entry in entries:
        if entry.resource is None:
            continue
        where = f"{entry.path}.resource"
        for path, text in references(entry.resource, where):
            if text in addresses:
                continue
            if "?" in text and not text.startswith(("http:", "https:", "urn:")):
                addresses[text] = _conditional(tx, text, path, entries, issues)
            elif text.startswith("urn:"):
                issues.append(Issue("error", "not-found", "The reference names no entry of this Bundle", path))
        entry.resource = rewritten(entry.resource, addresses.get)
    if issues:
        raise InvalidError(issues[0].text, issues=issues)


def _conditional(tx: Transaction, text: str, path: str, entries: list[Entry], issues: list[Issue]) -> str:
    """`Patient?identifier=…` → the one match in the store, or else in the Bundle itself."""
    type, _, query = text.partition("?")
    writes.supported(type)
    found = {f"{s.type}/{s.id}" for s in writes.matches(tx, type, query)} or {
        f"{type}/{e.id}" for e in entries if e.type == type and e.resource and _carries(e.resource, query)
    }
    if len(found) == 1:
        return found.pop()
    issues.append(Issue("error", "multiple-matches" if found else "not-found", "The conditional reference must match exactly one resource", path))
    return text


def _carries(resource: Json, query: str) -> bool:
    """Does a resource of the same Bundle hold the identifier asked for?"""
    wanted = [value.partition("|") for name, value in parse_qsl(query) if name == "identifier"]
    held = {(i.get("system", ""), i.get("value", "")) for i in resource.get("identifier") or ()}
    return bool(wanted) and all((system, value) in held for system, _, value in wanted)


def _done(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    try:
        match entry.method:
            case "POST":
                return _posted(tx, entry, options, written)
            case "PUT":
                return _put(tx, entry, options, written)
            case "DELETE":
                gone = writes.delete(tx, entry.type, entry.id, entry.if_match)
                written.extend([gone] if gone else [])
                return {"response": {"status": "204 No Content"}}
            case _:
                return _got(tx, entry, options)
    except GatewayError as fault:
        raise _located(fault, entry) from fault


def _located(fault: GatewayError, entry: Entry) -> GatewayError:
    issues = [i if i.expression.startswith("Bundle.") else Issue(i.severity, i.code, i.text, entry.path) for i in fault.issues]
    return type(fault)(fault.text, issues=issues)


def _posted(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    assert entry.resource is not None
    resource = {key: value for key, value in entry.resource.items() if key != "id"}
    if entry.if_none_exist:
        made = writes.create_if_none(tx, resource, entry.if_none_exist, id=entry.id if entry.new else None, inbox_id=options.inbox_id)
    else:
        made = writes.create(tx, resource, id=entry.id, inbox_id=options.inbox_id)
    return _wrote(made, options, written)


def _put(tx: Transaction, entry: Entry, options: Options, written: list[Stored]) -> Json:
    assert entry.resource is not None
    made = writes.update(tx, entry.resource, entry.id, entry.if_match, create_allowed=options.create or bool(entry.query), inbox_id=options.inbox_id)
    return _wrote(made, options, written)


def _wrote(made: Written, options: Options, written: list[Stored]) -> Json:
    stored = made.stored
    if made.changed:
        written.append(stored)
    return {
        "fullUrl": f"{options.base}/{stored.type}/{stored.id}",
        "response": {
            "status": "201 Created" if made.created else "200 OK",
            "location": f"{stored.type}/{stored.id}/_history/{stored.version}",
            "etag": f'W/"{stored.version}"',
            "lastModified": stored.resource["meta"]["lastUpdated"],
        },
    }


def _got(tx: Transaction, entry: Entry, options: Options) -> Json:
    if entry.id:
        stored = writes.read(tx, entry.type, entry.id)
        return {
            "fullUrl": f"{options.base}/{stored.type}/{stored.id}",
            "resource": stored.resource,
            "response": {"status": "200 OK", "etag": f'W/"{stored.version}"', "lastModified": stored.resource["meta"]["lastUpdated"]},
        }
    found = options.search(tx, entry.type, parse_qsl(entry.query, keep_blank_values=True))
    return {"resource": found, "response": {"status": "200 OK"}}


def failed(fault: GatewayError) -> Json:
    """A batch entry that failed, as its response."""
    return {"response": {"status": f"{fault.http}", "outcome": operation_outcome(fault.issues)}}
