"""Single writes over FHIR (create, update, delete) with their conditions; a Bundle is many of these in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_gateway.errors import GoneError, InvalidError, NotFoundError, UnreadableError
from fhir_gateway.pipeline import conditions
from fhir_gateway.pipeline.guards import guard_delete, guard_write
from fhir_gateway.pipeline.identity import identifiers, keys_of
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.pipeline.references import references
from fhir_gateway.pipeline.results import Written
from fhir_gateway.store import Stored, Transaction
from fhir_gateway.store.errors import IdTakenError, RaceLostError, VersionConflictError
from fhir_gateway.store.ids import new_id
from fhir_gateway.validation import InvalidResourceError, Issue, decode, shapes, spelled, validate
from mappers.result import Json


def given_object(raw: bytes) -> Json:
    """A request's body as one JSON object. Raises UnreadableError with the place of the fault."""
    try:
        return decode(raw)
    except InvalidResourceError as fault:
        raise UnreadableError(fault.issues[0].text, issues=fault.issues) from None


def checked(resource: Json, type: str, at: str = "") -> Json:
    """The resource when it is legal and of this type. Raises InvalidError with every fault."""
    given = resource.get("resourceType")
    if isinstance(given, str) and given != type and shapes.known(given):
        raise InvalidError(f"A {given} can't be written at the address of {type}", f"{at}.resourceType" if at else "resourceType")
    issues = validate(resource, at)
    if issues:
        raise InvalidError(issues[0].text, issues=issues)
    return resource


def create(
    tx: Transaction, resource: Json, *, id: str | None = None, inbox_id: str | None = None, keyed: bool = False, fresh: bool = False
) -> Written:
    """Always a new resource. It claims the identity keys nobody holds.

    keyed: the caller has claimed them under `id`. fresh: `id` was made for this resource.
    """
    guard_write(tx, None, resource)
    stored = tx.resources.create(resource, id=id, fresh=fresh, inbox_id=inbox_id)
    if not keyed:
        tx.keys.claim(keys_of(resource), stored.type, stored.id, strict=False)
    return Written(stored, created=True)


def create_if_none(tx: Transaction, resource: Json, condition: str, *, inbox_id: str | None = None) -> Written:
    """Conditional create: the one match as it is, or a new resource. Two at once never both create (identity keys, or a named lock)."""
    type = str(resource["resourceType"])
    asked = conditions.read(type, condition)
    conditions.hold(tx, [asked])
    names = asked.keys(resource)
    holder = next(iter(tx.keys.find(names)), None)
    found = conditions.match(tx, asked) or (tx.resources.read(type, holder.id) if holder else None)
    if found is not None and not found.deleted:
        return Written(found, created=False, changed=False)
    identity = new_id()
    tx.keys.claim(names, type, identity, strict=True)
    return create(tx, resource, id=identity, inbox_id=inbox_id, fresh=True)


def update(
    tx: Transaction, resource: Json, id: str, expected: Expected | None, *, create_allowed: bool, inbox_id: str | None = None, keyed: bool = False
) -> Written:
    """A new version, or the first one under this id. The same content again makes no new version.

    keyed: the caller has claimed the keys nobody held. Without `expected` the last writer stands: losing a race is tried again, not reported.
    """
    type = str(resource["resourceType"])
    tx.resources.hold(type, id)
    held = tx.resources.read(type, id)
    if expected is not None:
        expected.check(held, f"{type}/{id}")
    if held is None:
        if not create_allowed:
            raise NotFoundError(f"There is no {type}/{id}, and creating by PUT is switched off")
        try:
            return create(tx, {**resource, "id": id}, id=id, inbox_id=inbox_id, keyed=keyed)
        except IdTakenError as fault:
            raise RaceLostError("another transaction created the resource after it was looked for") from fault
    if not held.deleted and _same(held.resource, resource):
        return Written(held, created=False, changed=False)
    guard_write(tx, None if held.deleted else held.resource, resource)
    try:
        stored = tx.resources.update({**resource, "id": id}, inbox_id=inbox_id, clock=held.clock, expected_version=held.version)
    except VersionConflictError as fault:
        if expected is None:
            raise RaceLostError("another transaction changed the resource between reading and writing it") from fault
        raise
    _rename(tx, held, resource)
    if not keyed:
        tx.keys.claim(keys_of(resource), type, id, strict=False)
    return Written(stored, created=held.deleted)


