"""Which profiles, tags and security labels are in use: the distinct values of `_profile`, `_tag` and `_security` that a principal sees.

The index is walked from one value to the next greater, so the cost goes with the number of different labels, not with the number of resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.work import Work

PARAMETERS: Final = {"profile": "_profile", "tag": "_tag", "security": "_security"}
"""Element of meta → the parameter it is found by."""
_T: Final = tables.token


class Label(NamedTuple):
    """element: of meta. system: None for a profile, "" for a label without one."""

    element: str
    system: str | None
    code: str


def labels(work: Work, principal: Principal, types: Iterable[str]) -> list[Label]:
    """Every label on resources of these types, each once, in order."""
    work.flush()
    reach = compartment.scope(principal)
    bound = compartment.values(principal)
    found: set[Label] = set()
    for type in types:
        for element, code in PARAMETERS.items():
            values = {**bound, "param": f"{type}.{code}"}
            for system in [None] if element == "profile" else _systems(work, reach, values):
                found.update(Label(element, system, value) for value in _codes(work, reach, values, system))
    return sorted(found, key=lambda label: (label.element, label.system or "", label.code))


def _systems(work: Work, reach: compartment.Scope, values: dict[str, Any]) -> Iterator[str]:
    """The systems of a parameter's values, one by one."""
    return _walked(work, select(func.min(_T.c.system)).where(_T.c.system.is_not(None), *_seen(reach)), _T.c.system, values)


def _codes(work: Work, reach: compartment.Scope, values: dict[str, Any], system: str | None) -> Iterator[str]:
    """The codes of a parameter's values in one system."""
    in_system = _T.c.system.is_(None) if system is None else _T.c.system == bindparam("system")
    given = values if system is None else {**values, "system": system}
    return _walked(work, select(func.min(_T.c.code)).where(in_system, *_seen(reach)), _T.c.code, given)


def _walked(work: Work, least: Select[Any], column: ColumnElement[Any], values: dict[str, Any]) -> Iterator[str]:
    least = least.where(_T.c.param == bindparam("param"))
    value = work.execute(least, values).scalar_one()
    following = least.where(column > bindparam("last"))
    while value is not None:
        yield str(value)
        value = work.execute(following, {**values, "last": value}).scalar_one()


def _seen(reach: compartment.Scope) -> list[ColumnElement[bool]]:
    if reach == "everything":
        return []
    rows = tables.resource.alias("labelled")
    return [exists().where(rows.c.pk == _T.c.resource, compartment.resources(reach, rows))]
