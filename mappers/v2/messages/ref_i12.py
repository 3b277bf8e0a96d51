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
from mappers.v2.segments.aut import authorization
from mappers.v2.segments.con import consent
from mappers.v2.segments.nte import followers
from mappers.v2.segments.prd import place_provider, provider
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
    conditions = common.diagnoses(root.children, ctx)
    if conditions:
        request.resource["reasonReference"] = [reference(draft) for _, draft in conditions]
    common.allergies(root, ctx)
    authorizations = [authorization(n, ctx) for n in (*(rf1[0].of("AUT") if rf1 else ()), *root.of("AUT"))]
    insured(root, request, authorizations, ctx)
    _history(root, request, ctx)
    for found in common.encounters(root, ctx):
        request.resource.setdefault("encounter", reference(found))
        _referring_doctor(found, request)
        common.diagnosed(found, conditions, ctx)
    return request


def _referring_doctor(visit: Draft, request: Draft) -> None:
    """PV1-8 names the requester when no PRD does (guide: PV1[Encounter] rows 17-20 make it a participant of the visit only)."""
    for participant in visit.resource.get("participant", ()):
        if participant["type"][0]["coding"][0]["code"] == "REF":
            request.resource.setdefault("requester", dict(participant["individual"]))


def insured(root: Node, request: Draft, authorizations: list[Draft], ctx: Context) -> None:
    """ServiceRequest.insurance: every Coverage and every authorisation, those under procedures too."""
    _, under = common.procedures(root, ctx)
    coverages, certified = common.insurance(root, ctx, request)
    allowed = [*authorizations, *under, *certified]
    insurance = [reference(draft) for draft in (*coverages, *allowed)]
    if insurance:
        request.resource["insurance"] = insurance
    common.cover(allowed, coverages)


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
