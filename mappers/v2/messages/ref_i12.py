"""REF^I12 (refer), I13 (modify), I14 (cancel) → the referral and everything sent with it; one table for all events.

The guide has no map for chapter 11; the structure is REF_I12 (11.3.12), read by nearest predecessor. Orders in a referral are history: their reports
support it.
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order
from mappers.v2.segments.al1 import allergy
from mappers.v2.segments.aut import authorization
from mappers.v2.segments.con import consent
from mappers.v2.segments.dg1 import condition
from mappers.v2.segments.in1 import coverage
from mappers.v2.segments.nte import followers
from mappers.v2.segments.pr1 import procedure
from mappers.v2.segments.prd import place_provider, provider
from mappers.v2.segments.pv1 import add_diagnosis
from mappers.v2.segments.rf1 import referral


def map_referral(ctx: Context) -> Draft:
    """Map the message; the answer is what the MessageHeader points at: the referral."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    providers = [(node, provider(node, ctx)) for node in root.of("PRD")]
    rf1 = root.of("RF1")
    request = referral(rf1[0] if rf1 else None, ctx)
    for node, role in providers:
        place_provider(node, role, request, ctx)
        followers(node, role, ctx)
    if rf1:
        followers(rf1[0], request, ctx)
    conditions = _diagnoses(root, request, ctx)
    for node in root.of("AL1"):
        followers(node, allergy(node, ctx), ctx)
    authorizations = [authorization(n, ctx) for n in (*(rf1[0].of("AUT") if rf1 else ()), *root.of("AUT"))]
    for node in root.of("PR1"):
        followers(node, procedure(node, ctx), ctx)
        authorizations += [authorization(n, ctx) for n in node.of("AUT")]
    _insurance(root, request, authorizations, ctx)
    _history(root, request, ctx)
    for found in common.encounters(root, ctx):
        request.resource.setdefault("encounter", reference(found))
        _referring_doctor(found, request)
        for node, held in conditions:
            held.resource.setdefault("encounter", reference(found))
            add_diagnosis(found, held, node.segment.value(6), node.segment.value(15), ctx)
    return request


def _referring_doctor(visit: Draft, request: Draft) -> None:
    """PV1-8 names the requester when no PRD does (guide: PV1[Encounter] rows 17-20 make it a participant of the visit only)."""
    for participant in visit.resource.get("participant", ()):
        if participant["type"][0]["coding"][0]["code"] == "REF":
            request.resource.setdefault("requester", dict(participant["individual"]))


def _diagnoses(root: Node, request: Draft, ctx: Context) -> list[tuple[Node, Draft]]:
    found = [(node, condition(node, ctx)) for node in root.of("DG1")]
    for node, draft in found:
        followers(node, draft, ctx)
    if found:
        request.resource["reasonReference"] = [reference(draft) for _, draft in found]
    return found


def _insurance(root: Node, request: Draft, authorizations: list[Draft], ctx: Context) -> None:
    """ServiceRequest.insurance: every Coverage, and every authorisation, each authorisation naming the Coverage it falls under when only one can be
    meant.
    """
    coverages: list[Draft] = []
    for node in root.of("IN1"):
        held, certified = coverage(node, ctx, request)
        followers(node, held, ctx)
        coverages.append(held)
        authorizations += certified
    insurance = [reference(draft) for draft in (*coverages, *authorizations)]
    if insurance:
        request.resource["insurance"] = insurance
    if len(coverages) == 1:
        for claim in authorizations:
            claim.resource.setdefault("insurance", [{"sequence": 1, "focal": True, "coverage": reference(coverages[0])}])


def _history(root: Node, request: Draft, ctx: Context) -> None:
    supporting = []
    for orc, obr in orders(root):
        _, report = order(orc, obr, ctx)
        supporting.append(reference(report))
    for node in root.of("CON"):
        supporting.append(reference(consent(node, ctx)))
    supporting += [reference(found) for found in common.loose_results(root, ctx)]
    if supporting:
        request.resource["supportingInfo"] = supporting
