"""The required records per tumour group: one PlanDefinition per file in `profiles/plandefinition/`.

Each is a starter set to be adopted by the clinic. `base` holds for every cancer; the others derive from it and hold only what they add.
To add a required record, add one `action`; what each element means is told in `fhir_gateway/cases/checklist.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

Json = dict[str, Any]


@cache
def load() -> dict[str, Json]:
    """Every shipped plan by file name without suffix (`base`, `breast` …), in alphabetical order. Read once: not to be changed in place."""
    folder = files("profiles") / "plandefinition"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return {file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8")) for file in found}
