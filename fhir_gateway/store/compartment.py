"""Who sees which rows: the one place that says so.

The clinic, its administrators and the gateway itself see everything. A referrer sees what its organisation created or contributed to, and what
the clinic publishes (its checklists).
A payer sees what the rows of `payer_share` name, and of that only what its view shows (`store.payerview`); it writes over nothing, and has no cases and
no inbox.

A clause is an SQL condition with one bound value, `organisation`; `values(principal)` binds it. An invisible row is as if absent.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, exists, false, literal_column, or_, true

from fhir_gateway.security.principal import Principal
from fhir_gateway.store import tables

Scope = Literal["everything", "own", "shown", "nothing"]
SCOPES: Final[tuple[Scope, ...]] = ("everything", "own", "shown", "nothing")
_ORGANISATION: Final = "organisation"
# What the clinic publishes: a referrer reads it, whoever wrote it, and never writes it.
PUBLISHED: Final = ("PlanDefinition",)


def scope(principal: Principal) -> Scope:
    """How far the principal sees. Who names no organisation sees nothing: "" is the clinic's own name as owner."""
    if principal.sees_everything:
        return "everything"
    if principal.role == "referrer" and principal.organisation:
        return "own"
    if principal.role == "payer" and principal.organisation:
        return "shown"
    return "nothing"


def values(principal: Principal) -> dict[str, Any]:
    """What a clause built here has to be executed with."""
    return {_ORGANISATION: principal.organisation} if scope(principal) in ("own", "shown") else {}


def resources(reach: Scope, rows: FromClause = tables.resource) -> ColumnElement[bool]:
    """Which rows of `resource` (or an alias of it) are seen."""
    if reach == "shown":
        share = tables.payer_share
        return exists().where(share.c.resource == rows.c.pk, share.c.payer == bindparam(_ORGANISATION))
    if reach != "own":
        return written(reach, rows)
    published = and_(rows.c.type.in_([literal_column(f"'{type}'") for type in PUBLISHED]), rows.c.owner == literal_column("''"))
    return or_(written(reach, rows), published)


def written(reach: Scope, rows: FromClause = tables.resource) -> ColumnElement[bool]:
    """Which rows of `resource` may be written over: those seen but what is only published."""
    if reach == "everything":
        return true()
    if reach in ("shown", "nothing"):
        return false()
    contributed = exists().where(tables.contributor.c.resource == rows.c.pk, tables.contributor.c.organisation == bindparam(_ORGANISATION))
    return or_(rows.c.owner == bindparam(_ORGANISATION), contributed)


def owned(reach: Scope, rows: FromClause) -> ColumnElement[bool]:
    """Which rows of a table with an owner and no contributors (the inbox) are seen."""
    if reach == "everything":
        return true()
    if reach in ("shown", "nothing"):
        return false()
    return rows.c.owner == bindparam(_ORGANISATION)


def cases(reach: Scope) -> ColumnElement[bool]:
    """Which cases are seen: those whose referral is."""
    if reach == "everything":
        return true()
    if reach in ("shown", "nothing"):
        return false()
    referral = tables.resource.alias("referral")
    return exists().where(referral.c.pk == tables.case.c.resource, resources(reach, referral))
