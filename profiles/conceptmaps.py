"""Code translations: the FHIR ConceptMaps of `profiles/conceptmap/`, one per HL7 v2 table and purpose, as look-up tables.

To add a translation: one element in the ConceptMap. To add a table: a new file `v2-NNNN-purpose.json`; its name without `v2-` is the key.
The mappers get a `Tables` as an argument, so a store may override single codes per sender.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "conceptmap"


class Coding(NamedTuple):
    """A translated code. `display` is "" where the target needs none (codes of a required binding); `exact` is false when the translation says less
    or
    something else than the source code, which is then worth keeping beside it."""

    system: str
    code: str
    display: str = ""
    exact: bool = True


class Tables:
    """Translations by table key ("0001-administrative-gender") and source code."""

    __slots__ = ("_maps",)

    def __init__(self, maps: Mapping[str, Mapping[str, Coding]]) -> None:
        self._maps = {table: _folded(codes) for table, codes in maps.items()}

    def translate(self, table: str, code: str) -> Coding | None:
        """The translation of `code`, None when the table has none. Exact first, then without regard to case. Raises KeyError for an unknown table."""
        codes = self._maps[table]
        return codes.get(code) or codes.get(code.casefold())

    def overriding(self, table: str, codes: Mapping[str, Coding]) -> Tables:
        """The same tables with some codes of one table replaced or added."""
        changed = Tables({})
        changed._maps = {**self._maps, table: {**self._maps.get(table, {}), **_folded(codes)}}
        return changed

    def keys(self) -> frozenset[str]:
        """The table keys there are."""
        return frozenset(self._maps)


def _folded(codes: Mapping[str, Coding]) -> dict[str, Coding]:
    return {**{code.casefold(): target for code, target in codes.items()}, **codes}


@lru_cache(maxsize=1)
def load() -> Tables:
    """The shipped ConceptMaps. Raises ValueError naming the file when one is not what this module expects."""
    return Tables({path.stem.removeprefix("v2-"): _read(path) for path in sorted(FOLDER.glob("v2-*.json"))})


def exact() -> dict[str, set[str]]:
    """By source code, what the shipped ConceptMaps say is exactly the same in other words."""
    found: dict[str, set[str]] = {}
    for path in FOLDER.glob("v2-*.json"):
        for code, target in _read(path).items():
            if target.exact:
                found.setdefault(code, set()).add(target.code)
    return found


def _read(path: Path) -> dict[str, Coding]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document.get("resourceType") != "ConceptMap" or document.get("id") != path.stem:
        raise ValueError(f"{path.name}: not a ConceptMap whose id is the file's name")
    codes: dict[str, Coding] = {}
    for group in document["group"]:
        for element in group["element"]:
            target = element["target"][0]
            codes[element["code"]] = Coding(group["target"], target["code"], target.get("display", ""), target["equivalence"] == "equivalent")
    return codes
