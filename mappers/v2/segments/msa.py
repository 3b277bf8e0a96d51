"""MSA, ERR → MessageHeader.response: which message is answered, how, and what was found wrong with it, as a contained OperationOutcome.

Guide: MSA[MessageHeader] rows 3-4; silent on ERR. ERR-1 is the location and code of versions before 2.5, ERR-2 to -8 of those since.
"""

from __future__ import annotations

import re
from typing import Final

from mappers.result import Draft, Json
from mappers.v2 import identity
from mappers.v2.context import Context
from mappers.v2.datatypes.codes import coded, concept
from mappers.v2.datatypes.text import code, ft, part, parts, subs
from mappers.v2.groups import Node
from mappers.v2.message import Repetition
from mappers.v2.table import field, keep, segment, takes, target

OUTCOME: Final = "answer"
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
RESPONSE: Final = code("0008-response-code", number="0008")
SEVERITY: Final = code("0516-issue-severity", number="0516")


@takes(1)
def answered(repetition: Repetition, ctx: Context) -> str | None:
    """MSA-2. The element is an id: a control id that is none stands as its digest, and is kept."""
    value = part(repetition, 1)
    if value and not _ID.fullmatch(value):
        ctx.leave(1)
        return identity.digest(value)
    return value or None


@takes(1, 2, 3, 4, 5, 6)
def place(repetition: Repetition, ctx: Context) -> str | None:
    """ERL (ERR-2) as `OBX[3]-5(1).2`: how this gateway names a place in a message."""
    name, sequence, number, repeat, component, sub = parts(repetition, 6)
    if not name:
        return None
    text = f"{name}[{sequence or 1}]" + (f"-{number}" if number else "") + (f"({repeat})" if repeat not in ("", "1") else "")
    return text + (f".{component}" if component else "") + (f".{sub}" if sub else "")


@takes(1, 2, 3)
def old_place(repetition: Repetition, ctx: Context) -> str | None:
    """ELD.1-3 (ERR-1 before 2.5)."""
    found: str | None = place.convert(repetition[:3], ctx)
    return found


@takes(4)
def old_code(repetition: Repetition, ctx: Context) -> Json | None:
    """ELD.4, a coded error in subcomponents."""
    inner = subs(repetition, 4)
    return concept(inner, ctx, "0357") if inner else None


MSA: Final = segment(
    "MSA",
    target(
        "MessageHeader",
        field("MSA-1", "response.code", RESPONSE),  # row 3
        field("MSA-2", "response.identifier", answered),  # row 4
    ),
    target("Issue", field("MSA-3", "diagnostics", ft)),  # guide silent: words for people, of older senders
    keep("MSA-6", why="error condition of before 2.4: ERR says it"),
)

ERR: Final = segment(
    "ERR",
    target(
        "Issue",
        field("ERR-1", "expression[]", old_place),
        field("ERR-1", "details", old_code),
        field("ERR-2", "expression[]", place),
        field("ERR-3", "details", coded("0357")),
        field("ERR-4", "severity", SEVERITY),
        field("ERR-7", "diagnostics", ft),
        field("ERR-8", "details.text", ft),
    ),
    keep("ERR-5", why="the sender's own error code: one set of codes is enough to act on"),
)


def response(root: Node, header: Draft, ctx: Context) -> None:
    """What the message answers. Without MSA it answers nothing, whatever ERR it holds."""
    issues: list[Json] = []
    for node in root.of("MSA")[:1]:
        issue = Draft({"resourceType": "Issue"}, header.full_url)
        MSA.map(node.segment, ctx, MessageHeader=header, Issue=issue)
        said = header.resource.setdefault("response", {})
        said.setdefault("code", "fatal-error")  # an answer of no known kind is no yes
        said.setdefault("identifier", "unknown")
        issues += [issue.resource] if len(issue.resource) > 1 else []
        for error in root.of("ERR"):
            found = Draft({"resourceType": "Issue"}, header.full_url)
            ERR.map(error.segment, ctx, Issue=found)
            issues.append(found.resource)
    if issues:
        severity = "information" if header.resource["response"]["code"] == "ok" else "error"
        header.resource["contained"] = [{"resourceType": "OperationOutcome", "id": OUTCOME, "issue": [_issue(i, severity, ctx) for i in issues]}]
        header.resource["response"]["details"] = {"reference": f"#{OUTCOME}"}


def _issue(made: Json, severity: str, ctx: Context) -> Json:
    """An issue with what FHIR requires of it."""
    codings = made.get("details", {}).get("coding", ())
    found = next((t for c in codings if (t := ctx.tables.translate("0357-issue-type", c.get("code", "")))), None)
    return {
        **{k: v for k, v in made.items() if k != "resourceType"},
        "severity": made.get("severity", severity),
        "code": found.code if found else "processing",
    }
