"""GT1 → Account.guarantor: the patient herself, a RelatedPerson, an Organization. PID-18 names the account; without it the patient has one unnamed.

Guide silent on the whole segment; Microsoft and Zato agree on the fields of the person.
"""

from __future__ import annotations

from typing import Any, Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import fixed
from mappers.v2.datatypes.ids import cx, ssn
from mappers.v2.datatypes.parties import xon
from mappers.v2.datatypes.people import xad, xpn, xtn_home, xtn_work
from mappers.v2.datatypes.times import dt, dtm
from mappers.v2.groups import Node
from mappers.v2.paths import STORED
from mappers.v2.segments.in1 import SELF
from mappers.v2.segments.nk1 import GENDER, RELATION
from mappers.v2.segments.nte import followers
from mappers.v2.segments.pid import account, language
from mappers.v2.table import field, keep, segment, structural, target

ROLE: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"


def guarantor(resource: Json, value: Any, ctx: Context) -> int:
    """A party that guarantees the account."""
    parties = resource.setdefault("guarantor", [])
    if {"party": value} not in parties:
        parties.append({"party": value})
    return STORED


GT1 = segment(
    "GT1",
    target(
        "RelatedPerson",
        field("GT1-2", "identifier[]", cx),
        field("GT1-3", "name[]", xpn),
        field("GT1-5", "address[]", xad),
        field("GT1-6", "telecom[]", xtn_home),
        field("GT1-7", "telecom[]", xtn_work),
        field("GT1-8", "birthDate", dt),
        field("GT1-9", "gender", GENDER),
        field("GT1-11", "relationship[]", RELATION),
        field("GT1-12", "identifier[]", ssn),
        field("GT1-13", "period.start", dtm),
        field("GT1-14", "period.end", dtm),
        field("GT1-18", "telecom[]", xtn_work),
        field("GT1-19", "identifier[]", cx),
        field("GT1-36", "communication[]", language),
    ),
    target("Account", field("GT1-21", guarantor, xon, shown="guarantor.party")),
    structural("GT1-1"),
    keep("GT1-10", why="kind of guarantor: the party's type says it"),
    keep("GT1-27", why="income: no element"),
)


def guaranteed(node: Node, ctx: Context) -> Draft:
    """The Account with the guarantor of one GT1. What is said of a patient who guarantees herself is the Patient's already and kept here."""
    held = account(ctx)
    if node.segment.value(11).upper() in SELF:
        GT1.map(node.segment, ctx, Account=held)
        guarantor(held.resource, reference(ctx.patient), ctx)
    elif any(node.segment.raw(n) for n in (2, 3, 12)) or not node.segment.raw(21):
        person = ctx.add(ctx.new("RelatedPerson", patient=reference(ctx.patient)))
        person.merge = "enrich"
        GT1.map(node.segment, ctx, RelatedPerson=person, Account=held)
        person.resource.setdefault("relationship", []).append(fixed(ROLE, "GUAR", "guarantor"))
        guarantor(held.resource, reference(person), ctx)
    else:
        GT1.map(node.segment, ctx, Account=held)
    followers(node, held, ctx)
    return held
