"""Our own code systems: one CodeSystem per file in `profiles/codesystem/`."""

from __future__ import annotations

import json
from importlib.resources import files


def load() -> dict[str, frozenset[str]]:
    """Codes by file name without suffix (`case-state`, `item-reason` …)."""
    folder = files("profiles") / "codesystem"
    found = (file for file in folder.iterdir() if file.name.endswith(".json"))
    return {file.name.removesuffix(".json"): frozenset(c["code"] for c in json.loads(file.read_text("utf-8"))["concept"]) for file in found}
