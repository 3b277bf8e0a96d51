"""The entries of a FHIR transaction or batch, taken apart and checked one by one before anything is done. R4 http.html#transaction."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fhir_gateway.errors import GatewayError, InvalidError, TooLargeError, UnsupportedError
from fhir_gateway.pipeline.patches import KINDS
from fhir_gateway.pipeline.preconditions import Expected
from fhir_gateway.validation import Issue, shapes
from fhir_gateway.validation.primitives import TEXT
from fhir_gateway.wording import moment_of

Json = dict[str, Any]
ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
"""http.html#trules: the order in which a transaction is worked on."""
NAMED: Final = ("PUT", "PATCH", "DELETE")
"""Methods that name one resource, by id or by condition."""


class Address(NamedTuple):
    """request.url taken apart; type and id are "" where it has none. version: the one a GET asks for. part: `_history`, or the type that a GET
    searches in the compartment of the Patient named.
    """

    type: str
    id: str
    query: str
    version: int | None = None
    part: str = ""


class Patch(NamedTuple):
    """A patch in a Binary (http.html#patch): its bytes, and its kind, one of `patches.KINDS`."""

    body: bytes
    kind: str


@dataclass(slots=True)
class Entry:
    """One entry of a transaction or batch.

    path: its FHIRPath. id: "" where it is still to be found. new: a resource that the transaction makes under an id of the server's choice.
    late: its identity keys are free only when another entry has been deleted. expected: ifMatch and ifNoneMatch. since: ifModifiedSince of a GET.
    version, part: as of an Address. patch: what a PATCH brings.
    """

    path: str
    method: str
    type: str
    id: str
    query: str
    full_url: str
    resource: Json | None
    if_none_exist: str | None
    expected: Expected | None
    since: datetime | None = None
    version: int | None = None
    part: str = ""
    new: bool = False
    late: bool = False
    patch: Patch | None = None


def entries_of(bundle: Json, limit: int, base: str) -> list[Entry]:
    """Take the entries apart. Raises InvalidError with every entry that is no request, TooLargeError when there are too many."""
    given = bundle.get("entry") or []
    check_number(len(given), limit)
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


def check_number(entries: int, limit: int) -> None:
    """Raises TooLargeError for a Bundle of more than `limit` entries."""
    if entries > limit:
        raise TooLargeError(f"The Bundle has {entries} entries; {limit} is the limit", "Bundle.entry")


def entry_of(entry: Json, path: str, base: str) -> Entry:
    """One entry taken apart. Raises InvalidError, UnsupportedError or PreconditionError, located."""
    request = entry.get("request") or {}
    method = request.get("method", "")
    if method not in ORDER:
        raise UnsupportedError(f"{method or 'An entry without a method'} is not done in a Bundle here", f"{path}.request.method")
    address = _address(request.get("url", ""), method, f"{path}.request.url", base)
    type, identity, query = address.type, address.id, address.query
    resource = entry.get("resource")
    if method in ("POST", "PUT"):
        _fits(resource, type, identity if method == "PUT" else "", path)
    if method in NAMED and not identity and not query:
        raise InvalidError(f"{method} needs an id or a condition", f"{path}.request.url")
    if method == "POST" and (identity or query):
        raise UnsupportedError("POST takes a type alone: an id needs PUT, a condition ifNoneExist", f"{path}.request.url")
    if method in NAMED and identity and query:
        raise UnsupportedError(f"{method} takes an id or a condition, not both", f"{path}.request.url")
    return Entry(
        path,
        method,
        type,
        identity,
        query,
        entry.get("fullUrl", ""),
        resource if method in ("POST", "PUT") else None,
        request.get("ifNoneExist") if method == "POST" else None,
        Expected.of(request.get("ifMatch"), request.get("ifNoneMatch"), f"{path}.request.ifMatch"),
        _since(request.get("ifModifiedSince"), f"{path}.request.ifModifiedSince"),
        address.version,
        address.part,
        patch=_patch(resource, f"{path}.resource") if method == "PATCH" else None,
    )


def _address(url: str, method: str, path: str, base: str) -> Address:
    if base and url.startswith(f"{base}/"):
        url = url[len(base) + 1 :]
    address, _, query = url.lstrip("/").partition("?")
    type, *rest = address.split("/")
    found = _read_from(type, rest, query) if method in ("GET", "HEAD") else None
    if found is None and not shapes.known(type):
        raise UnsupportedError(f"'{type[:64]}' is not a resource type of FHIR R4 known here", path)
    if found is None and len(rest) > 1:
        raise UnsupportedError("request.url must be Type, Type/id or Type?condition", path)
    found = found or Address(type, rest[0] if rest else "", query)
    if found.id and not TEXT["id"].fullmatch(found.id):
        raise InvalidError("The id in request.url is not a legal id", path)
    return found


def _read_from(type: str, rest: list[str], query: str) -> Address | None:
    """Where else a GET may be addressed to: a version, a history (of everything too), a Patient's compartment. R4 http.html#transaction: any of them."""
    if not shapes.known(type):
        return Address("", "", query, part="_history") if (type, rest) == ("_history", []) else None
    match rest:
        case ["_history"]:
            return Address(type, "", query, part="_history")
        case [id, "_history"]:
            return Address(type, id, query, part="_history")
        case [id, "_history", version] if version.isdecimal() and len(version) < 10:
            return Address(type, id, query, int(version))
        case [id, other] if type == "Patient" and shapes.known(other):
            return Address(type, id, query, part=other)
    return None


def _since(instant: str | None, path: str) -> datetime | None:
    return None if instant is None else moment_of(instant, ZoneInfo("UTC"), path)


def _fits(resource: Any, type: str, identity: str, path: str) -> None:
    """A write brings a resource of the type, and under the id, that it is addressed to."""
    if not isinstance(resource, dict):
        raise InvalidError("POST and PUT need a resource", f"{path}.resource")
    if resource.get("resourceType") != type:
        raise InvalidError(f"The resource is no {type}", f"{path}.resource.resourceType")
    if identity and resource.get("id", identity) != identity:
        raise InvalidError("The id of the resource and of request.url differ", f"{path}.resource.id")


def _patch(resource: Any, path: str) -> Patch:
    """A JSON Patch or Merge Patch travels in a Binary."""
    kind = str(resource.get("contentType", "")).partition(";")[0].strip().lower() if isinstance(resource, dict) else ""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Binary" or kind not in KINDS:
        raise InvalidError(f"PATCH needs a Binary whose contentType is one of {', '.join(KINDS)}", path)
    try:
        return Patch(base64.b64decode(str(resource.get("data", "")), validate=True), kind)
    except ValueError:
        raise InvalidError("The data of the Binary is not base64", f"{path}.data") from None
