"""PATCH: a JSON Patch (RFC 6902) or a JSON Merge Patch (RFC 7396) on a resource. Pure. R4 http.html#patch.

A narrative that was made from the data is taken out when the data is patched and the narrative is not: it would go on saying what was. One that says more
than the data (`additional`) can't be made anew by anybody but its author, so a patch has to say what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jsonpatch
from jsonpointer import JsonPointerException

from fhir_gateway.errors import ConflictError, InvalidError, UnreadableError
from fhir_gateway.pipeline.writes import given_object
from fhir_gateway.validation import InvalidResourceError, decode_any

Json = dict[str, Any]
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
MOST_OPERATIONS: Final = 1000
_FIXED: Final = ("resourceType", "id")
_MADE: Final = ("generated", "extensions", "empty")


def patched(resource: Json, patch: bytes, kind: str) -> Json:
    """The resource after a patch of one of KINDS; what was given stays as it is.

    Raises UnreadableError for a patch that is none, ConflictError for a `test` that fails, InvalidError for one that can't be done here.
    """
    made = KINDS[kind](resource, patch)
    if not isinstance(made, dict) or any(made.get(name) != resource.get(name) for name in _FIXED):
        raise InvalidError("A patch can't change resourceType or id, nor take the whole resource away", "resourceType")
    told = made.get("text")
    if told is not None and told == resource.get("text") and _without(made) != _without(resource):
        if not isinstance(told, dict) or told.get("status") not in _MADE:
            raise InvalidError("The narrative says more than the data does: the patch must also say what becomes of `text`", "text")
        return _without(made)
    return made


def _without(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "text"}


def _json_patch(resource: Json, patch: bytes) -> Any:
    given = _read(patch)
    if not isinstance(given, list):
        raise UnreadableError("A JSON Patch is an array of operations (RFC 6902)")
    if len(given) > MOST_OPERATIONS:
        raise UnreadableError(f"A JSON Patch of {len(given)} operations; {MOST_OPERATIONS} is the limit")
    for at, operation in enumerate(given):
        if not isinstance(operation, dict) or not isinstance(operation.get("op"), str) or not isinstance(operation.get("path"), str):
            raise UnreadableError(f"Operation {at} of the JSON Patch has no `op` and `path`")
    try:
        return jsonpatch.JsonPatch(given).apply(resource)
    except jsonpatch.JsonPatchTestFailed:
        raise ConflictError("A `test` of the patch fails: the resource is not what the patch was made for") from None
    except jsonpatch.InvalidJsonPatch as fault:
        raise UnreadableError(f"This is no JSON Patch: {_shortly(fault)}") from None
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, KeyError, IndexError) as fault:
        raise InvalidError(f"The patch can't be done on this resource: {_shortly(fault)}") from None


def _read(patch: bytes) -> Any:
    try:
        return decode_any(patch)
    except InvalidResourceError as fault:
        raise UnreadableError(fault.issues[0].text, issues=fault.issues) from None


def _shortly(fault: Exception) -> str:
    """The library's words name paths and operations; a value quoted in them is cut off."""
    return str(fault).partition("{")[0].strip(" :'\"")[:120] or type(fault).__name__


def _either(resource: Json, patch: bytes) -> Any:
    """application/json says nothing of which of the two it is: operations are an array, and an object is merged."""
    return (_json_patch if isinstance(_read(patch), list) else _merge_patch)(resource, patch)


def _merge_patch(resource: Json, patch: bytes) -> Any:
    return _merged(resource, given_object(patch))


def _merged(held: Any, patch: Any) -> Any:
    """RFC 7396, section 2: null takes away, an object goes into an object, anything else stands instead."""
    if not isinstance(patch, dict):
        return patch
    made = dict(held) if isinstance(held, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merged(made.get(name), value)
    return made


KINDS: Final[dict[str, Callable[[Json, bytes], Any]]] = {JSON_PATCH: _json_patch, MERGE_PATCH: _merge_patch, "application/json": _either}
