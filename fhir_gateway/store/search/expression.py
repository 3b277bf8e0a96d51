"""The part of FHIRPath that search parameters are made of, compiled to plain functions.

    union       path | path
    path        Type.step.step…
    step        name · name.ofType(T) (a choice: reads `nameT`) · where(resolve() is T) · where(name='text')

An expression outside this part is FHIRPath for a few parameters that need it (`Patient.deceased`), some fifty times slower; what is no FHIRPath either is
refused when it is loaded, not when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import fhirpathpy
from fhirpathpy.models import models

from fhir_gateway.store.search.references import target_type

Getter = Callable[[Any], list[Any]]
"""Resource JSON → the values found, in document order. Odd shapes give no values, never an error."""

_STEP: Final = re.compile(
    r"\.(?:where\(resolve\(\) is (?P<target>[A-Z]\w*)\)|where\((?P<name>\w+)\s*=\s*'(?P<text>[^']*)'\)|(?P<field>[a-z]\w*)(?:\.ofType\((?P<choice>\w+)\))?)"
)
_HEAD: Final = re.compile(r"[A-Z]\w*")
_HEADED: Final = re.compile(r"[A-Z]\w*\.")


class ExpressionError(ValueError):
    """The expression uses FHIRPath that is not compiled here."""


def compile_expression(expression: str) -> Getter:
    """A getter for the expression. Raises ExpressionError."""
    try:
        paths = [_path(part.strip()) for part in expression.split("|")]
    except ExpressionError:
        if "resolve(" in expression or not _HEADED.match(expression):  # the FHIRPath library does not know resolve(), and takes any word for a path
            raise
        return _fhirpath(expression)
    if len(paths) == 1:
        return paths[0]
    return lambda resource: [value for path in paths for value in path(resource)]


def union(expression: str) -> frozenset[str]:
    """The paths an expression is the union of."""
    return frozenset(part.strip() for part in expression.split("|"))


def beginnings(expression: str) -> frozenset[str]:
    """The elements of a resource its paths begin with, none where one begins otherwise: what has none of them has no value."""
    try:
        first = [next(iter(_matches(path)), None) for path in union(expression)]
    except ExpressionError:
        return frozenset()
    return (
        frozenset(_element(step) for step in first if step is not None) if all(step is not None and step["field"] for step in first) else frozenset()
    )


def _fhirpath(expression: str) -> Getter:
    try:
        evaluate = fhirpathpy.compile(expression, models["r4"])
    except Exception as fault:
        raise ExpressionError(f"{expression!r} is no FHIRPath") from fault

    def get(resource: Any) -> list[Any]:
        try:
            return list(evaluate(resource, {}))
        except Exception:  # noqa: BLE001 - an odd shape gives no values
            return []

    return get


def _matches(text: str) -> list[re.Match[str]]:
    """The steps of a path. Raises ExpressionError."""
    head = _HEAD.match(text)
    if head is None:
        raise ExpressionError(f"{text!r} does not begin with a type")
    found: list[re.Match[str]] = []
    at = head.end()
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise ExpressionError(f"{text!r} is not understood from {text[at:]!r}")
        found.append(step)
        at = step.end()
    return found


def _path(text: str) -> Getter:
    steps = [_step(step) for step in _matches(text)]

    def get(resource: Any) -> list[Any]:
        values = [resource]
        for take in steps:
            values = take(values)
            if not values:
                break
        return values

    return get


def _step(match: re.Match[str]) -> Callable[[list[Any]], list[Any]]:
    if match["target"] is not None:
        return _pointing_at(match["target"])
    if match["name"] is not None:
        return _having(match["name"], match["text"])
    return _field(_element(match))


def _element(step: re.Match[str]) -> str:
    """The name of a step's element; of a choice, with its type."""
    choice = step["choice"]
    return str(step["field"]) + (choice[0].upper() + choice[1:] if choice else "")


def _field(name: str) -> Callable[[list[Any]], list[Any]]:
    def take(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            child = value.get(name) if isinstance(value, dict) else None
            if isinstance(child, list):
                found.extend(child)
            elif child is not None:
                found.append(child)
        return found

    return take


def _having(name: str, text: str) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value for value in values if isinstance(value, dict) and value.get(name) == text]


def _pointing_at(type: str) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value for value in values if isinstance(value, dict) and target_type(value) == type]
