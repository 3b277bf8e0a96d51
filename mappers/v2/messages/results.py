"""Orders with their results, as REF and ORU (and later OML, OMG, ORM) carry them: ORC, OBR, OBX, SPM, NTE, TQ1, ZDS → DiagnosticReport and what hangs
on it.

Guide: ORU_R01 message map rows 40-77. Deviations: the order's ServiceRequest is made only when the message says something about it that the report
can't hold; OBX behind SPM are results of the report as well (row 77: focus only).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mappers.result import PROMOTED, Clock, Draft, Finding, Json
from mappers.v2.context import Context, reference
from mappers.v2.datatypes.times import utc
from mappers.v2.groups import Node
from mappers.v2.segments.documents import document, gather, is_document
from mappers.v2.segments.msh import ABSENT
from mappers.v2.segments.nte import followers
from mappers.v2.segments.obx import observation
from mappers.v2.segments.orc import OBR, TQ1, order_control
from mappers.v2.segments.prd import CTD
from mappers.v2.segments.spm import specimen
from mappers.v2.segments.zds import imaging_study, named_studies

# Later states win ties of the clock: a late preliminary must not replace a final, nor a resent final a correction.
# From 50 on a result counts as final.
RANK: Final = {
    "registered": 0,
    "partial": 10,
    "preliminary": 20,
    "final": 50,
    "appended": 60,
    "amended": 60,
    "corrected": 70,
    "cancelled": 80,
    "entered-in-error": 90,
}
# What alone does not make an order worth a resource of its own
_BARE: Final = frozenset({"resourceType", "intent", "subject", "code"})
CONTENT: Final = ("result", "presentedForm", "imagingStudy", "specimen")


def order(orc: Node | None, obr: Node | None, ctx: Context) -> tuple[Draft | None, Draft]:
    """(ServiceRequest or None, DiagnosticReport) of one ORC/OBR group, all its results, specimens and documents added."""
    request = ctx.new("ServiceRequest", intent="order", subject=reference(ctx.patient))
    report = ctx.add(ctx.new("DiagnosticReport", subject=reference(ctx.patient)))
    specimens = [specimen(n, ctx) for n in (obr.of("SPM") if obr else ())]
    order_segments(orc, obr, request, report, specimens, ctx)
    _complete(report, obr, ctx)
    clock(report, obr, ctx)
    made = _bundle_results(orc, obr, report, specimens, ctx)
    _withdraw(report, made, obr, ctx)
    has_request = worth_keeping(request)
    if has_request:
        request.merge = "enrich"  # a result only mentions its order
        if orc is None or not orc.segment.raw(5):
            request.defaults = ("status",)
        request.resource["status"] = request.resource.get("status", "unknown")
        report.resource.setdefault("basedOn", []).insert(0, reference(request))
        ctx.add(request)
    _relate(made, report, request if has_request else None, ctx)
    if not any(name in report.resource for name in CONTENT):
        report.merge = "enrich"  # OBR without OBX says how far the report is come, not that it has no results
    return (request if has_request else None), report


def worth_keeping(request: Draft) -> bool:
    """Whether the order says something its result can't hold."""
    return any(name not in _BARE for name in request.resource)


def clock(report: Draft, obr: Node | None, ctx: Context) -> None:
    """OBR-22 and the status decide which version of a report is the newer one."""
    clinical = utc(obr.segment.value(22), ctx.site.timezone) if obr else ""
    report.clock = Clock(clinical, ctx.clock.message, RANK.get(report.resource["status"], 0))


def order_segments(orc: Node | None, obr: Node | None, request: Draft, report: Draft | None, specimens: list[Draft], ctx: Context) -> None:
    """Both segments with what hangs on them, onto the order and its report; report: None where a document is no result (MDM)."""
    home = report or request
    reported = {"DiagnosticReport": report} if report else {}
    if obr is not None:
        # OBR-9 to -15 describe the specimen: the one SPM's, or without SPM one of their own
        sample = specimens[0] if len(specimens) == 1 else ctx.new("Specimen", subject=reference(ctx.patient))
        drafts = reported | {"ServiceRequest": request} | ({} if len(specimens) > 1 else {"Specimen": sample})
        OBR.map(obr.segment, ctx, **drafts)
        if not specimens and len(sample.resource) > 2:
            specimens.append(ctx.add(sample))
        for timing in obr.of("TQ1"):
            TQ1.map(timing.segment, ctx, ServiceRequest=request)
        for contact in obr.of("CTD"):
            CTD.map(contact.segment, ctx, **(reported or {"ServiceRequest": request}))
        followers(obr, home, ctx)
    if orc is not None:
        order_control(orc, ctx, **reported, ServiceRequest=request)
        for timing in orc.of("TQ1"):
            TQ1.map(timing.segment, ctx, ServiceRequest=request)
        followers(orc, home, ctx)
    one_occurrence(request.resource)


