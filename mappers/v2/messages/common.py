"""What several message types share: patients with their relatives and guarantors, visits, results that belong to no order."""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context
from mappers.v2.groups import Node
from mappers.v2.segments.documents import document, gather, is_document
from mappers.v2.segments.nk1 import GT1, NK1, related
from mappers.v2.segments.nte import followers
from mappers.v2.segments.obx import observation
from mappers.v2.segments.pid import patient
from mappers.v2.segments.prd import CTD
from mappers.v2.segments.pv1 import encounter


def patients(root: Node, ctx: Context) -> None:
    """The first PID's Patient becomes the message's subject, wherever in the message it stands; NK1, GT1, CTD and notes with it."""
    for node in root.of("PID")[:1]:
        subject(node, ctx)
    for node in root.of("GT1"):
        followers(node, related(node, GT1, ctx), ctx)
    for node in root.of("NK1"):
        followers(node, related(node, NK1, ctx), ctx)


def subject(node: Node, ctx: Context) -> Draft:
    """One PID with its NK1, CTD and notes."""
    draft = patient(node, ctx)
    for kin in node.of("NK1"):
        followers(kin, related(kin, NK1, ctx), ctx)
    for contact in node.of("CTD"):
        CTD.map(contact.segment, ctx, Patient=draft)
    followers(node, draft, ctx)
    for child in node.of("PD1"):
        followers(child, draft, ctx)
    return draft


def encounters(root: Node, ctx: Context) -> list[Draft]:
    """The Encounter of every PV1."""
    return [encounter(node, ctx) for node in root.of("PV1")]


def loose_results(root: Node, ctx: Context) -> list[Draft]:
    """Observations and documents of OBX that stand under no order (patient observations of ORU, OBX of SIU)."""
    return [document(run, ctx) if is_document(run) else observation(run[0], ctx) for run in gather(root.of("OBX"))]