def _rename(tx: Transaction, held: Stored, resource: Json) -> None:
    """Free the keys of identifiers that an update takes away: a number corrected here names somebody else, whose next message must not land on this one.

    An identifier kept as `old` still names this resource.
    """
    still = {f"{i.get('system')}|{i.get('value')}" for i in identifiers(resource)}
    gone = {key for key in (() if held.deleted else keys_of(held.resource)) if key.value not in still}
    if gone:
        kept = [key for key in tx.keys.of(held.type, held.id) if key not in gone]
        tx.keys.release(held.type, held.id)
        tx.keys.claim(kept, held.type, held.id, strict=True)


def delete(tx: Transaction, type: str, id: str, expected: Expected | None = None) -> Stored | None:
    """Mark deleted and free its identity keys. Nothing happens when there is nothing."""
    held = tx.resources.read(type, id)
    if held is None or held.deleted:
        return None
    if expected is not None:
        expected.check(held, f"{type}/{id}")
    guard_delete(tx, held.resource)
    gone = tx.resources.delete(type, id)
    tx.keys.release(type, id)
    return gone


def vread(tx: Transaction, type: str, id: str, version: int) -> Stored:
    """One version. Raises NotFoundError, or GoneError for the version that says it was deleted."""
    stored = tx.resources.vread(type, id, version)
    if stored is None:
        raise NotFoundError(f"There is no version {version} of {type}/{id[:64]}")
    if stored.deleted:
        raise GoneError(f"{type}/{id} was deleted in version {version}")
    return stored


def read(tx: Transaction, type: str, id: str) -> Stored:
    """The current version. Raises NotFoundError, or GoneError for a deleted one."""
    stored = tx.resources.read(type, id)
    if stored is None:
        raise NotFoundError(f"There is no {type}/{id[:64]}")
    if stored.deleted:
        raise GoneError(f"{type}/{id} was deleted")
    return stored


def check_references(tx: Transaction, resources: Iterable[tuple[str, Json]], coming: set[str]) -> None:
    """Refuse local references to what does not exist. resources: (FHIRPath, resource); coming: references written by the same request."""
    wanted: dict[str, list[str]] = {}
    issues: list[Issue] = []
    for at, resource in resources:
        for path, text in references(resource, at):
            if "?" in text and shapes.known(text.partition("?")[0]):
                issues.append(Issue("error", "not-supported", "A reference by a condition is looked up in a transaction only", path))
            local = text.partition("/_history/")[0]
            type, _, identity = local.partition("/")
            if identity and "/" not in identity and "?" not in local and shapes.known(type) and local not in coming:
                wanted.setdefault(local, []).append(path)
    held = tx.resources.read_many(sorted(wanted)) if wanted else {}
    missing = [text for text in wanted if text not in held or held[text].deleted]
    missing = [text for text in missing if not (text.startswith("Binary/") and tx.inbox.get(text[7:]))]
    issues += [Issue("error", "not-found", f"{text} does not exist here", path) for text in missing for path in wanted[text]]
    if issues:
        raise InvalidError("A reference names a resource that does not exist", issues=issues)


def _same(held: Json, given: Json) -> bool:
    """Is the content equal, digit for digit, but for id and what the server sets in meta?"""
    one, other = _content(held), _content(given)
    return one == other and spelled(one) == spelled(other)


def _content(resource: Json) -> Json:
    content: dict[str, Any] = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    meta = {key: value for key, value in (resource.get("meta") or {}).items() if key not in ("versionId", "lastUpdated")}
    return {**content, "meta": meta} if meta else content