def _complete(report: Draft, obr: Node | None, ctx: Context) -> None:
    resource = report.resource
    resource.setdefault("code", {"extension": [ABSENT]})
    if "status" not in resource:
        resource["status"] = "unknown"
        if obr is not None:  # the guide calls it an error (OBR[DiagnosticReport] row 33); a report of unknown status is better than none
            ctx.findings.append(Finding("warning", "101", "result status missing: the report's status is unknown", obr.segment.where(25)))


def one_occurrence(request: Json) -> None:
    """A period takes a single time in as its start: an order has but one of the two."""
    if "occurrenceDateTime" in request and "occurrencePeriod" in request:
        request["occurrencePeriod"].setdefault("start", request.pop("occurrenceDateTime"))
        request.pop("_occurrenceDateTime", None)


def _bundle_results(orc: Node | None, obr: Node | None, report: Draft, specimens: list[Draft], ctx: Context) -> list[Draft]:
    """Observations and documents of the group, linked to the report; answers what was made."""
    nodes = [n for parent in (orc, obr) if parent for n in parent.of("OBX")]
    ordered = sorted(nodes, key=lambda n: n.segment.index)
    by_node = dict(zip((id(n) for n in (obr.of("SPM") if obr else ())), specimens, strict=False))
    made: list[Draft] = []
    resource = report.resource
    for run in gather(ordered):
        if is_document(run):
            found = document(run, ctx)
            forms = [c["attachment"] for c in found.resource["content"]]
            resource.setdefault("presentedForm", []).extend(dict(f) for f in forms)
        else:
            source = by_node.get(id(run[0].specimen)) if run[0].specimen else None
            found = observation(run[0], ctx, source or (specimens[0] if len(specimens) == 1 else None))
            _weigh(found, run[0], report)
            _dated(found.resource, run[0], resource)
            resource.setdefault("result", []).append(reference(found))
        made.append(found)
    for study in (n for parent in (orc, obr) if parent for n in parent.of("ZDS")):
        made.append(imaging_study(study, ctx, _accession(resource)))
    made += named_studies(ordered, made, ctx)
    if studies := [reference(draft) for draft in made if draft.resource["resourceType"] == "ImagingStudy"]:
        resource["imagingStudy"] = studies
    if specimens:
        resource["specimen"] = [reference(s) for s in specimens]
    return made


def _dated(found: Json, node: Node, report: Json) -> None:
    """A result that does not say when is from when its report says (7.4.2.14: OBX-14 is sent where it differs from OBR-7)."""
    if not node.segment.raw(14):
        found.update({name: _copied(value) for name, value in report.items() if name.lstrip("_").startswith("effective")})


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _weigh(found: Draft, node: Node, report: Draft) -> None:
    """A result is as new as its report and as far along as it says itself. U without a value makes final what was sent before (table 0085)."""
    found.clock = replace(report.clock, rank=RANK.get(found.resource["status"], 0))
    if node.segment.value(11) == "U" and not node.segment.raw(5):
        found.merge, found.clock = "promote", Clock(rank=PROMOTED)


def _withdraw(report: Draft, made: list[Draft], obr: Node | None, ctx: Context) -> None:
    """A report all of whose results were withdrawn (OBX-11 D, or W: sent for the wrong patient) is itself withdrawn, whatever OBR-25 says.

    Guide silent. A laboratory takes back a mix-up by correcting the report (C) and withdrawing each value; a report that stayed would close its item.
    """
    results = [draft.resource for draft in made if draft.resource["resourceType"] in ("Observation", "DocumentReference")]
    if results and all(resource.get("status") == "entered-in-error" for resource in results) and report.resource["status"] != "entered-in-error":
        report.resource["status"] = "entered-in-error"
        report.clock = replace(report.clock, rank=RANK["entered-in-error"])
        where = obr.segment.where(25) if obr else None
        ctx.findings.append(Finding("information", "0", "every result was withdrawn, so the report is entered in error", where))


def _accession(report: Json) -> Json | None:
    """The filler's order number is a study's accession number (IHE RAD: OBR-18 or OBR-3 by site; OBR-3 is the standard's own)."""
    filler = next((i for i in report.get("identifier", ()) if i.get("type", {}).get("coding", [{}])[0].get("code") == "FILL"), None)
    if filler is None:
        return None
    return {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
        "system": filler["system"],
        "value": filler["value"],
    }


def _relate(made: list[Draft], report: Draft, request: Draft | None, ctx: Context) -> None:
    """Documents and images say which order or referral they belong to, as the report does."""
    based_on = report.resource.get("basedOn", [])
    for draft in made:
        kind = draft.resource["resourceType"]
        if kind == "DocumentReference":
            related = [*(dict(b) for b in based_on), reference(report)]
            draft.resource.setdefault("context", {})["related"] = related
            draft.clock = report.clock
        elif kind == "ImagingStudy" and based_on:
            draft.resource["basedOn"] = [dict(b) for b in based_on]
            draft.clock = report.clock
