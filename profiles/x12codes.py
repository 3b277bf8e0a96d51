"""The X12 codes we ship, few and in our own words (`profiles/x12/`), and those a site adds from the lists it has a licence for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

ELEMENTS: Final = ("1336", "1365", "1390", "615", "889")
"""Insurance type, service type, eligibility or benefit information, time period qualifier, follow-up action."""


class Rejection(NamedTuple):
    """What an AAA03 code means. who: clinic, referrer, patient or payer. retry: minutes after which the same question may be asked again, None: not by itself."""

    code: str
    means: str
    who: str
    do: str
    retry: int | None


class Codes(NamedTuple):
    """words: data element → code → what it says. rejections: AAA03 → what to do."""

    words: Mapping[str, Mapping[str, str]]
    rejections: Mapping[str, Rejection]

    def display(self, element: str, code: str) -> str:
        """ "" for a code nobody loaded."""
        return self.words[element].get(code, "")


@lru_cache(maxsize=1)
def shipped() -> Codes:
    """The codes in `profiles/x12/`."""
    words = _file("codes.json")
    rows = _file("rejections.json")["rejections"]
    found = (Rejection(row["code"], row["means"], row["who"], row["do"], row.get("retryMinutes")) for row in rows)
    return Codes({element: words[element] for element in ELEMENTS}, {row.code: row for row in found})


def load(more: str | bytes = "") -> Codes:
    """The shipped codes and those of a JSON text `{"1365": {"A7": "Psychiatric, inpatient"}, …}`, which win. Raises ValueError saying what is wrong with it."""
    codes = shipped()
    added: Any = json.loads(more) if more else {}
    if not isinstance(added, dict):
        raise ValueError("the X12 codes must be one JSON object: data element → code → words")
    for element, rows in added.items():
        if element not in ELEMENTS or not isinstance(rows, dict) or not all(isinstance(text, str) and text for text in rows.values()):
            raise ValueError(f"X12 codes, '{element}': expected is one of {', '.join(ELEMENTS)}, holding code → words")
    return codes._replace(words={element: {**rows, **added.get(element, {})} for element, rows in codes.words.items()})


def _file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("profiles") / "x12" / name).read_text("utf-8"))
    return found
