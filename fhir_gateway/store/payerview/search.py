"""Searching as a payer: by elements it can read, and by nothing that looks through one resource at another.

Chains, `_has`, modifiers, includes and orders by other elements would tell by their answers what is not shown; they are refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fhir_gateway.security.principal import Principal
from fhir_gateway.store.errors import NotOpenError
from fhir_gateway.store.history import HistoryPage, HistoryQuery
from fhir_gateway.store.payerview.resources import PayerResources
from fhir_gateway.store.search import Page, SearchQuery, page
from fhir_gateway.store.search.query import Condition, Narrowing
from fhir_gateway.store.work import Work
from profiles.payerview import VIEWS
from profiles.searchparameters import SearchParameter

ALWAYS: Final = frozenset({"_id", "_lastUpdated"})


def search(work: Work, principal: Principal, query: SearchQuery) -> Page:
    """The page of a search that a payer sees; none of a type that is not shown. Raises NotOpenError, CursorError."""
    view = VIEWS.get(query.type)
    allowed = (view.parameters if view else frozenset()) | ALWAYS
    if view is None or any(isinstance(one, Condition) and one.within and not _open(one, allowed) for one in query.conditions):
        return Page((), None, 0 if query.only_count or query.total == "accurate" else None)
    if query.includes:
        raise NotOpenError("_include and _revinclude are not open to payers: read what a resource refers to under your own rights")
    if closed := [key.by for key in query.sort if key.by and key.by not in allowed]:
        raise _closed(query.type, closed[0], allowed)
    narrowed = tuple(_narrowed(query.type, condition, allowed) for condition in query.conditions)
    found = page.run(work, principal, replace(query, conditions=narrowed))
    return replace(found, entries=tuple(PayerResources(work, principal).seen(found.entries)))


def history(work: Work, principal: Principal, query: HistoryQuery) -> HistoryPage:
    """What stands of one resource. Raises NotOpenError for a history of more."""
    if not query.id:
        raise NotOpenError("A history of everything, or of a type, is not open to payers")
    versions = PayerResources(work, principal).history(query.type, query.id)
    return HistoryPage(tuple(one for one in versions if query.since is None or one.last_updated >= query.since))


def _narrowed(type: str, condition: Narrowing, allowed: frozenset[str]) -> Narrowing:
    """The condition on what can be read alone. A union of parameters (a compartment's) loses those that can't."""
    if not isinstance(condition, Condition):
        raise NotOpenError(f"Chains, _has, composites and :missing are not open to payers; {type} can be searched by {', '.join(sorted(allowed))}")
    open = _open(condition, allowed)
    if not open or condition.modifier:
        raise _closed(type, condition.parameter.code, allowed)
    return replace(condition, parameter=open[0], also=tuple(open[1:]))


def _open(condition: Condition, allowed: frozenset[str]) -> list[SearchParameter]:
    return [one for one in (condition.parameter, *condition.also) if one.code in allowed]


def _closed(type: str, code: str, allowed: frozenset[str]) -> NotOpenError:
    return NotOpenError(f"{type} can't be searched or put in order by '{code[:64]}' by a payer, but by {', '.join(sorted(allowed))}")
