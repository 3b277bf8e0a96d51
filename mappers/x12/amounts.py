"""EB that tells a cost or a limit → insurance.item.benefit: co-payment, co-insurance, deductible, out-of-pocket limit, visits; what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from mappers.result import Json
from mappers.x12.kept import of_benefit, verbatim
from mappers.x12.loops import Loop
from mappers.x12.place import Finding
from mappers.x12.segment import Segment
from mappers.x12.values import coding, extension, money, number
from profiles.eligibility import (
    BENEFIT_NOTE,
    BENEFIT_PERIOD,
    BENEFIT_TYPES,
    BENEFIT_UNIT,
    OUT_OF_POCKET,
    OWN_BENEFITS,
    PERIODS,
    REMAINING,
    UNIT,
)
from profiles.x12codes import Codes

TYPES: Final = {
    "A": (BENEFIT_TYPES, "copay-percent"),
    "B": (BENEFIT_TYPES, "copay"),
    "C": (BENEFIT_TYPES, "deductible"),
    "F": (BENEFIT_TYPES, "benefit"),
    "G": (OWN_BENEFITS, OUT_OF_POCKET),
}
"""EB01 → benefit type."""
LEFT: Final = {"29": "", "33": "32"}
"""EB06 that says what remains → the period it is of, "" when the payer does not say."""
UNITS: Final = {"IND": "individual", "FAM": "family"}
_UNIT_X12: Final = "https://codesystem.x12.org/005010/1207"


@dataclass(slots=True)
class _Line:
    """One EB as a benefit, until those that say what remains have found theirs."""

    kind: str
    unit: str
    period: str
    benefit: Json
    left: bool


def tells_amount(eb: Segment) -> bool:
    """Does this EB say money, a proportion or a number of visits?"""
    return eb.value(1) in TYPES and bool(eb.value(7) or eb.value(8) or (eb.value(9) == "VS" and eb.value(10)))


def benefits(loops: Sequence[Loop], codes: Codes, findings: list[Finding]) -> list[Json]:
    """The benefits of one item, each once. A remaining amount joins the one amount of its type, unit and period; where there is none, or several, it stands alone."""
    lines = [_line(loop, codes, findings) for loop in loops]
    amounts: dict[tuple[str, ...], list[_Line]] = {}
    for line in lines:
        if not line.left:
            for key in ((line.kind, line.unit), (line.kind, line.unit, line.period)):
                amounts.setdefault(key, []).append(line)
    made: dict[str, Json] = {}
    for line in lines:
        if not line.left or not _joined(line, amounts):
            made.setdefault(repr(line.benefit), line.benefit)
    return list(made.values())


def _joined(line: _Line, amounts: dict[tuple[str, ...], list[_Line]]) -> bool:
    """Give what is left to the one amount it is left of; False when there is not exactly one, or it has one already."""
    same = amounts.get((line.kind, line.unit, line.period) if line.period else (line.kind, line.unit), [])
    if len(same) != 1 or _has(same[0].benefit, REMAINING):
        return False
    same[0].benefit["extension"] = [*same[0].benefit.get("extension", ()), *(one for one in line.benefit["extension"] if one["url"] != BENEFIT_UNIT)]
    return True


def unit(code: str) -> Json:
    """EB02 → a coding of benefit-unit; other coverage levels keep their X12 code."""
    return coding(UNIT, UNITS[code]) if code in UNITS else coding(_UNIT_X12, code)


def _line(loop: Loop, codes: Codes, findings: list[Finding]) -> _Line:
    eb = loop.segments[0]
    system, code = TYPES[eb.value(1)]
    told: list[Json] = []
    allowed, share = _allowed(eb, findings)
    if share and code == "copay":
        code = "copay-percent"
    elif "allowedUnsignedInt" in allowed and code == "benefit":
        code = "visit"
    left = eb.value(6) in LEFT and "allowedMoney" in allowed
    period = LEFT.get(eb.value(6), "") if left else eb.value(6)
    if left:
        told.append(extension(REMAINING, "Money", allowed.pop("allowedMoney")))
    elif period:
        told.append(extension(BENEFIT_PERIOD, "Coding", coding(PERIODS, period, codes.display("615", period))))
    if eb.value(2):
        told.append(extension(BENEFIT_UNIT, "Coding", unit(eb.value(2))))
    told += notes(loop, BENEFIT_NOTE)
    benefit: Json = {"extension": told} if told else {}
    benefit |= {"type": {"coding": [coding(system, code)]}, **allowed}
    return _Line(code, eb.value(2), period, benefit, left)


def _allowed(eb: Segment, findings: list[Finding]) -> tuple[Json, bool]:
    """allowed[x], and whether it is a share. EB08 is a proportion: 0.2 is 20 %. What can't be read as a number stays as text."""
    if eb.value(7):
        amount = number(eb, 7, findings)
        return ({"allowedMoney": money(amount)} if amount is not None else {"allowedString": eb.text(7)}), False
    if eb.value(8):
        share = number(eb, 8, findings)
        if share is not None and not 0 <= share <= 1:
            findings.append(Finding("error", "not a proportion between 0 and 1: it may mean percent, or not", eb.where(8)))
            share = None
        return (_percent(share) if share is not None else {"allowedString": eb.text(8)}), True
    count = number(eb, 10, findings)
    whole = count is not None and count == int(count) and count >= 0
    return ({"allowedUnsignedInt": int(count or 0)} if whole else {"allowedString": eb.text(10)}), False


def _percent(share: Decimal) -> Json:
    percent = share * 100
    return {"allowedUnsignedInt": int(percent)} if percent == int(percent) else {"allowedString": f"{percent.normalize():f} %"}


def notes(loop: Loop, url: str) -> list[Json]:
    """MSG01 verbatim as extensions of `url`; what else has no home as kept segments."""
    if len(loop.segments) == 1 and not loop.loops:
        return []
    said = [extension(url, "String", text) for msg in loop.named("MSG") if (text := msg.text(1))]
    return said + verbatim(of_benefit(loop))


def _has(benefit: Json, url: str) -> bool:
    return any(one["url"] == url for one in benefit.get("extension", ()))
