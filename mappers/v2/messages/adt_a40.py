"""ADT^A40 (merge), A24 (link) and A37 (unlink) → two Patients that know of each other, and the Linkage that says so. Guide: no map for these events.

A Patient says by `link` how things stand. The Linkage of a pair says which message had the last word on it, by its own clock: ordinary messages about
either number are newer than a merge all the time, and must not undo it.
"""

from __future__ import annotations

from typing import Final, Literal

from mappers.result import Draft, Finding, Json, Location, Refused
from mappers.v2 import identity
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.times import moment
from mappers.v2.groups import Node, tree
from mappers.v2.messages import common
from mappers.v2.segments.mrg import prior
from profiles.canonical import canonical

RECORDED: Final = canonical("StructureDefinition", "linkage-recorded")
"""Extension of Linkage: when the message that says so was made (MSH-7)."""

# Kind of link → (Linkage.item.type of the first and second patient, Patient.link.type of the first and second).
LINKS: Final = {
    "merge": (("source", "historical"), ("replaces", "replaced-by")),
    "link": (("source", "alternate"), ("seealso", "seealso")),
}


def map_merge(ctx: Context) -> Draft:
    """A40: each PID survives, the number in its MRG goes. The answer is the first survivor."""
    survivors = []
    for number, group in enumerate(patient_groups(ctx), 1):
        merged = group[0].of("MRG")
        if not merged:
            raise Refused([Finding("error", "100", "PID without the MRG that says which number was merged into it", Location("PID", number))], "AE")
        survivor = subject(group, ctx)
        for node in merged:
            old = _identified(node, 1, prior(node, ctx), ctx)
            _apart(survivor, old)
            _pair(survivor, old, "merge", ctx)
        survivors.append(survivor)
    return survivors[0]


def map_link(ctx: Context) -> Draft:
    """A24: the two PIDs are one person, and both records stay in use."""
    first, second = _two(ctx)
    _pair(first, second, "link", ctx)
    return first


def map_unlink(ctx: Context) -> Draft:
    """A37: the two PIDs are not one person after all, whether they were linked or merged."""
    first, second = _two(ctx)
    for draft in (first, second):
        draft.resource["active"] = True
    _linkage(first, second, "link", False, ctx)
    return first


def _two(ctx: Context) -> tuple[Draft, Draft]:
    groups = patient_groups(ctx)
    if len(groups) != 2:
        raise Refused(
            [Finding("error", "100", "the event is about two patients: two PID are needed", Location("PID", min(len(groups) + 1, 3)))], "AE"
        )
    first, second = (subject(group, ctx) for group in groups)
    return first, second


def patient_groups(ctx: Context) -> list[list[Node]]:
    """The root's segments by PID, each PID first; what stands before the first PID is the first one's."""
    groups: list[list[Node]] = []
    early: list[Node] = []
    for node in tree(ctx.message).children:
        if node.segment.name == "PID":
            groups.append([node, *early])
            early = []
        else:
            (groups[-1] if groups else early).append(node)
    return groups


def subject(group: list[Node], ctx: Context) -> Draft:
    """The Patient of a group, with its relatives and visits."""
    ctx.patient = ctx.new("Patient")
    holder = Node(ctx.message.segments[0], group)
    common.patients(holder, ctx)
    common.encounters(holder, ctx)
    return _identified(group[0], 3, ctx.patient, ctx)


def _identified(node: Node, field: int, draft: Draft, ctx: Context) -> Draft:
    """The draft with its keys. Raises Refused for a patient whom no number names: it could be anybody."""
    draft.keys = tuple(key for key in identity.patient(draft.resource, ctx.sender) if key.kind != "Patient:unidentified")
    if not draft.keys:
        raise Refused([Finding("error", "101", "no identifier that names a patient", node.segment.where(field))], "AE")
    return draft


def _apart(survivor: Draft, old: Draft) -> None:
    """A survivor that carries the prior number already is still known by its own alone, or both would be one resource and nothing merged."""
    own = tuple(key for key in survivor.keys if key not in old.keys)
    if own:
        survivor.keys = own


def _pair(first: Draft, second: Draft, kind: Literal["merge", "link"], ctx: Context) -> None:
    for draft, other, said in zip((first, second), (second, first), LINKS[kind][1], strict=True):
        draft.resource.setdefault("link", []).append({"other": reference(other), "type": said})
    if kind == "merge":
        second.resource["active"] = False
    _linkage(first, second, kind, True, ctx)


def _linkage(first: Draft, second: Draft, kind: Literal["merge", "link"], active: bool, ctx: Context) -> None:
    items: list[Json] = [{"type": said, "resource": reference(draft)} for said, draft in zip(LINKS[kind][0], (first, second), strict=True)]
    draft = ctx.add(ctx.new("Linkage", active=active, author={"display": ctx.sender or "sender not named"}, item=items))
    sent = moment(ctx.message.header.sent_at, ctx.site.timezone)
    if sent is not None:
        draft.resource["extension"] = [{"url": RECORDED, "valueDateTime": sent.text if sent.exact else sent.date}]
