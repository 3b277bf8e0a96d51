"""What comes beside the matches of a search: what they point at (`_include`) and what points at them (`_revinclude`). FHIR R4 search.html, 3.1.1.5.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Select, bindparam, select

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import compartment, tables
from fhir_gateway.store.resources import COLUMNS, Resources, stored_of
from fhir_gateway.store.search.index import SearchIndex
from fhir_gateway.store.search.query import Include
from fhir_gateway.store.stored import Stored
from fhir_gateway.store.work import Work

MOST: Final = 1000
"""Resources included with one page. A page that needs more is cut, and says so."""
_BATCH: Final = 500
_R: Final = tables.resource
_REF: Final = tables.reference


def _pointing(reach: compartment.Scope) -> Select[Any]:
    """Resources that point at some of one type by one parameter."""
    pointing = select(_REF.c.resource).where(
        _REF.c.param == bindparam("param"), _REF.c.target_type == bindparam("type"), _REF.c.target.in_(bindparam("ids", expanding=True))
    )
    return select(*COLUMNS).where(_R.c.pk.in_(pointing), compartment.resources(reach)).order_by(_R.c.pk).limit(bindparam("size"))


_POINTING: Final = {reach: _pointing(reach) for reach in compartment.SCOPES}


def beside(work: Work, principal: Principal, asked: Sequence[Include], matches: Sequence[Stored]) -> tuple[tuple[Stored, ...], bool]:
    """What is to be given beside the matches, each once; was it cut?"""
    found: dict[str, Stored] = {}
    own = {match.reference for match in matches}
    around: Sequence[Stored] = matches
    first = True
    while around and len(found) <= MOST:
        fresh: dict[str, Stored] = {}
        for one in asked:
            if first or one.iterate:
                for stored in _pointed_from(work, principal, one, around) if one.reverse else _pointed_at(work, principal, one, around):
                    if stored.reference not in own and stored.reference not in found:
                        fresh.setdefault(stored.reference, stored)
        found |= fresh
        around, first = list(fresh.values()), False
    return tuple(found.values())[:MOST], len(found) > MOST


def _pointed_at(work: Work, principal: Principal, include: Include, around: Sequence[Stored]) -> Iterator[Stored]:
    index = SearchIndex.load()
    names = dict.fromkeys(
        reference for stored in around if stored.type == include.type for reference in index.references(stored.resource, include.code, include.target)
    )
    yield from Resources(work, principal).read_many(names).values()


def _pointed_from(work: Work, principal: Principal, include: Include, around: Sequence[Stored]) -> Iterator[Stored]:
    by_type: dict[str, list[str]] = {}
    for stored in around:
        by_type.setdefault(stored.type, []).append(stored.id)
    statement, seen = _POINTING[compartment.scope(principal)], compartment.values(principal)
    for type, ids in by_type.items():
        if include.target in ("", type):
            for start in range(0, len(ids), _BATCH):
                given = {"param": f"{include.type}.{include.code}", "type": type, "ids": ids[start : start + _BATCH], "size": MOST + 1, **seen}
                yield from map(stored_of, work.execute(statement, given))
