"""Reading a Parameters resource (R4 parameters.html)."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def named(parameters: Json, name: str) -> list[Json]:
    """The parameters of that name, in order; of what is no Parameters resource none."""
    given = parameters.get("parameter")
    return [one for one in given if isinstance(one, dict) and one.get("name") == name] if isinstance(given, list) else []


def primitive(parameters: Json, name: str) -> str | None:
    """The value of the first of that name, as text as JSON has it; None when it is not there."""
    for one in named(parameters, name):
        for key, value in one.items():
            if key.startswith("value") and not isinstance(value, (dict, list)):
                return str(value).lower() if isinstance(value, bool) else str(value)
    return None
