"""NM, SN, CQ, MO, CP, NR, NA to Quantity, Range, Ratio, Money, SampledData, integers (guide: CQ rows 3-4, SN[Quantity|Range|Ratio], CWE[Quantity]
rows 3-6).

Numbers are Decimal, so that `0.40` stays `0.40`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from mappers.result import Json
from mappers.v2.context import Context, kept
from mappers.v2.datatypes.codes import coding_system
from mappers.v2.datatypes.text import one_line, part, subs
from mappers.v2.message import Repetition
from mappers.v2.table import takes

_NM: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})", re.ASCII)
COMPARATORS: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": ""}
UCUM: Final = "http://unitsofmeasure.org"


def number(text: str) -> Decimal | None:
    """An NM as Decimal, None when it is not one (`<15`, `1,5`, words)."""
    return Decimal(text) if _NM.fullmatch(text) else None


def unit(repetition: Repetition, ctx: Context) -> Json:
    """Unit elements of a Quantity from a coded unit: unit is the text or else the code; code only with its system (invariant qty-3)."""
    code, text, name = part(repetition, 1), part(repetition, 2), part(repetition, 3)
    out: Json = {}
    if text or code:
        out["unit"] = text or code
    if code and name:
        out["system"] = coding_system(name, ctx)
        out["code"] = one_line(code)
    return out


def quantity(value: str, units: Repetition, ctx: Context, component: int = 1) -> Json | None:
    """Quantity of a number and a coded unit; not a number: reported (102) and None."""
    found = number(value)
    if found is None:
        ctx.find("102", "not a number", component)
        return None
    return measured(value, found, units, ctx)


def measured(text: str, found: Decimal, units: Repetition, ctx: Context) -> Json:
    """Quantity of a number; where a Decimal does not say it as it was sent (`+0`, `007`, `5.`), the text goes along."""
    out: Json = {"value": found, **unit(units, ctx)}
    if str(found) != text:
        out["extension"] = [kept(ctx.place(), text)]
    return out


@takes(1)
def nm(repetition: Repetition, ctx: Context) -> Decimal | None:
    """decimal."""
    text = part(repetition, 1)
    if not text:
        return None
    found = number(text)
    if found is None:
        ctx.find("102", "not a number", 1)
    return found


@takes(1)
def whole(repetition: Repetition, ctx: Context) -> int | None:
    """positiveInt; anything else is reported and kept."""
    text = part(repetition, 1)
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text[:12]) < 2**31:
        ctx.find("102", "not a positive whole number", 1)
        return None
    return int(text)


@takes(1, 2)
def cq(repetition: Repetition, ctx: Context) -> Json | None:
    """Quantity; CQ.2 is a coded unit in subcomponents."""
    value = part(repetition, 1)
    if not value:
        return None
    return quantity(value, subs(repetition, 2), ctx)


@takes(1)
def money(repetition: Repetition, ctx: Context) -> Json | None:
    """Money from an MO, or the MO that is CP.1: amount and currency (ISO 4217)."""
    inner = subs(repetition, 1)
    value, currency = part(inner, 1), part(inner, 2) or (part(repetition, 2) if len(inner) < 2 else "")
    if not value:
        return None
    found = number(value)
    if found is None:
        ctx.find("102", "not an amount", 1)
        return None
    out: Json = {"value": found}
    if len(currency) == 3 and currency.isalpha():
        out["currency"] = currency.upper()
        if len(inner) < 2:
            ctx.left &= ~(1 << 2)
    elif currency:
        ctx.find("103", "not a currency code", 1)
        return None
    return out


def structured(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    """SN as value[x]: comparator and number, range (`-`), ratio (`:` or `/`), else its text (guide: OBX[Observation] rows 19-24)."""
    sign, first, separator, second = (part(repetition, n) for n in range(1, 5))
    left, right = number(first) if first else None, number(second) if second else None
    if (first and left is None) or (second and right is None) or sign not in {*COMPARATORS, ""}:
        return _as_text(repetition)
    if left is not None and not separator and not second:
        comparator = COMPARATORS.get(sign, "")
        return {"valueQuantity": {**measured(first, left, units, ctx), **({"comparator": comparator} if comparator else {})}}
    if left is None or right is None or sign in ("<", "<=", ">", ">="):
        return _as_text(repetition)
    if separator == "-":
        return {"valueRange": {"low": {"value": left, **unit(units, ctx)}, "high": {"value": right, **unit(units, ctx)}}}
    if separator in (":", "/"):
        return {"valueRatio": {"numerator": {"value": left}, "denominator": {"value": right}}}
    return _as_text(repetition)


def _as_text(repetition: Repetition) -> Json | None:
    text = " ".join(p for n in range(1, 5) if (p := part(repetition, n)))
    return {"valueString": text} if text else None


def numeric_range(repetition: Repetition, units: Repetition, ctx: Context) -> Json | None:
    """NR as Range; an end that is no number makes it text."""
    low, high = part(repetition, 1), part(repetition, 2)
    out: Json = {}
    for name, text in (("low", low), ("high", high)):
        if text:
            found = number(text)
            if found is None:
                return {"valueString": f"{low}-{high}"}
            out[name] = {"value": found, **unit(units, ctx)}
    return {"valueRange": out} if out else None


def sampled(repetitions: list[Repetition], units: Repetition, ctx: Context) -> Json | None:
    """NA as SampledData: channels are repetitions, samples components; the period is not in the field, so 0 says it is unknown (guide:
    NA[SampledData]).
    """
    rows = [[part(r, n) for n in range(1, len(r) + 1)] for r in repetitions]
    if not rows or any(v and number(v) is None for row in rows for v in row):
        return None
    length = max(map(len, rows))
    data = " ".join(row[n] if n < len(row) and row[n] else "E" for n in range(length) for row in rows)
    return {"valueSampledData": {"origin": {"value": Decimal(0), **unit(units, ctx)}, "period": Decimal(0), "dimensions": len(rows), "data": data}}
