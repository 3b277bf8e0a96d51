"""An opinion as FHIR Parameters (operation `$opinion`), turned into the flat form, with the place of every element so that faults are told in FHIRPath.

diagnosis (verdict, code, text) · pathology (verdict, text) · stage (verdict, code, text) · option* (text, code, preference) · trial* · mode ·
summary · patientSummary · author · signed · interim
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhir_gateway.cases.model import Json
from fhir_gateway.cases.opinion import Fault, OpinionError

# Parameter → element of the flat form, of those that repeat.
REPEATING: Final = {"option": "options", "trial": "trials"}
INTERIM: Final = "interim"
ROOT: Final = "Parameters.parameter"


def flat_form(parameters: Json) -> tuple[Json, bool, dict[str, str]]:
    """(flat form, interim?, FHIRPath by place in the flat form) of a legal Parameters resource. Raises OpinionError for an element given twice."""
    reader = _Reader()
    flat = reader.read(parameters.get("parameter") or (), ROOT, "")
    interim = flat.pop(INTERIM, False)
    if not isinstance(interim, bool):
        reader.faults.append(Fault(reader.places[INTERIM], "value", "must be true or false"))
    if reader.faults:
        raise OpinionError(reader.faults)
    return flat, interim, reader.places


def expression(where: str, places: dict[str, str]) -> str:
    """The FHIRPath of a place: its own, else that of what it should stand in."""
    here = where
    while here:
        if here in places:
            return places[here]
        here = here.rpartition(".")[0]
    return where if where.startswith(ROOT) else ROOT


class _Reader:
    """Walks parameters and their parts, noting where each element of the flat form came from."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.faults: list[Fault] = []

    def read(self, entries: Iterable[Json], at: str, within: str) -> Json:
        """Parameters, or the parts of one, as an object."""
        found: Json = {}
        for position, entry in enumerate(entries):
            path, name = f"{at}[{position}]", str(entry["name"])
            repeats = not within and name in REPEATING
            held = found.setdefault(REPEATING[name], []) if repeats else []
            where = f"{REPEATING[name]}[{len(held)}]" if repeats else f"{within}.{name}" if within else name
            if not repeats and name in found:
                self.faults.append(Fault(path, "structure", "is given twice"))
                continue
            value = self._value(entry, path, where)
            if repeats:
                held.append(value)
            else:
                found[name] = value
        return found

    def _value(self, entry: Json, path: str, where: str) -> Any:
        kind = next((key for key in entry if key.startswith("value")), None)
        self.places[where] = f"{path}.{kind}" if kind else path
        if kind is None:
            return self.read(entry.get("part") or (), f"{path}.part", where)
        if isinstance(entry[kind], dict):
            self.places |= {f"{where}.{name}": f"{path}.{kind}.{name}" for name in entry[kind]}
        return entry[kind]
