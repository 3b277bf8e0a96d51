"""`$validate`: what would be refused of a resource, without writing it. R4 resource-operation-validate.html."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from fhir_gateway.errors import GatewayError, InvalidError
from fhir_gateway.pipeline import writes
from fhir_gateway.pipeline.guards import guard_delete, guard_write
from fhir_gateway.pipeline.parameters import named, primitive
from fhir_gateway.settings import Settings
from fhir_gateway.store import Transaction
from fhir_gateway.validation import Issue, validate

Json = dict[str, Any]
Mode = Literal["", "create", "update", "delete"]
MODES: Final[tuple[Mode, ...]] = ("", "create", "update", "delete")
BASE_PROFILE: Final = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be judged: a resource of `type`, under the id of the address ("" at the address of a type), and what it is meant for."""

    type: str
    id: str
    resource: Json | None
    mode: Mode
    profiles: tuple[str, ...]


def question(type: str, id: str, given: Json | None, mode: str, profiles: Sequence[str]) -> Question:
    """The question in a request. given: the resource, or Parameters with it; mode, profiles: of the address. Raises InvalidError."""
    resource = given
    if given is not None and given.get("resourceType") == "Parameters" and (type != "Parameters" or named(given, "resource")):
        writes.checked({key: value for key, value in given.items() if key != "parameter"}, "Parameters")
        resource = next((part["resource"] for part in named(given, "resource") if isinstance(part.get("resource"), dict)), None)
        mode = primitive(given, "mode") or mode
        profiles = [
            *profiles,
            *(text for part in named(given, "profile") if isinstance(text := part.get("valueUri", part.get("valueCanonical")), str)),
        ]
    wanted = next((one for one in MODES if one == mode), None)
    if wanted is None:
        raise InvalidError(f"mode must be create, update or delete, not '{mode[:40]}'", "Parameters.parameter")
    if wanted in ("update", "delete") and not id:
        raise InvalidError(f"mode {wanted} is about one resource: ask at /{type}/[id]/$validate", "Parameters.parameter")
    if resource is None and not (id and wanted in ("", "delete")):
        raise InvalidError("There is no resource to validate: send it as the body, or as the parameter `resource`", "Parameters.parameter")
    return Question(type, id, resource, wanted, tuple(profiles))


def judged(tx: Transaction, asked: Question, settings: Settings) -> list[Issue]:
    """Every issue, [] when there is none. Nothing is written. Raises NotFoundError, GoneError for what is asked about and not there."""
    held = tx.resources.read(asked.type, asked.id) if asked.id else None
    if asked.mode == "delete" or asked.resource is None:
        held = writes.read(tx, asked.type, asked.id)
    if asked.mode == "delete" and held is not None:
        there = held.resource
        return _faults(lambda: guard_delete(tx, there))
    resource = asked.resource if asked.resource is not None else held.resource if held is not None else {}
    issues = _kind(asked, resource) or validate(resource)
    if not issues and asked.mode:
        before = held.resource if held is not None and not held.deleted and asked.mode == "update" else None
        issues = [*_faults(lambda: guard_write(tx, before, resource)), *_references(tx, asked, resource, settings), *_id(asked, resource)]
    return [*issues, *_profiles(asked)]


def _kind(asked: Question, resource: Json) -> list[Issue]:
    given = resource.get("resourceType")
    if isinstance(given, str) and given and given != asked.type:
        return [Issue("error", "invalid", f"A {given[:64]} was sent to the address of {asked.type}", "resourceType"), *validate(resource)]
    return []


def _references(tx: Transaction, asked: Question, resource: Json, settings: Settings) -> list[Issue]:
    if not settings.strict_references:
        return []
    return _faults(lambda: writes.check_references(tx, [(asked.type, resource)], {f"{asked.type}/{asked.id}"} if asked.id else set()))


def _id(asked: Question, resource: Json) -> list[Issue]:
    if asked.mode == "update" and resource.get("id") != asked.id:
        return [Issue("error", "invalid", "The id of the resource must be the id of the address", f"{asked.type}.id")]
    return []


def _profiles(asked: Question) -> list[Issue]:
    """The base definition is what everything is checked against; others are accepted and kept, and can't be checked here."""
    issues = []
    for profile in asked.profiles:
        url = profile.partition("|")[0]
        if url in (f"{BASE_PROFILE}{name}" for name in (asked.type, "Resource", "DomainResource")):
            continue
        if url.startswith(BASE_PROFILE) and url.removeprefix(BASE_PROFILE)[:1].isupper():
            issues.append(Issue("error", "invalid", f"The profile is of another type than {asked.type}", asked.type))
        else:
            text = f"The profile {profile[:200]} is not held here: the resource was checked against the base definition alone"
            issues.append(Issue("information", "not-supported", text, asked.type))
    return issues


def _faults(check: Callable[[], None]) -> list[Issue]:
    try:
        check()
    except GatewayError as fault:
        return list(fault.issues)
    return []
