"""MDM^T01 to T11 → DocumentReference, the orders it answers, and a DiagnosticReport where it is the report of a diagnostic service. Guide: MDM_T02.

Even events bring the document, odd ones only tell of it; whether there is content is read from the OBX, not from the event (senders mix them up).

| event | what it does |
|---|---|
| T01, T02 | a new document |
| T03, T04 | its status changed |
| T05, T06 | an addendum: a document of its own that `appends` to its parent |
| T07, T08 | an edit: the same document number, its content replaced in place |
| T09, T10 | a replacement: a document of its own that `replaces` its parent, which becomes superseded |
| T11 | cancelled: entered in error |

The order of arrival does not matter: content is that of the newest message that brought any, status that of the newest message of all (`Draft.steps`).
A parent is always drafted, empty, so that both find each other whichever comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mappers.result import Clock, Draft, Json
from mappers.v2 import identity
from mappers.v2.context import REPLACED_BY, Context, kept, reference
from mappers.v2.datatypes.codes import fixed
from mappers.v2.datatypes.ids import ei_identifier
from mappers.v2.datatypes.times import moment, utc
from mappers.v2.groups import PARENTS, Node, orders, tree
from mappers.v2.messages import common
from mappers.v2.messages.results import RANK, order_segments, worth_keeping
from mappers.v2.segments.con import consent
from mappers.v2.segments.documents import FILES, LINES, body, fill, missing, titled
from mappers.v2.segments.msh import ABSENT
from mappers.v2.segments.nte import followers
from mappers.v2.segments.obx import observation
from mappers.v2.segments.orc import filler_reference, group_reference, order_reference
from mappers.v2.segments.txa import TXA
from mappers.v2.segments.zds import named_studies

STRUCTURE: Final = {**PARENTS, "OBX": ("TXA",)}
RELATION: Final = {"T05": "appends", "T06": "appends", "T09": "replaces", "T10": "replaces"}
CANCEL: Final = "T11"
_WITHDRAWN: Final = frozenset({"D", "W"})  # OBX-11
# DocumentReference.docStatus to DiagnosticReport.status, where it says less than OBR-25
_UNFINISHED: Final = {"preliminary": "preliminary"}
V2_0074: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
LOINC: Final = "http://loinc.org"


@dataclass(slots=True)
class Work:
    """One document being mapped. made: when its event happened (EVN-2, else MSH-7), which orders the messages about it; told: content came with it."""

    event: str
    made: str
    document: Draft
    report: Draft | None
    orders: list[Json]
    told: bool
    related: list[Json] = field(default_factory=list)


def map_document(ctx: Context) -> Draft:
    """Map the message; the answer is the document."""
    root = tree(ctx.message, STRUCTURE)
    common.patients(root, ctx)
    visits = common.encounters(root, ctx)
    txa = root.of("TXA")[0]
    content, results = _parted(sorted((*root.of("OBX"), *txa.of("OBX")), key=lambda n: n.segment.index))
    document = ctx.add(ctx.new("DocumentReference", subject=reference(ctx.patient)))
    report = ctx.add(ctx.new("DiagnosticReport", subject=reference(ctx.patient))) if _section(txa, ctx) else None
    work = Work(ctx.message.segments[0].value(9, 2), _made(ctx), document, report, _orders(root, report, ctx), bool(content))
    _describe(txa, content, work, ctx)
    _standing(txa, content, work, ctx)
    _parent(txa, work, ctx)
    work.related += [reference(consent(node, ctx)) for node in root.of("CON")]
    if report is not None:
        _report(report, txa, work, ctx)
    _results(results, work, ctx)
    if visits:
        document.resource.setdefault("context", {})["encounter"] = [reference(visit) for visit in visits]
    for draft in filter(None, (document, report)):
        _order_in_time(draft, work)
    _relate(work)
    return document


def _made(ctx: Context) -> str:
    for evn in ctx.message.named("EVN"):
        found = moment(evn.value(2), ctx.site.timezone)
        if found and found.time:
            return utc(evn.value(2), ctx.site.timezone)
    return ctx.clock.message


def _parted(nodes: list[Node]) -> tuple[list[Node], list[Node]]:
    """OBX that are the document, and those that are results beside it. ST is text only in a message without any other text or file."""
    kinds = LINES | FILES
    if not any(node.segment.value(2) in kinds for node in nodes):
        kinds = frozenset({"ST", ""})
    content = [node for node in nodes if node.segment.value(2) in kinds]
    return content, [node for node in nodes if node.segment.value(2) not in kinds]


def _section(txa: Node, ctx: Context) -> Json | None:
    """The diagnostic service (table 0074) whose report the document is, by TXA-2; None for a clinical note."""
    for repetition in txa.segment.repetitions(2)[:1]:
        for code in repetition[:1] + repetition[3:4]:
            if code and (found := ctx.tables.translate("0270-report-section", code.strip())):
                return fixed(found.system, found.code, found.display)
    return None


def _orders(root: Node, report: Draft | None, ctx: Context) -> list[Json]:
    """The orders the document answers, as references: to the ServiceRequest of each, and by the numbers it goes by elsewhere."""
    related: list[Json] = []
    for orc, obr in orders(root):
        request = ctx.new("ServiceRequest", intent="order", subject=reference(ctx.patient))
        order_segments(orc, obr, request, report, [], ctx)
        if worth_keeping(request):
            request.resource.setdefault("status", "unknown")
            related.append(reference(ctx.add(request)))
        for node, number, named in ((orc, 2, order_reference), (obr, 2, order_reference), (orc, 3, filler_reference), (orc, 4, group_reference)):
            related += [found for r in (node.segment.repetitions(number) if node else ()) if (found := named.convert(r, ctx))]
    return related


def _describe(txa: Node, content: list[Node], work: Work, ctx: Context) -> None:
    """What TXA and OBX say of the document. What no element takes is kept on it, or on the Provenance when the message only tells of the document,
    since the document then may be held already.
    """
    drafts = {"DocumentReference": work.document} | ({"DiagnosticReport": work.report} if work.report else {}) | {"Provenance": ctx.provenance}
    if not work.told:
        drafts = {"Provenance": drafts.pop("Provenance"), **drafts}
    TXA.map(txa.segment, ctx, **drafts)
    followers(txa, work.document if work.told else ctx.provenance, ctx)
    resource = work.document.resource
    contents = body(content, work.document, ctx)
    fill(work.document, contents, str(resource.get("description", "")) or titled(resource.get("type")))


def _standing(txa: Node, content: list[Node], work: Work, ctx: Context) -> None:
    """status and docStatus: the event and a withdrawal of all content say more than TXA-19; what is unavailable for care is not final yet."""
    resource, segment = work.document.resource, txa.segment
    if work.event == CANCEL or (content and all(node.segment.value(11) in _WITHDRAWN for node in content)):
        said = resource.pop("_status", {}).get("extension", [])
        sent = [] if said or not segment.value(19) else [kept("TXA-19", segment.value(19))]
        resource["status"] = "entered-in-error"
        resource["_status"] = {"extension": [*said, *sent]}
        if not said and not sent:
            del resource["_status"]
    resource.setdefault("status", "current")
    if segment.value(19) == "UN" and resource.get("docStatus") == "final":
        resource["docStatus"] = "preliminary"
        resource.setdefault("_docStatus", {"extension": [kept("TXA-17", segment.value(17))]})  # a clinic's own table may translate it exactly
    if "masterIdentifier" not in resource:
        ctx.segment, ctx.number = segment, 12
        ctx.find("101", "document number missing: later messages about the document will not find it")


def _parent(txa: Node, work: Work, ctx: Context) -> None:
    """TXA-13: the document this one adds to or replaces; the event says which, and for other events only that they belong together.

    An addendum sent under its parent's own number would take the parent's place: it gets a name of its own.
    """
    segment, document = txa.segment, work.document
    own, code = document.resource.get("masterIdentifier"), RELATION.get(work.event)
    ctx.segment, ctx.number = segment, 13
    named = [ei_identifier(r, ctx) for r in segment.repetitions(13)]
    number = next((n for n in named if n), None) or (own if code == "appends" else None)
    if number is None or (number == own and code != "appends"):
        return
    parent = reference(_drafted(number, code == "replaces", work, ctx))
    if number == own:
        document.resource.setdefault("identifier", []).append(document.resource.pop("masterIdentifier"))
        document.keys = (identity.key("DocumentReference:addendum", identity.id_text(number), segment.value(8) or segment.value(6) or work.made),)
    if code:
        document.resource["relatesTo"] = [{"code": code, "target": parent}]
    else:
        work.related.append(parent)


def _drafted(number: Json, replaced: bool, work: Work, ctx: Context) -> Draft:
    """The parent as far as this message knows it. It changes nothing of a held one, but marks one that is replaced."""
    elements: Json = {"subject": reference(ctx.patient), "masterIdentifier": number, "content": [{"attachment": missing()}]}
    if replaced:
        elements["extension"] = [{"url": REPLACED_BY, "valueReference": reference(work.document)}]
    parent = ctx.add(ctx.new("DocumentReference", status="superseded" if replaced else "current", **elements))
    parent.steps, parent.merge, parent.clock = True, "enrich", Clock()
    return parent


def _report(report: Draft, txa: Node, work: Work, ctx: Context) -> None:
    """The DiagnosticReport of the document: what the order asked for, with the document as its form; never further along than the document."""
    resource, document = report.resource, work.document.resource
    code = resource.setdefault("code", {})
    held = {c.get("system") for c in code.get("coding", ())}
    told = [dict(c) for c in document.get("type", {}).get("coding", ()) if not held or (LOINC not in held and c.get("system") == LOINC)]
    if told:
        code["coding"] = [*code.get("coding", ()), *told]
    if not code:
        code["extension"] = [ABSENT]
    if (section := _section(txa, ctx)) and "category" not in resource:
        resource["category"] = [section]
    doc_status = str(document.get("docStatus", ""))
    if document["status"] == "entered-in-error" or doc_status == "entered-in-error":
        resource.pop("_status", None)
        resource["status"] = "entered-in-error"
    elif doc_status in _UNFINISHED:
        resource.pop("_status", None)
        resource["status"] = _UNFINISHED[doc_status]
    resource.setdefault("status", doc_status or "unknown")
    resource["presentedForm"] = [dict(c["attachment"]) for c in document["content"]]
    number = document.get("masterIdentifier")
    about = identity.id_text(number) if number else f"{ctx.sender}\t{ctx.message.content_digest}"
    report.keys = (identity.key("DiagnosticReport:document", about),)
    work.related.append(reference(report))


def _results(nodes: list[Node], work: Work, ctx: Context) -> None:
    """OBX that are no document: results of the report, or beside the document."""
    for node in nodes:
        found = observation(node, ctx)
        found.clock = Clock(work.made, work.made, RANK.get(found.resource["status"], 0))
        if work.report is not None:
            work.report.resource.setdefault("result", []).append(reference(found))
        else:
            work.related.append(reference(found))
    studies = [reference(study) for study in named_studies(nodes, [], ctx)]
    work.related += studies
    if studies and work.report is not None:
        work.report.resource["imagingStudy"] = [dict(study) for study in studies]


def _order_in_time(draft: Draft, work: Work) -> None:
    """Content by when it was told: with content at `made`, without any before everything that has some (year 0), status by `made`."""
    resource = draft.resource
    rank = max(RANK.get(str(resource["status"]), 0), RANK.get(str(resource.get("docStatus", "")), 0))
    draft.steps = True
    draft.clock = Clock(work.made if work.told else "0" + work.made[1:] if work.made else "", work.made, rank)


def _relate(work: Work) -> None:
    """context.related of the document and basedOn of the report, each reference once."""
    holder = work.document.resource.setdefault("context", {})
    _once(holder, "related", [*holder.get("related", ()), *work.orders, *work.related])
    if not holder:
        del work.document.resource["context"]
    if work.report is not None:
        _once(work.report.resource, "basedOn", [*work.orders, *work.report.resource.get("basedOn", ())])


def _once(holder: Json, name: str, references: list[Json]) -> None:
    if references:
        holder[name] = [dict(found) for n, found in enumerate(references) if found not in references[:n]]
