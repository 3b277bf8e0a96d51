"""OBX that hold a document → DocumentReference and Binary, and DiagnosticReport.presentedForm: ED, RP, and text spread over several OBX of the same
code.

Guide: OBX[DocumentReference] rows 7-12, OBX[Observation] rows 26-30. Deviations: MIME types are sniffed ("application/text" and "text/hl7v2" of the
guide are none), the bytes stand once, in a Binary that both attachments point to. Bad base64 costs the data, not the document: what was sent is kept
and reported.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mappers.result import Draft, Json, Told
from mappers.v2.context import Context, kept, reference
from mappers.v2.datatypes.codes import as_extension, coded, cwe
from mappers.v2.datatypes.documents import PLAIN, attachment, decoded, embedded, named, sniff
from mappers.v2.datatypes.ids import ei
from mappers.v2.datatypes.parties import xcn
from mappers.v2.datatypes.text import ft, part
from mappers.v2.datatypes.times import dtm, instant
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.paths import STORED
from mappers.v2.segments.msh import ABSENT
from mappers.v2.segments.nte import followers
from mappers.v2.segments.obx import sub_id
from mappers.v2.table import SegmentMap, field, keep, segment, structural, takes, target

LINES: Final = frozenset({"TX", "FT"})
FILES: Final = frozenset({"ED", "RP"})
# OBX-11 to DocumentReference.docStatus (composition-status): only what has been said of the text itself
DOC_STATUS: Final = {
    "P": "preliminary",
    "R": "preliminary",
    "S": "preliminary",
    "F": "final",
    "U": "final",
    "V": "final",
    "C": "amended",
    "A": "amended",
    "B": "amended",
    "D": "entered-in-error",
    "W": "entered-in-error",
}


@takes(1)
def doc_status(repetition: Repetition, ctx: Context) -> str | None:
    return DOC_STATUS.get(part(repetition, 1))


@takes()
def content(repetition: Repetition, ctx: Context) -> bool:
    """OBX-5 as a whole; `document` makes the attachments of it."""
    return True


def attached(resource: Json, value: Any, ctx: Context) -> int:
    return STORED


def also_type(resource: Json, value: Any, ctx: Context) -> int:
    """The code of the OBX beside that of TXA-2: both say what the document is."""
    held = resource.setdefault("type", {})
    codings = [*held.get("coding", ()), *(c for c in value.get("coding", ()) if c not in held.get("coding", ()))]
    if codings:
        held["coding"] = codings
    if "text" in value:
        held.setdefault("text", value["text"])
    return STORED


_COMMON: Final = (
    field("OBX-4", "extension[]", sub_id),
    field("OBX-5", attached, content, shown="content[].attachment"),
    field("OBX-11", "docStatus", doc_status),
    field("OBX-14", "date", instant),
    field("OBX-14", "context.period.start", dtm),
    field("OBX-16", "author[]", xcn),
    field("OBX-21", "identifier[]", ei("FILL")),
    field("OBX-29", "category[]", coded("0936")),
    field("OBX-19", "extension[]", as_extension("http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time", "valueDateTime", dtm)),
)
_HOW: Final = (structural("OBX-1"), structural("OBX-2"))
OBX = segment("OBX", target("DocumentReference", field("OBX-3", "type", cwe), *_COMMON), *_HOW)
BODY = segment("OBX", target("DocumentReference", field("OBX-3", also_type, cwe, shown="type"), *_COMMON), *_HOW)
SECTION = segment("OBX", target("DocumentReference", *_COMMON), *_HOW, keep("OBX-3", why="code of one section; its words stand above its text"))


def gather(nodes: list[Node]) -> Iterator[list[Node]]:
    """OBX in runs: text lines of the same code and sub-id that follow each other are one run, everything else stands alone."""
    run: list[Node] = []
    for node in nodes:
        if run and _same_text(run[-1], node):
            run.append(node)
            continue
        if run:
            yield run
        run = [node]
    if run:
        yield run


def _same_text(one: Node, other: Node) -> bool:
    a, b = one.segment, other.segment
    return a.value(2) in LINES and a.value(2) == b.value(2) and a.raw(3) == b.raw(3) and a.raw(4) == b.raw(4) and bool(a.raw(3))


def is_document(run: list[Node]) -> bool:
    """Whether a run is a document rather than an observation."""
    return len(run) > 1 or run[0].segment.value(2) in FILES


def document(run: list[Node], ctx: Context) -> Draft:
    """The DocumentReference of a run. The caller adds what it relates to."""
    draft = ctx.add(ctx.new("DocumentReference", status="current", subject=reference(ctx.patient)))
    _described(OBX, run, draft, ctx)
    resource = draft.resource
    if resource.get("docStatus") == "entered-in-error":
        resource["status"] = "entered-in-error"
    contents = _text(run, ctx) if len(run) > 1 else _attachments(run[0], ctx, draft)
    fill(draft, contents, titled(resource.get("type")))
    return draft


def body(nodes: list[Node], draft: Draft, ctx: Context) -> list[Json]:
    """The attachments of one document told in several OBX (MDM): its text, all lines in one, and each file or pointer. Several codes are sections."""
    if not nodes:
        return []
    whole = len({node.segment.raw(3) for node in nodes}) == 1
    _described(BODY if whole else SECTION, nodes, draft, ctx)
    contents: list[Json] = []
    lines = [node for node in nodes if node.segment.value(2) not in FILES]
    for node in nodes:
        if node.segment.value(2) in FILES:
            found = _attachments(node, ctx, draft)
            title = "" if whole else _heading(node)
            contents += [{**c, "title": title} if title else c for c in found]
        elif node is lines[0]:
            contents += _text(lines, ctx, headed=not whole)
    return contents


def fill(draft: Draft, contents: list[Json], title: str) -> None:
    """Put the attachments into the document; without any, one that says that its content is absent (`content` is required)."""
    for attachment_ in contents:
        if title:
            attachment_.setdefault("title", title)
    draft.resource["content"] = [{"attachment": c} for c in contents or [missing(title)]]


def missing(title: str = "") -> Json:
    """An attachment whose bytes were not sent."""
    return {**({"title": title} if title else {}), "_url": {"extension": [ABSENT]}}


def _described(table: SegmentMap, nodes: list[Node], draft: Draft, ctx: Context) -> None:
    resource = draft.resource
    for node in nodes:
        table.map(node.segment, ctx, DocumentReference=draft)
        followers(node, draft, ctx)
    if len(nodes) > 1 and "extension" in resource:  # every line says the same of itself
        resource["extension"] = list({repr(e): e for e in resource["extension"]}.values())


def _heading(node: Node) -> str:
    """OBX-3 in words."""
    return next((found for n in (9, 2, 5, 1) if (found := node.segment.value(3, n))), "")


def titled(concept: Json | None) -> str:
    if not concept:
        return ""
    return str(concept.get("text") or next((c.get("display", "") for c in concept.get("coding", ())), ""))


def _text(run: list[Node], ctx: Context, *, headed: bool = False) -> list[Json]:
    """All lines as one plain text. headed: each section begins with what its code is called."""
    lines: list[str] = []
    before = ""
    for node in run:
        if headed and node.segment.raw(3) != before:
            lines += [""] * bool(lines) + [_heading(node)]
            before = node.segment.raw(3)
        lines += [ft.convert(r, ctx) or "" for r in node.segment.repetitions(5) or [[""]]]
    return [_binary("\n".join(lines).encode(), PLAIN, ctx)]


def _attachments(node: Node, ctx: Context, draft: Draft) -> list[Json]:
    ctx.segment, ctx.number = node.segment, 5
    found = []
    for ordinal, repetition in enumerate(node.segment.repetitions(5), 1):
        ctx.repetition = ordinal
        found.append(_embedded(repetition, ctx, draft) if node.segment.value(2) == "ED" else _pointer(repetition, ctx, draft))
    ctx.repetition = 1
    return found or [missing()]


def _embedded(repetition: Repetition, ctx: Context, draft: Draft) -> Json:
    """ED: source application, type, subtype, encoding, data."""
    described, text = embedded(repetition, ctx)
    kind, subtype = part(described, 2), part(described, 3)
    _keep(repetition, (1, 2, 3) if len(repetition) > 4 else (), ctx, draft)
    data = decoded(part(described, 4), text, ctx)
    if data is None:
        _keep(repetition, range(4 if len(repetition) > 4 else 1, len(repetition) + 1), ctx, draft)
        return {"contentType": named(kind, subtype), "_url": {"extension": [ABSENT]}}
    return _binary(data, sniff(data, kind, subtype), ctx)


def _pointer(repetition: Repetition, ctx: Context, draft: Draft) -> Json:
    """RP: pointer, application, type, subtype. A pointer that is no URI (a UNC path with blanks) is kept."""
    pointer = part(repetition, 1)
    out: Json = {"contentType": named(part(repetition, 3), part(repetition, 4))}
    usable = bool(pointer) and not any(c.isspace() for c in pointer)
    if usable:
        out["url"] = pointer
    _keep(repetition, (2, 3, 4) if usable else (1, 2, 3, 4), ctx, draft)
    return out


def _keep(repetition: Repetition, components: Iterable[int], ctx: Context, draft: Draft) -> None:
    for component in components:
        if text := part(repetition, component):
            draft.resource.setdefault("extension", []).append(kept(f"{ctx.place()}.{component}", text))
            ordinal = ctx.repetition if ctx.repetition > 1 else None
            told: Told = ("OBX", 5, ordinal, component, None, "kept", "DocumentReference.extension", "no element of Attachment says it")
            ctx.account(ctx.segment).append(told)


def _binary(data: bytes, mime: str, ctx: Context) -> Json:
    binary = ctx.add(ctx.new("Binary", contentType=mime, securityContext=reference(ctx.patient), data=base64.b64encode(data).decode()))
    return attachment(data, mime, binary.full_url)
