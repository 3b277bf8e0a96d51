"""Tumour group → service line and kinds of reviewer: the ConceptMap `profiles/conceptmap/tumour-group-routing.json` as a table."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from profiles.canonical import canonical


class Line(NamedTuple):
    """A service line. reviewers: Codings of the specialties that review its cases, the usual lead first; () where any will do."""

    code: str
    reviewers: tuple[dict[str, str], ...] = ()


@lru_cache(maxsize=1)
def load() -> dict[str, Line]:
    """By tumour group, which is the name of a checklist."""
    lines = canonical("CodeSystem", "service-line")
    document: dict[str, Any] = json.loads((files("profiles") / "conceptmap" / "tumour-group-routing.json").read_text("utf-8"))
    codes: dict[str, str] = {}
    reviewers: dict[str, list[dict[str, str]]] = {}
    for group in document["group"]:
        for element in group["element"]:
            if group["target"] == lines:
                (target,) = element["target"]
                codes[element["code"]] = target["code"]
            else:
                kinds = [{"system": group["target"], "code": target["code"], "display": target["display"]} for target in element["target"]]
                reviewers.setdefault(element["code"], []).extend(kinds)
    return {group: Line(code, tuple(reviewers.get(group, ()))) for group, code in codes.items()}
