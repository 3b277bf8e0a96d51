"""The pages about the HL7 v2 mapping: every segment and field with its element, every code table, and what was decided where mappers disagree."""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from mappers.v2 import dictionary
from mappers.v2 import segments as package
from mappers.v2.disagreements import DISAGREEMENTS
from mappers.v2.table import SegmentMap
from profiles.conceptmaps import FOLDER
from tests.docs.tables import NOTE, section, table

VERSION = dictionary.VERSIONS[-1]
_ROW = re.compile(r"""(?:field|keep)\(\s*"([A-Z0-9]{3}-\d+)",\s*(?:"([^"]*)")?[^#\n]*#\s*(.*)$""", re.MULTILINE)


def segments() -> str:
    """One section per segment, in alphabetical order; a field no table names is kept like any other value without an element."""
    maps: dict[str, list[tuple[ModuleType, SegmentMap]]] = {}
    for module in _modules():
        for found in vars(module).values():
            if isinstance(found, SegmentMap) and all(found is not known for _, known in maps.get(found.name, ())):
                maps.setdefault(found.name, []).append((module, found))
    intro = (
        "What becomes of every field. *kept* is an extension `v2-field` on the resource made of the segment, under the field's own name, never lost. "
        "Segments that are not here are kept whole on the message's Provenance. Sources: rows of the HL7 v2-to-FHIR guide, as the tables cite them.\n"
    )
    parts = [f"# Segments and fields\n{NOTE}\n{intro}"]
    for name in sorted(maps):
        told = " ".join(dict.fromkeys((module.__doc__ or "").strip().split("\n")[0] for module, _ in maps[name]))
        parts.append(section(name, told, ("field", "name", "becomes", "source or reason"), _fields(name, maps[name])))
    return "\n".join(parts)


def _modules() -> list[ModuleType]:
    return [import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)]


def _fields(name: str, maps: list[tuple[ModuleType, SegmentMap]]) -> Iterator[tuple[object, ...]]:
    rows: dict[int, list[tuple[str, str]]] = {}
    for module, found in maps:
        cited = {(place, path): why for place, path, why in _ROW.findall(inspect.getsource(module))}
        for owner in found.targets:
            for row in owner.rows:
                place = f"{name}-{row.number}"
                path = row.path if isinstance(row.path, str) else ""
                why = row.why or cited.get((place, path), cited.get((place, ""), ""))
                told = (f"`{owner.resource_type}.{row.shown}`", why)
                if told not in rows.setdefault(row.number, []):
                    rows[row.number].append(told)
        for row in found.rows:
            rows.setdefault(row.number, []).append((row.fate, row.why))
    for number in sorted({*rows, *_defined(name)}):
        known = dictionary.field(VERSION, name, number)
        told_of = rows.get(number) or [("kept", "")]
        becomes = "<br>".join(what for what, _ in told_of)
        yield f"{name}-{number}", known.name if known else "", becomes, "; ".join(dict.fromkeys(why for _, why in told_of if why))


def _defined(name: str) -> set[int]:
    """Every field any version of the standard gives the segment."""
    found = (dictionary.definition(version, name) for version in dictionary.VERSIONS)
    return {number for one in found if one is not None for number in one.fields}


def code_tables() -> str:
    """One section per ConceptMap."""
    intro = "HL7 v2 codes and what they are in FHIR. A clinic's own ConceptMaps stand over these, for all senders or for some (ADR 0025).\n"
    parts = [f"# Code tables\n{NOTE}\n{intro}"]
    for path in sorted(FOLDER.glob("v2-*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        said = f"{document['title']}. {document.get('description', '')}"
        parts.append(section(path.stem.removeprefix("v2-"), said, ("code", "becomes", "of", "how close", "why"), _codes(document)))
    return "\n".join(parts)


def _codes(document: dict) -> Iterator[tuple[object, ...]]:
    for group in document["group"]:
        for element in group["element"]:
            target = element["target"][0]
            yield f"`{element['code']}`", f"`{target['code']}`", group["target"], target["equivalence"], target.get("comment", "")


def disagreements() -> str:
    """The table of decisions."""
    intro = "Where the guide and the mappers in use differ, what is done here and why. A test sends each value and looks at what comes out."
    rows = ((f"{d.field} `{d.value}`", d.others, f"`{d.element}`", f"**{d.ours}**", d.why) for d in DISAGREEMENTS)
    return table("Where mappers disagree", intro, ("sent", "others make of it", "element", "here", "why"), rows)
