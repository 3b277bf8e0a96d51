"""Value sets the gateway's rules and validation use: one ValueSet per file in `profiles/valueset/`, its codes enumerated."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

Code = tuple[str, str]


def load() -> dict[str, frozenset[Code]]:
    """(system, code) pairs by file name without suffix (`referral`, `second-opinion` …)."""
    folder = files("profiles") / "valueset"
    found = (file for file in folder.iterdir() if file.name.endswith(".json"))
    return {file.name.removesuffix(".json"): _codes(json.loads(file.read_text(encoding="utf-8"))) for file in found}


def _codes(value_set: dict[str, Any]) -> frozenset[Code]:
    return frozenset((include["system"], concept["code"]) for include in value_set["compose"]["include"] for concept in include["concept"])
