"""PIN^I07 (unsolicited) and RPI^I01 (asked for): a patient's insurance as it is now → Coverage. RQI^I01: what insurance is there? →
CoverageEligibilityRequest. Guide silent (chapter 11.2).

The message tells the whole of each insurance it names: what it no longer says of one is gone. It says nothing of insurances it does not name.
"""

from __future__ import annotations

from mappers.result import Draft
from mappers.v2.context import Context, reference
from mappers.v2.groups import Node, tree
from mappers.v2.messages import common
from mappers.v2.segments.claim import created, sender
from mappers.v2.segments.nte import followers
from mappers.v2.segments.prd import provider


def map_insurance(ctx: Context) -> Draft:
    """A patient's insurances, each told as a whole. Pointed at: the first Coverage, else the patient."""
    coverages, _ = _insured(ctx)
    for held in coverages:
        held.merge = "replace"
    return coverages[0] if coverages else ctx.patient


def map_enquiry(ctx: Context) -> Draft:
    """The question what insurance there is: a CoverageEligibilityRequest. What it says of insurances is what the sender believes."""
    coverages, roles = _insured(ctx)
    draft = ctx.add(ctx.new("CoverageEligibilityRequest", status="active", purpose=["benefits"], patient=reference(ctx.patient)))
    resource = draft.resource
    created(resource, ctx)
    resource["provider"] = reference(roles[0]) if roles else sender(ctx)
    resource["insurer"] = dict(coverages[0].resource["payor"][0]) if coverages else {"display": "payer not named"}
    if coverages:
        resource["insurance"] = [{"focal": number == 0, "coverage": reference(held)} for number, held in enumerate(coverages)]
    return draft


def _insured(ctx: Context) -> tuple[list[Draft], list[Draft]]:
    """(Coverages, PractitionerRoles of PRD) with the patient and what stands with them."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    roles = [_role(node, ctx) for node in root.of("PRD")]
    coverages, certified = common.insurance(root, ctx)
    common.cover(certified, coverages)
    return coverages, roles


def _role(node: Node, ctx: Context) -> Draft:
    role = provider(node, ctx)
    followers(node, role, ctx)
    return role
