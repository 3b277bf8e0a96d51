"""PRB → Condition of the problem list, GOL → Goal. Guide silent on both segments (chapter 12.4).

Where a problem or goal stands (PRB-13, -14, GOL-18) is said in words of each sender's own: one that is a code of FHIR's is that code, any other stands
beside the default.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import coded, cwe, fixed
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.text import ft, part, st
from mappers.v2.datatypes.times import dt, dtm
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.segments.dg1 import CATEGORY, CLINICAL, VERIFICATION
from mappers.v2.segments.nte import followers
from mappers.v2.table import field, keep, segment, takes, target

DELETED: Final = frozenset({"D", "DE"})  # table 0206, and 0287 of before 2.7
CLINICAL_CODES: Final = frozenset({"active", "recurrence", "relapse", "inactive", "remission", "resolved"})
OVER: Final = frozenset({"inactive", "remission", "resolved"})
VERIFICATION_CODES: Final = frozenset({"unconfirmed", "provisional", "differential", "confirmed", "refuted", "entered-in-error"})
GOAL_CODES: Final = frozenset({"proposed", "planned", "accepted", "active", "on-hold", "completed", "cancelled", "rejected"})


@takes(1)
def onset_text(repetition: Repetition, ctx: Context) -> str | None:
    """PRB-17, when PRB-16 gives no date."""
    return None if ctx.segment.raw(16) else part(repetition, 1) or None


@takes(1)
def note(repetition: Repetition, ctx: Context) -> Json | None:
    value: str | None = ft.convert(repetition, ctx)
    return {"text": value} if value else None


PRB: Final = segment(
    "PRB",
    target(
        "Condition",
        field("PRB-3", "code", cwe),
        field("PRB-4", "identifier[]", ei()),
        field("PRB-7", "recordedDate", dtm),
        field("PRB-9", "abatementDateTime", dtm),
        field("PRB-10", "category[]", cwe),
        field("PRB-13", "verificationStatus", cwe),
        field("PRB-14", "clinicalStatus", cwe),
        field("PRB-16", "onsetDateTime", dtm),
        field("PRB-17", "onsetString", onset_text),
        field("PRB-26", "severity", coded("0836")),
    ),
    keep("PRB-1", why="what is done to the problem: `DE` retracts it, see `problem`"),
    keep("PRB-2", why="when it was done: the version of the record says when it was made"),
    keep("PRB-8", why="expected end: Condition has only the actual one"),
)

GOL: Final = segment(
    "GOL",
    target(
        "Goal",
        field("GOL-3", "description", cwe),
        field("GOL-4", "identifier[]", ei()),
        field("GOL-6", "priority.text", st),
        field("GOL-7", "startDate", dt),
        field("GOL-8", "target[gol].dueDate", dt),
        field("GOL-9", "category[]", cwe),
        field("GOL-16", "outcomeCode[]", cwe),
        field("GOL-17", "note[]", note),
        field("GOL-19", "statusDate", dt),
    ),
    keep("GOL-1", why="what is done to the goal: `DE` retracts it, see `goal`"),
    keep("GOL-2", why="when it was done: the version of the record says when it was made"),
    keep("GOL-18", why="life cycle in the sender's own words; those FHIR has a code for give the status"),
)


def problem(node: Node, ctx: Context) -> Draft:
    """The Condition of one PRB, with its notes and roles."""
    draft = ctx.add(ctx.new("Condition", subject=reference(ctx.patient)))
    resource = draft.resource
    PRB.map(node.segment, ctx, Condition=draft)
    resource.setdefault("category", []).insert(0, fixed(CATEGORY, "problem-list-item"))
    segment_ = node.segment
    _ranked(resource, "clinicalStatus", CLINICAL, word(segment_.value(14), CLINICAL_CODES) or "active")
    if "verificationStatus" in resource:
        _ranked(resource, "verificationStatus", VERIFICATION, word(segment_.value(13), VERIFICATION_CODES) or "unconfirmed")
    if segment_.value(1) in DELETED:
        resource["verificationStatus"] = fixed(VERIFICATION, "entered-in-error")
    over = "abatementDateTime" in resource or "_abatementDateTime" in resource
    first = resource["clinicalStatus"]["coding"][0]
    if over and first["code"] not in OVER:
        first["code"] = "resolved"  # invariant con-4
    if resource.get("verificationStatus", {}).get("coding", [{}])[0].get("code") == "entered-in-error":
        del resource["clinicalStatus"]  # invariant con-5
    followers(node, draft, ctx)
    return draft


def word(said: str, codes: frozenset[str]) -> str:
    """The code a sender's word is, "" when it is none."""
    found = said.strip().lower().replace(" ", "-")
    return found if found in codes else ""


def _ranked(resource: Json, name: str, system: str, code: str) -> None:
    """The code of the required binding before the sender's own."""
    resource.setdefault(name, {}).setdefault("coding", []).insert(0, {"system": system, "code": code})


def goal(node: Node, addresses: Draft | None, ctx: Context) -> Draft:
    """The Goal of one GOL, for the problem it stands under."""
    draft = ctx.add(ctx.new("Goal", subject=reference(ctx.patient)))
    resource = draft.resource
    GOL.map(node.segment, ctx, Goal=draft)
    resource.setdefault("description", {"text": "not described"})
    stands = word(node.segment.value(18), GOAL_CODES) or "active"
    resource["lifecycleStatus"] = "entered-in-error" if node.segment.value(1) in DELETED else stands
    if addresses is not None:
        resource["addresses"] = [reference(addresses)]
    followers(node, draft, ctx)
    return draft
