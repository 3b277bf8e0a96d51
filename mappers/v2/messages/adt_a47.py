"""ADT^A47: the number a patient was known by is wrong; PID-3 is the right one, MRG-1 the wrong one. Guide: no map for the event.

The patient stays the same resource: it is known by both numbers from then on, and what still names the old one finds it. The old number stays in the
record, for use `old`.
"""

from __future__ import annotations

from mappers.result import Draft, Finding, Location, Refused
from mappers.v2 import identity
from mappers.v2.context import Context
from mappers.v2.groups import Node
from mappers.v2.messages.adt_a40 import patient_groups, subject
from mappers.v2.segments.mrg import MRG


def map_renumbered(ctx: Context) -> Draft:
    """A number was wrong: the same patient is known by both from then on. Pointed at: the first patient."""
    found = []
    for number, group in enumerate(patient_groups(ctx), 1):
        wrong = group[0].of("MRG")
        if not wrong:
            raise Refused([Finding("error", "100", "PID without the MRG that says which number was wrong", Location("PID", number))], "AE")
        found.append(_renumbered(group, wrong[0], ctx))
    return found[0]


def _renumbered(group: list[Node], wrong: Node, ctx: Context) -> Draft:
    draft = subject(group, ctx)
    resource = draft.resource
    said = {name: list(resource.get(name, ())) for name in ("identifier", "name")}
    MRG.map(wrong.segment, ctx, Patient=draft)
    former = [held for name, known in said.items() for held in resource.get(name, ()) if held not in known]
    for held in former:
        held["use"] = "old"
    before = {**resource, "identifier": [held for held in former if "value" in held]}
    old = tuple(key for key in identity.patient(before, ctx.sender) if key.kind == "Patient")
    if not old:
        raise Refused([Finding("error", "101", "no identifier that names a patient", wrong.segment.where(1))], "AE")
    draft.keys = tuple(dict.fromkeys((*old, *draft.keys)))
    return draft
