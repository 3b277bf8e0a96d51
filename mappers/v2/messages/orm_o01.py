"""ORM^O01, OMG^O19, OML^O21 → what each ORC/OBR group is: an order (ServiceRequest), a referral (the same, with a case), word of how a referral stands
(Communication), or results (DiagnosticReport).

Guide: OML_O21 and ORM_O01 message maps; silent on OMG and on referrals by order (360X, ADR 0023). An order for a test is a record; it is a referral when
OBR-4 or OBR-31 says so. Results under an order that is still to be done inform it (supportingInfo); they are no report of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from mappers.result import Draft, IdentityKey
from mappers.v2 import identity
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.codes import V2, concept
from mappers.v2.groups import Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import order as results
from mappers.v2.messages.results import order_segments
from mappers.v2.segments.orc import ORC
from mappers.v2.segments.prd import place_provider, provider
from mappers.v2.segments.rf1 import REFERRAL, opened, withdrawn
from mappers.v2.segments.spm import specimen
from mappers.v2.segments.standing import ORC_TOLD, told
from mappers.v2.table import keep_segment

Kind = Literal["order", "referral", "standing", "results"]
SAYS_REFERRAL: Final = frozenset(
    {*((c["system"], c["code"]) for c in REFERRAL["coding"]), ("http://snomed.info/sct", "183524004"), (V2 + "0336", "S"), (V2 + "0282", "SO")}
)
TAKEN_BACK: Final = frozenset({"CA", "DC"})  # what a placer may say of its own order (table 0119)
FILLERS_WORD: Final = frozenset({"OC", "CR", "OD", "UA", "UC", "UD", "DR", "SC", "SN", "SS", "SR", "OK", "OE", "OF", "RE"})
NOT_YET: Final = frozenset({"O", "I", "S"})  # OBR-25 of an order no result of which is known (table 0123)
DETAIL: Final = frozenset({"RXO", "RXR", "RXC", "ODS", "ODT", "RQD", "RQ1", "BLG"})


class Group(NamedTuple):
    """One order of a message. loose: what follows it and hangs on no segment of it (diagnoses, the detail of other kinds of order)."""

    orc: Node | None
    obr: Node | None
    loose: list[Node]

    @property
    def control(self) -> str:
        return self.orc.segment.value(1).upper() if self.orc else ""

    @property
    def status(self) -> str:
        return self.orc.segment.value(5).upper() if self.orc else ""

    def of(self, *names: str) -> list[Node]:
        """Children of ORC and OBR, in message order."""
        return sorted((n for parent in (self.orc, self.obr) if parent for n in parent.of(*names)), key=lambda n: n.segment.index)


def map_orders(ctx: Context) -> Draft:
    """Orders, referrals by order, results, word of how they stand. Pointed at: a referral or report; an order would become a referral by it."""
    root = tree(ctx.message)
    common.patients(root, ctx)
    visits = common.encounters(root, ctx)
    common.allergies(root, ctx)
    groups, early = _groups(root)
    made: list[tuple[Kind, Draft]] = []
    for group in groups:
        kind = _kind(group, ctx)
        made.append((kind, _ordered(group, kind, root, ctx) if kind in ("order", "referral") else _said(group, kind, ctx)))
    requests = [draft for kind, draft in made if kind in ("order", "referral")]
    referral = next((draft for kind, draft in made if kind == "referral"), None)
    _common(root, early, requests, referral, ctx)
    for request in requests:
        if visits:
            request.resource.setdefault("encounter", reference(visits[0]))
    if referral is not None:
        _history(referral, [draft for _, draft in made if draft is not referral])
    _name(requests, referral)
    return referral or next((draft for kind, draft in made if kind == "results"), ctx.patient)


def withdraws(group: Group) -> bool:
    """The placer takes the order back: ORC-1 says so, or ORC-5 does and ORC-1 is no word of a filler."""
    return group.control in TAKEN_BACK or (group.status == "CA" and group.control not in FILLERS_WORD)


def withdrawal(group: Group, ctx: Context) -> Draft:
    """What was ordered under these numbers, whether a referral or not, taken back. Named only: the message need not say all of it again."""
    draft = opened(ctx, ended=True)
    if group.orc is not None:
        ORC.map(group.orc.segment, ctx, ServiceRequest=draft)
    withdrawn(draft, group.orc.segment if group.orc else None, 5, ctx)
    numbers = [identity.id_text(i) for i in draft.resource.get("identifier", ())]
    draft.keys = (
        *identity.by_identifiers("ServiceRequest", draft.resource),
        *dict.fromkeys(identity.key("ServiceRequest:number", number) for number in numbers),
    )
    return ctx.add(draft)


def _groups(root: Node) -> tuple[list[Group], list[Node]]:
    """The orders of a message, each with the loose segments behind it, and the loose segments before the first."""
    found = [Group(orc, obr, []) for orc, obr in orders(root)]
    early: list[Node] = []
    for node in root.children:
        if node.segment.name in DETAIL or node.segment.name == "DG1":
            before = [g for g in found if (g.orc or g.obr).segment.index < node.segment.index]  # type: ignore[union-attr]  # one is there
            (before[-1].loose if before else early).append(node)
    return found, early


def _kind(group: Group, ctx: Context) -> Kind:
    referred = _says_referral(group, ctx)
    reported = group.obr is not None and group.obr.segment.value(25) not in ("", *NOT_YET)
    if group.of("OBX") and (reported or group.control == "RE"):
        return "results"
    if referred and not withdraws(group) and group.control in FILLERS_WORD:
        return "standing"
    return "referral" if referred else "order"


def _says_referral(group: Group, ctx: Context) -> bool:
    if group.obr is None:
        return False
    said = [concept(repetition, ctx) or {} for number in (4, 31) for repetition in group.obr.segment.repetitions(number)]
    return any((coding.get("system"), coding.get("code")) in SAYS_REFERRAL for found in said for coding in found.get("coding", ()))


def _said(group: Group, kind: Kind, ctx: Context) -> Draft:
    """Results, or word of how a referral stands."""
    if kind == "results":
        return results(group.orc, group.obr, ctx)[1]
    assert group.orc is not None  # its ORC-1 made it what it is
    draft = told(group.orc.segment, ORC_TOLD, group.of("NTE"), ctx)
    if group.obr is not None:
        keep_segment(group.obr.segment, draft, ctx, "the referral's own, told by the message that referred")
    return draft


def _ordered(group: Group, kind: Kind, root: Node, ctx: Context) -> Draft:
    """The ServiceRequest of an order or a referral, with everything that informs it."""
    if kind == "referral":
        ctx.event = "cancel" if withdraws(group) else "modify" if group.control in ("XO", "RP", "RU") else "refer"
        draft = opened(ctx, ended=ctx.event == "cancel")
    else:
        draft = ctx.new("ServiceRequest", intent="order", subject=reference(ctx.patient))
    ctx.add(draft)
    specimens = [specimen(node, ctx) for node in group.of("SPM")]
    order_segments(group.orc, group.obr, draft, None, specimens, ctx)
    resource = draft.resource
    if specimens:
        resource["specimen"] = [reference(found) for found in specimens]
    if kind == "referral":
        for node in root.of("PRD"):
            place_provider(node, provider(node, ctx), draft, ctx)
    if kind == "referral" and ctx.event == "cancel":
        withdrawn(draft, group.orc.segment if group.orc else None, 5, ctx)
    resource.setdefault("status", "active")
    informing = common.results_of(group.of("OBX"), ctx)
    if informing:
        resource["supportingInfo"] = [reference(found) for found in informing]
    for found in informing:
        if kind == "referral" and found.resource["resourceType"] == "DocumentReference":
            found.resource.setdefault("context", {})["related"] = [reference(draft)]
    diagnoses = common.diagnoses(group.loose, ctx)
    if diagnoses:
        resource["reasonReference"] = [reference(held) for _, held in diagnoses]
    for node in group.loose:
        if node.segment.name in DETAIL:
            keep_segment(node.segment, draft, ctx, "detail of an order of another kind: its ORC is the ServiceRequest")
    return draft


def _common(root: Node, early: Iterable[Node], requests: Sequence[Draft], referral: Draft | None, ctx: Context) -> None:
    """What stands before the orders is about all of them: diagnoses and insurance."""
    diagnoses = common.diagnoses(early, ctx)
    coverages, certified = common.insurance(root, ctx, referral)
    common.cover(certified, coverages)
    for request in requests:
        if diagnoses:
            request.resource.setdefault("reasonReference", []).extend(reference(held) for _, held in diagnoses)
        if coverages:
            request.resource["insurance"] = [reference(held) for held in (*coverages, *certified)]


def _history(referral: Draft, others: Iterable[Draft]) -> None:
    """What comes with a referral informs it."""
    found = [reference(draft) for draft in others if draft.resource["resourceType"] != "Communication"]
    if found:
        referral.resource.setdefault("supportingInfo", []).extend(found)


def _name(requests: Iterable[Draft], referral: Draft | None) -> None:
    """Orders are known by number and code, as the results that mention them are, and by number alone: what is said of an order later need not repeat its
    code. The first order under a number has it. A cancelled order that says no code is known by its number only."""
    taken: set[IdentityKey] = set()
    for draft in requests:
        resource = draft.resource
        numbers = dict.fromkeys(identity.id_text(i) for i in resource.get("identifier", ()))
        if draft is referral or not numbers:
            continue
        code = identity.code_text(resource.get("code"))
        coded = tuple(identity.key("ServiceRequest:order", number, code) for number in numbers) if code else ()
        bare = tuple(k for k in (identity.key("ServiceRequest:number", number) for number in numbers) if k not in taken)
        taken.update(bare)
        draft.keys = (*coded, *bare)
        if not code:
            draft.merge = "enrich"
