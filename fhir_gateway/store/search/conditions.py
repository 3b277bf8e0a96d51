"""Conditions of a search as SQL on the search rows. Each one begins with the parameter and can be answered by an index of its table."""

from __future__ import annotations

from typing import Any, Final, cast

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_gateway.store import tables
from fhir_gateway.store.search.dates import moment
from fhir_gateway.store.search.extract import fold
from fhir_gateway.store.search.index import KINDS
from fhir_gateway.store.search.query import Condition, DateValue, ReferenceValue, TokenValue
from fhir_gateway.store.text import fit

_LAST: Final = "\U0010ffff"


def rows_of(condition: Condition) -> FromClause:
    """The table a condition is about, as an alias of its own (one parameter may be given twice)."""
    by_identifier = condition.modifier == "identifier"
    return (tables.token if by_identifier else KINDS[condition.parameter.kind].table).alias()


def matches(condition: Condition, rows: FromClause, driving: bool = True) -> ColumnElement[bool]:
    """Which of these search rows satisfy the condition.

    driving: the rows are walked by this condition. Otherwise they are those of one resource, and a range must not tempt SQLite's planner to walk the
    whole range again for each resource: adding "" to the parameter's name hides it from the planner.
    """
    name = condition.parameter.name + (":identifier" if condition.modifier == "identifier" else "")
    ranged = condition.parameter.kind in ("string", "date")
    return and_((rows.c.param if driving or not ranged else rows.c.param + "") == name, or_(*(_one(condition, value, rows.c) for value in condition.values)))


def last_updated(condition: Condition, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """`_lastUpdated`, which is a column of the resource itself and a single point in time."""
    return or_(*(_point(cast("DateValue", value), column) for value in condition.values))


def _one(condition: Condition, value: Any, c: Any) -> ColumnElement[bool]:
    if isinstance(value, TokenValue):
        return _token(value, c)
    if isinstance(value, ReferenceValue):
        return and_(c.target == value.target, *([] if value.type is None else [c.target_type == value.type]))
    if isinstance(value, DateValue):
        return _range(value, c)
    text = str(value)
    if condition.modifier == "exact":
        return and_(c.folded == fit(fold(text)), c.exact == fit(text))
    if condition.modifier == "contains":
        return cast("ColumnElement[bool]", c.folded.contains(text, autoescape=True))
    return and_(c.folded >= text, c.folded < text + _LAST)


def _token(value: TokenValue, c: Any) -> ColumnElement[bool]:
    """A row whose system is implied (NULL) answers to any system asked for, but not to "no system"."""
    if value.code is None:
        return cast("ColumnElement[bool]", c.system == value.system)
    if value.system is None:
        return cast("ColumnElement[bool]", c.code == value.code)
    if value.system == "":
        return and_(c.code == value.code, c.system == "")
    return and_(c.code == value.code, or_(c.system == value.system, c.system.is_(None)))


def _range(value: DateValue, c: Any) -> ColumnElement[bool]:
    """search.html#prefix: a row is a range too. ap: the ranges overlap, which the standard leaves to the server."""
    low, high = value.range
    match value.prefix:
        case "eq":
            return and_(c.low >= low, c.low <= high, c.high <= high)
        case "ne":
            return or_(c.low < low, c.high > high)
        case "gt":
            return cast("ColumnElement[bool]", c.high > high)
        case "lt":
            return cast("ColumnElement[bool]", c.low < low)
        case "ge":
            return and_(c.high >= low, or_(c.high > high, c.low >= low))
        case "le":
            return and_(c.low <= high, or_(c.low < low, c.high <= high))
        case "sa":
            return cast("ColumnElement[bool]", c.low > high)
        case "eb":
            return cast("ColumnElement[bool]", c.high < low)
        case _:
            return and_(c.low <= high, c.high >= low)


def _point(value: DateValue, column: Any) -> ColumnElement[bool]:
    low, high = moment(value.range.low), moment(value.range.high)
    match value.prefix:
        case "gt" | "sa":
            return cast("ColumnElement[bool]", column > high)
        case "lt" | "eb":
            return cast("ColumnElement[bool]", column < low)
        case "ge":
            return cast("ColumnElement[bool]", column >= low)
        case "le":
            return cast("ColumnElement[bool]", column <= high)
        case "ne":
            return or_(column < low, column > high)
        case _:
            return cast("ColumnElement[bool]", column.between(low, high))
