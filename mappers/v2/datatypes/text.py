"""Plain values: ST, IS, ID as code or text, FT and TX, yes/no. And the two ways every datatype reads components."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mappers.v2.context import Context
from mappers.v2.message import SUB, Repetition
from mappers.v2.table import Datatype, takes

NULL: Final = '""'
_SPACES: Final = re.compile(r"\s+")


def part(repetition: Sequence[str], number: int) -> str:
    """Component `number` as plain text, "" when absent or an explicit null. Subcomponent separators in it are text somebody forgot to escape."""
    if number > len(repetition):
        return ""
    value = repetition[number - 1]
    return value if value.isalnum() or not value else _plain(value)


def parts(repetition: Repetition, count: int) -> list[str]:
    """The first `count` components, each as `part` reads it."""
    found = [value if value.isalnum() or not value else _plain(value) for value in repetition[:count]]
    missing = count - len(found)
    return found + [""] * missing if missing else found


def _plain(value: str) -> str:
    if SUB in value:
        value = value.replace(SUB, "&")
    value = value.strip()
    return "" if value == NULL else value


def subs(repetition: Repetition, number: int) -> Repetition:
    """The subcomponents of component `number`, as a repetition of their own; [] when absent."""
    if number > len(repetition) or not repetition[number - 1]:
        return []
    return repetition[number - 1].split(SUB)


@takes(1)
def st(repetition: Repetition, ctx: Context) -> str | None:
    """A short text."""
    return part(repetition, 1) or None


@takes()
def ft(repetition: Repetition, ctx: Context) -> str | None:
    """Formatted or free text. Separators in it were not escaped by the sender; they belong to the text."""
    d = ctx.message.delimiters
    text = d.component.join(repetition).replace(SUB, d.subcomponent).strip()
    return text if text and text != NULL else None


@takes(1)
def as_text(repetition: Repetition, ctx: Context) -> dict[str, str] | None:
    """A text as CodeableConcept."""
    value = part(repetition, 1)
    return {"text": value} if value else None


@takes(1)
def yes_no(repetition: Repetition, ctx: Context) -> bool | None:
    """Table 0136 as boolean; anything but Y or N is reported and kept."""
    value = part(repetition, 1)
    if not value:
        return None
    coding = ctx.translate("0136-boolean", value)
    if coding is None:
        ctx.find("103", "not Y or N (table 0136)", 1)
        return None
    return coding.code == "true"


def code(table: str, *, number: str) -> Datatype:
    """A code of a required binding, translated by a ConceptMap; an unknown one is reported with its table number and kept."""

    @takes(1)
    def translated(repetition: Repetition, ctx: Context) -> str | None:
        value = part(repetition, 1)
        if not value:
            return None
        coding = ctx.translate(table, value)
        if coding is None:
            ctx.find("103", f"code not in table {number}", 1)
            return None
        return coding.code

    return translated


def one_line(text: str) -> str:
    """Text usable as a FHIR code: no outer, no double spaces."""
    return text if text.isalnum() else _SPACES.sub(" ", text).strip()
