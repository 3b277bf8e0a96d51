"""Conditions of a search as SQL on the search rows, in two halves: the form of a condition (which is compiled once) and its values.

Each form begins with the parameter's name and can be answered by an index of its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, or_

from fhir_gateway.store.search.dates import moment
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.index import KINDS
from fhir_gateway.store.search.query import Condition, DateValue, ReferenceValue, TokenValue, Value
from fhir_gateway.store.text import fit

_LAST: Final = "\U0010ffff"
_ESCAPE: Final = "\\"
Clause = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Form:
    """What a condition looks like without its values. alternatives: (name in FORMS, how many values it takes), any of which will do."""

    param: str
    kind: str
    code: str
    alternatives: tuple[tuple[str, int], ...]

    @property
    def ranged(self) -> bool:
        """Is it a range of values rather than one value?"""
        return self.kind in ("string", "date")


def split(condition: Condition) -> tuple[Form, list[Any]]:
    """The form of a condition and its values, in the order in which the form's clause takes them."""
    point = condition.parameter.code == "_lastUpdated"
    parts = [_part(condition, value, point) for value in condition.values]
    by_identifier = condition.modifier == "identifier"
    name = condition.parameter.name + (":identifier" if by_identifier else "")
    form = Form(
        name, "token" if by_identifier else condition.parameter.kind, condition.parameter.code, tuple((part, len(values)) for part, values in parts)
    )
    return form, [value for _, values in parts for value in values]


def rows_of(form: Form) -> FromClause:
    """The table a condition is about, as an alias of its own (one parameter may be given twice)."""
    return KINDS[form.kind].table.alias()


def matches(form: Form, rows: FromClause, names: Iterator[str], driving: bool = True) -> Clause:
    """Which of these search rows satisfy the condition. names: for the values, which are bound in this order.

    driving: the rows are walked by this condition. Otherwise they are those of one resource, and a range must not tempt SQLite's planner to walk the
    whole range again for each resource: adding "" to the parameter's name hides it from the planner.
    """
    param = rows.c.param if driving or not form.ranged else rows.c.param + ""
    return and_(param == form.param, _any(form, rows.c, names))


def last_updated(form: Form, column: ColumnElement[Any], names: Iterator[str]) -> Clause:
    """`_lastUpdated`, which is a column of the resource itself and a single point in time."""
    return _any(form, column, names)


def _any(form: Form, columns: Any, names: Iterator[str]) -> Clause:
    return or_(*(FORMS[name](columns, [bindparam(next(names)) for _ in range(count)]) for name, count in form.alternatives))


def _part(condition: Condition, value: Value, point: bool) -> tuple[str, tuple[Any, ...]]:
    if isinstance(value, TokenValue):
        return _token(value)
    if isinstance(value, ReferenceValue):
        return ("target", (value.target,)) if value.type is None else ("typed target", (value.target, value.type))
    if isinstance(value, DateValue):
        return (f"at {value.prefix}", tuple(moment(end) for end in value.range)) if point else (value.prefix, tuple(value.range))
    if condition.modifier == "exact":
        return "exact", (fit(fold(value)), fit(value))
    if condition.modifier == "contains":
        for special in (_ESCAPE, "%", "_"):
            value = value.replace(special, _ESCAPE + special)
        return "contains", (f"%{value}%",)
    return "beginning", (value, value + _LAST)


def _token(value: TokenValue) -> tuple[str, tuple[Any, ...]]:
    if value.code is None:
        return "system", (value.system,)
    if value.system is None:
        return "code", (value.code,)
    return ("code without system", (value.code,)) if value.system == "" else ("code in system", (value.code, value.system))


def _clause(value: Any) -> Clause:
    return cast("Clause", value)


# Name of a form → the clause on columns `c` with the bound values `b`.
# Ranges: search.html#prefix, where a row is a range too, low to high. ap: the ranges overlap, which the standard leaves to the server.
# A token whose system is implied (NULL) answers to any system asked for, but not to "no system".
FORMS: Final[dict[str, Callable[[Any, list[Any]], Clause]]] = {
    "code": lambda c, b: _clause(c.code == b[0]),
    "system": lambda c, b: _clause(c.system == b[0]),
    "code without system": lambda c, b: and_(c.code == b[0], c.system == ""),
    "code in system": lambda c, b: and_(c.code == b[0], or_(c.system == b[1], c.system.is_(None))),
    "target": lambda c, b: _clause(c.target == b[0]),
    "typed target": lambda c, b: and_(c.target == b[0], c.target_type == b[1]),
    "exact": lambda c, b: and_(c.folded == b[0], c.exact == b[1]),
    "contains": lambda c, b: _clause(c.folded.like(b[0], escape=_ESCAPE)),
    "beginning": lambda c, b: and_(c.folded >= b[0], c.folded < b[1]),
    "eq": lambda c, b: and_(c.low >= b[0], c.low <= b[1], c.high <= b[1]),
    "ne": lambda c, b: or_(c.low < b[0], c.high > b[1]),
    "gt": lambda c, b: _clause(c.high > b[1]),
    "lt": lambda c, b: _clause(c.low < b[0]),
    "ge": lambda c, b: and_(c.high >= b[0], or_(c.high > b[1], c.low >= b[0])),
    "le": lambda c, b: and_(c.low <= b[1], or_(c.low < b[0], c.high <= b[1])),
    "sa": lambda c, b: _clause(c.low > b[1]),
    "eb": lambda c, b: _clause(c.high < b[0]),
    "ap": lambda c, b: and_(c.low <= b[1], c.high >= b[0]),
    "at eq": lambda c, b: _clause(c.between(b[0], b[1])),
    "at ne": lambda c, b: or_(c < b[0], c > b[1]),
    "at gt": lambda c, b: _clause(c > b[1]),
    "at lt": lambda c, b: _clause(c < b[0]),
    "at ge": lambda c, b: _clause(c >= b[0]),
    "at le": lambda c, b: _clause(c <= b[1]),
    "at sa": lambda c, b: _clause(c > b[1]),
    "at eb": lambda c, b: _clause(c < b[0]),
    "at ap": lambda c, b: _clause(c.between(b[0], b[1])),
}
