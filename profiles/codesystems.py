"""Our own code systems: one CodeSystem per file in `profiles/codesystem/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any


def load() -> dict[str, frozenset[str]]:
    """Codes by file name without suffix (`case-state`, `item-reason` …)."""
    return {name: frozenset(c["code"] for c in system["concept"]) for name, system in _systems()}


@lru_cache(maxsize=1)
def answer_types() -> dict[str, str]:
    """How our own questions are answered, where the code system says so: question → item type of Questionnaire."""
    (questions,) = (system for name, system in _systems() if name == "question")
    return {c["code"]: p["valueCode"] for c in questions["concept"] for p in c.get("property", ()) if p["code"] == "answer-type"}


def _systems() -> Iterator[tuple[str, dict[str, Any]]]:
    folder = files("profiles") / "codesystem"
    for file in folder.iterdir():
        if file.name.endswith(".json"):
            yield file.name.removesuffix(".json"), json.loads(file.read_text("utf-8"))
