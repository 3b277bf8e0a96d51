"""Code translations: the FHIR ConceptMaps of `profiles/conceptmap/`, one per HL7 v2 table and purpose, as look-up tables.

To add a translation: one element in the ConceptMap. To add a table: a new file `v2-NNNN-purpose.json`; its name without `v2-` is the key.
The mappers get a `Tables` as an argument, so a store may override single codes per sender (ADR 0025).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "conceptmap"
_EXACT: Final = ("equivalent", "equal")


class Coding(NamedTuple):
    """A translated code. `display` is "" where the target needs none (codes of a required binding); `exact` is false when the translation says less
    or
    something else than the source code, which is then worth keeping beside it."""

    system: str
    code: str
    display: str = ""
    exact: bool = True


class Override(NamedTuple):
    """What a clinic's ConceptMap says beyond the shipped ones. tables: by table key, codes replaced or added. systems: by the URI of a code system
    (a sender's own), codes of another system that say the same. settled: (table key or system, code) of codes that have no translation and need none.
    """

    tables: Mapping[str, Mapping[str, Coding]]
    systems: Mapping[str, Mapping[str, Coding]]
    settled: frozenset[tuple[str, str]]


class Tables:
    """Translations by table key ("0001-administrative-gender") and source code, and of the codes of senders' own code systems.

    edition: names what overrides the shipped tables, "" for nothing: two Tables of one program and one edition translate alike.
    """

    __slots__ = ("_maps", "_settled", "_systems", "edition")

    def __init__(self, maps: Mapping[str, Mapping[str, Coding]]) -> None:
        self._maps = {table: _folded(codes) for table, codes in maps.items()}
        self._systems: dict[str, dict[str, Coding]] = {}
        self._settled: frozenset[tuple[str, str]] = frozenset()
        self.edition = ""

    def translate(self, table: str, code: str) -> Coding | None:
        """The translation of `code`, None when the table has none. Exact first, then without regard to case. Raises KeyError for an unknown table."""
        codes = self._maps[table]
        return codes.get(code) or codes.get(code.casefold())

    def standard(self, system: str, code: str) -> Coding | None:
        """What a code of a sender's own code system is in another one, None when nobody has said so. Codes compare exactly."""
        codes = self._systems.get(system)
        return None if codes is None else codes.get(code)

    def settled(self, name: str, code: str) -> bool:
        """Has it been said that a code of this table or system has no translation?"""
        return (name, code) in self._settled

    def overriding(self, table: str, codes: Mapping[str, Coding]) -> Tables:
        """The same tables with some codes of one table replaced or added."""
        return self.overridden([Override({table: codes}, {}, frozenset())], self.edition)

    def overridden(self, overrides: Sequence[Override], edition: str) -> Tables:
        """The same tables with these over them, the later over the earlier."""
        changed = Tables({})
        changed._maps, changed._systems, changed._settled, changed.edition = dict(self._maps), dict(self._systems), self._settled, edition
        for override in overrides:
            for table, codes in override.tables.items():
                changed._maps[table] = {**changed._maps.get(table, {}), **_folded(codes)}
            for system, codes in override.systems.items():
                changed._systems[system] = {**changed._systems.get(system, {}), **codes}
            changed._settled |= override.settled
        return changed

    def __contains__(self, table: str) -> bool:
        return table in self._maps

    def keys(self) -> frozenset[str]:
        """The table keys there are."""
        return frozenset(self._maps)

    def codes(self, table: str) -> dict[str, Coding]:
        """Every code of a table as it is looked up."""
        return dict(self._maps[table])


def _folded(codes: Mapping[str, Coding]) -> dict[str, Coding]:
    return {**{code.casefold(): target for code, target in codes.items()}, **codes}


@lru_cache(maxsize=1)
def load() -> Tables:
    """The shipped ConceptMaps. Raises ValueError naming the file when one is not what this module expects."""
    return Tables({path.stem.removeprefix("v2-"): _read(path) for path in sorted(FOLDER.glob("v2-*.json"))})


@lru_cache(maxsize=1)
def translating() -> dict[tuple[str, str], str]:
    """(source, target) code systems → key of the shipped table that translates the one into the other; no two tables share a pair."""
    documents = ((path.stem.removeprefix("v2-"), _document(path)) for path in sorted(FOLDER.glob("v2-*.json")))
    return {(group["source"], group["target"]): key for key, document in documents for group in document["group"]}


def elements(group: Mapping[str, Any]) -> Iterator[tuple[str, Coding | None]]:
    """(source code, its translation) of a group of any ConceptMap; None for a code said to have none (equivalence `unmatched`)."""
    for element in group.get("element", ()):
        target = next(iter(element.get("target", ())), None)
        if target is None or "code" not in target:
            yield element.get("code", ""), None
        else:
            yield element.get("code", ""), Coding(group["target"], target["code"], target.get("display", ""), target["equivalence"] in _EXACT)


def clinic_id(name: str, table: str, sender: str) -> str:
    """The id of the ConceptMap in which a clinic says what the codes of a table or system mean from one sender, or from all ("")."""
    told = sha256(f"{table}\t{sender}".encode()).hexdigest()[:16]
    return f"clinic-{name[:24]}-{told}"


def exact() -> dict[str, set[str]]:
    """By source code, what the shipped ConceptMaps say is exactly the same in other words."""
    found: dict[str, set[str]] = {}
    for path in FOLDER.glob("v2-*.json"):
        for code, target in _read(path).items():
            if target.exact:
                found.setdefault(code, set()).add(target.code)
    return found


def _read(path: Path) -> dict[str, Coding]:
    return {code: coding for group in _document(path)["group"] for code, coding in elements(group) if coding is not None}


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document.get("resourceType") != "ConceptMap" or document.get("id") != path.stem:
        raise ValueError(f"{path.name}: not a ConceptMap whose id is the file's name")
    return document
