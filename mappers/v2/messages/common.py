"""What several message types share: patients with their relatives and guarantors, visits, diagnoses, allergies, procedures, insurance, results that
belong to no order.
"""

from __future__ import annotations

from collections.abc import Iterable

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import Node
from mappers.v2.segments.al1 import allergy
from mappers.v2.segments.aut import UNNAMED, authorization
from mappers.v2.segments.dg1 import condition
from mappers.v2.segments.documents import document, gather, is_document
from mappers.v2.segments.gt1 import guaranteed
from mappers.v2.segments.iam import adverse_reaction
from mappers.v2.segments.in1 import coverage
from mappers.v2.segments.nk1 import related
from mappers.v2.segments.nte import followers, note
from mappers.v2.segments.obx import observation
from mappers.v2.segments.pid import account, patient
from mappers.v2.segments.pr1 import procedure
from mappers.v2.segments.prd import CTD
from mappers.v2.segments.pv1 import add_diagnosis, encounter

Diagnosis = tuple[Node, Draft]
"""A DG1 and its Condition."""


def patients(root: Node, ctx: Context) -> None:
    """The first PID's Patient becomes the message's subject, wherever in the message it stands; NK1, GT1, CTD and notes with it."""
    for node in root.of("PID")[:1]:
        subject(node, ctx)
    for node in root.of("GT1"):
        guaranteed(node, ctx)
    for node in root.of("NK1"):
        followers(node, related(node, ctx), ctx)


def subject(node: Node, ctx: Context) -> Draft:
    """One PID with its NK1, CTD, notes and roles."""
    draft = patient(node, ctx)
    for kin in node.of("NK1"):
        followers(kin, related(kin, ctx), ctx)
    for contact in node.of("CTD"):
        CTD.map(contact.segment, ctx, Patient=draft)
    followers(node, draft, ctx)
    for child in node.of("PD1"):
        followers(child, draft, ctx)
    return draft


def encounters(root: Node, ctx: Context, status: str = "") -> list[Draft]:
    """The Encounter of every PV1 but those of class N, which say that there is no visit. status: what the event makes of it."""
    return [encounter(node, ctx, status) for node in root.of("PV1") if node.segment.value(2) != "N"]


def diagnoses(nodes: Iterable[Node], ctx: Context) -> list[Diagnosis]:
    """The Condition of every DG1 among the nodes."""
    found = [(node, condition(node, ctx)) for node in nodes if node.segment.name == "DG1"]
    for node, draft in found:
        followers(node, draft, ctx)
    return found


def diagnosed(visit: Draft, found: Iterable[Diagnosis], ctx: Context) -> None:
    """Diagnoses as those of the visit."""
    for node, held in found:
        held.resource.setdefault("encounter", reference(visit))
        add_diagnosis(visit, held, node.segment.value(6), node.segment.value(15), ctx)


def allergies(root: Node, ctx: Context) -> None:
    """The AllergyIntolerance of every AL1 and IAM."""
    for node in root.of("AL1", "IAM"):
        followers(node, allergy(node, ctx) if node.segment.name == "AL1" else adverse_reaction(node, ctx), ctx)


def procedures(root: Node, ctx: Context) -> tuple[list[Draft], list[Draft]]:
    """(Procedures of PR1, ClaimResponses of the AUT under them)."""
    done: list[Draft] = []
    allowed: list[Draft] = []
    for node in root.of("PR1"):
        draft = procedure(node, ctx)
        followers(node, draft, ctx)
        done.append(draft)
        allowed += [authorization(n, ctx) for n in node.of("AUT")]
    return done, allowed


def insurance(root: Node, ctx: Context, request: Draft | None = None) -> tuple[list[Draft], list[Draft]]:
    """(Coverages of IN1, ClaimResponses of IN3). The patient's Account lists what pays for it. request: the referral IN3-22 to -25 speak about."""
    coverages: list[Draft] = []
    certified: list[Draft] = []
    for node in root.of("IN1"):
        held, claims = coverage(node, ctx, request)
        followers(node, held, ctx)
        coverages.append(held)
        certified += claims
    if coverages and ("Account", ctx.patient.full_url) in ctx.known:
        listed = [{"coverage": reference(held), **_priority(held)} for held in coverages]
        account(ctx).resource["coverage"] = listed
    return coverages, certified


def _priority(held: Draft) -> dict[str, int]:
    order = held.resource.get("order")
    return {"priority": order} if order else {}


def cover(claims: Iterable[Draft], coverages: list[Draft]) -> None:
    """Authorisations name the Coverage they fall under when only one can be meant, and its payor where they name none."""
    if len(coverages) == 1:
        for claim in claims:
            claim.resource.setdefault("insurance", [{"sequence": 1, "focal": True, "coverage": reference(coverages[0])}])
            if claim.resource["insurer"] == UNNAMED:
                claim.resource["insurer"] = dict(coverages[0].resource["payor"][0])


def loose_results(root: Node, ctx: Context) -> list[Draft]:
    """Observations and documents of OBX that stand under no order (patient observations of ORU, OBX of SIU)."""
    return results_of(root.of("OBX"), ctx)


def results_of(nodes: list[Node], ctx: Context) -> list[Draft]:
    """The observations and documents of these OBX, which belong to no report."""
    return [document(run, ctx) if is_document(run) else observation(run[0], ctx) for run in gather(nodes)]


def taken_notes(root: Node, *ends: str) -> list[Node]:
    """The NTE about the message as a whole, taken out of the tree: those behind MSH, MSA or PID, or whatever else such a message may end with."""
    found: list[Node] = []
    for parent in (root, *root.of("MSA", "PID", *ends)):
        found += parent.of("NTE")
        parent.children = [child for child in parent.children if child.segment.name != "NTE"]
    return found


def noted(node: Node, home: Draft, ctx: Context) -> None:
    """One NTE onto a draft it does not stand behind."""
    note(node.segment, home, ctx)
