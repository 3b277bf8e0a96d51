"""RQA^I08 to I11: may this be done at the payer's expense? (chapter 11.4) → Claim with use `preauthorization` and what is sent with it. I11 takes the
question back. RPA^I08 to I11: the payer's answer → ClaimResponse. Guide silent.

Neither is a referral: RF1 here numbers the question, and names the referral it is asked for.
"""

from __future__ import annotations

from typing import Final

from mappers.result import Draft, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import fixed
from mappers.v2.groups import Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order
from mappers.v2.segments import claim
from mappers.v2.segments.aut import authorization, complete_claim
from mappers.v2.segments.nte import followers
from mappers.v2.segments.prd import provider
from mappers.v2.table import keep_segment

INFORMATION: Final = "http://terminology.hl7.org/CodeSystem/claiminformationcategory"
TAKEN_BACK: Final = "I11"


def map_request(ctx: Context) -> Draft:
    """What a payer is asked to allow: a Claim for preauthorisation, taken back by I11."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    draft = ctx.add(ctx.new("Claim", status="active", use="preauthorization", patient=reference(ctx.patient)))
    resource = draft.resource
    asked = root.of("RF1")
    for node in asked[:1]:
        claim.RF1_ASKED.map(node.segment, ctx, Claim=draft)
        followers(node, draft, ctx)
    roles = _providers(root, ctx)
    if roles:
        resource["provider"] = reference(roles[0])
    for node in [*(n for rf1 in asked for n in rf1.of("AUT")), *root.of("AUT")]:
        claim.AUT_ASKED.map(node.segment, ctx, Claim=draft)
    for node in root.of("ACC"):
        claim.accident(node, draft, ctx)
    _services(root, draft, ctx)
    coverages, certified = common.insurance(root, ctx)
    common.cover(certified, coverages)
    claim.complete(draft, coverages, ctx)
    _information(root, draft, ctx)
    if ctx.trigger == TAKEN_BACK:
        resource["status"] = "cancelled"
    return draft


def _providers(root: Node, ctx: Context) -> list[Draft]:
    """Who asks (PRD RP) before who is to do it."""
    found = [(node, provider(node, ctx)) for node in root.of("PRD")]
    for node, role in found:
        followers(node, role, ctx)
    return [role for _, role in sorted(found, key=lambda pair: pair[0].segment.value(1) != "RP")]


def _services(root: Node, draft: Draft, ctx: Context) -> None:
    """Diagnoses and procedures, each procedure an item that is asked for."""
    resource = draft.resource
    diagnoses = common.diagnoses(root.children, ctx)
    if diagnoses:
        resource["diagnosis"] = [{"sequence": n, "diagnosisReference": reference(held)} for n, (_, held) in enumerate(diagnoses, 1)]
    common.allergies(root, ctx)
    items: list[Json] = []
    for number, node in enumerate(root.of("PR1"), 1):
        (made,) = common.procedures(Node(root.segment, [Node(node.segment, [n for n in node.children if n.segment.name != "AUT"])]), ctx)[0]
        made.resource["status"] = "preparation"  # it is asked for, not done
        resource.setdefault("procedure", []).append({"sequence": number, "procedureReference": reference(made)})
        item: Json = {"sequence": number, "procedureSequence": [number]}
        if "code" in made.resource:
            item["productOrService"] = dict(made.resource["code"])
        items.append(item)
        for inner in node.of("AUT"):
            keep_segment(inner.segment, draft, ctx, "what is asked for under one procedure: the item says the procedure")
    if items:
        general = resource.get("item", [{}])[0]
        resource["item"] = [{**general, **item} for item in items]


def _information(root: Node, draft: Draft, ctx: Context) -> None:
    """Results and visits that support the question."""
    found = [order(orc, obr, ctx)[1] for orc, obr in orders(root)] + common.loose_results(root, ctx)
    common.encounters(root, ctx)
    if found:
        draft.resource["supportingInfo"] = [
            {"sequence": n, "category": fixed(INFORMATION, "info"), "valueReference": reference(held)} for n, held in enumerate(found, 1)
        ]


def map_answer(ctx: Context) -> Draft:
    """A payer's answer: its ClaimResponses. One that names no authorisation says no, or not yet."""
    root = tree(ctx.message)
    notes = common.taken_notes(root, "RF1", "IN1", "GT1", "DG1", "PR1")
    common.patients(root, ctx)
    _providers(root, ctx)
    asked = root.of("RF1")
    nodes = [*(n for rf1 in asked for n in rf1.of("AUT")), *root.of("AUT")]
    answers = [authorization(node, ctx) for node in nodes]
    common.diagnoses(root.children, ctx)
    common.allergies(root, ctx)
    answers += common.procedures(root, ctx)[1]
    if not answers:
        answers = [ctx.add(ctx.new("ClaimResponse", status="active", use="preauthorization", patient=reference(ctx.patient)))]
        complete_claim(answers[0], ctx)
    for draft in answers:
        if asked:
            del draft.resource["outcome"]
            claim.RF1_ANSWERED.map(asked[0].segment, ctx, ClaimResponse=draft)
            draft.resource.setdefault("outcome", "complete" if "preAuthRef" in draft.resource else "queued")
        if ctx.trigger == TAKEN_BACK:
            draft.resource["status"] = "cancelled"
    _noted(answers[0], notes, ctx)
    coverages, certified = common.insurance(root, ctx)
    common.cover([*answers, *certified], coverages)
    for orc, obr in orders(root):
        order(orc, obr, ctx)
    common.encounters(root, ctx)
    common.loose_results(root, ctx)
    return answers[0]


def _noted(answer: Draft, notes: list[Node], ctx: Context) -> None:
    """NTE of the answer: ClaimResponse.processNote, with whatever else the NTE says."""
    for node in notes:
        said = Draft({"resourceType": "ProcessNote"}, answer.full_url)
        claim.PROCESS_NOTE.map(node.segment, ctx, ProcessNote=said)
        if "text" in said.resource:
            answer.resource.setdefault("processNote", []).append({k: v for k, v in said.resource.items() if k != "resourceType"})
        else:
            keep_segment(node.segment, answer, ctx, "a comment without text")
