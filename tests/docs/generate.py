"""The pages of docs/ that are tables of the code: `make docs` writes them, a test proves that they are up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fhir_gateway import errors, events
from fhir_gateway.cases import machine, messageevent
from fhir_gateway.cases.checklist import compile_checklist
from fhir_gateway.settings import Settings
from mappers.v2.messages.registry import MESSAGES
from profiles import plandefinitions, searchparameters, x12codes
from profiles.compartments import CARE_DATE
from tests.docs import mapping_pages
from tests.docs.tables import NOTE, section, table

DOCS = Path(__file__).parents[2] / "docs"


def pages() -> dict[str, str]:
    """File name → content."""
    return {
        "settings.md": settings(),
        "errors.md": error_tree(),
        "events.md": log_events(),
        "search-parameters.md": search_parameters(),
        "operations.md": operations(),
        "message-types.md": message_types(),
        "segments.md": mapping_pages.segments(),
        "code-tables.md": mapping_pages.code_tables(),
        "disagreements.md": mapping_pages.disagreements(),
        "rejections.md": rejections(),
        "case-states.md": case_states(),
        "checklists.md": checklists(),
    }


def settings() -> str:
    rows = ((f"`GATEWAY_{name.upper()}`", f"`{field.default}`", field.description) for name, field in Settings.model_fields.items())
    return table(
        "Settings",
        "Environment variables, or a `.env` file. `fhir-gateway settings` prints them with their values.",
        ("setting", "default", "meaning"),
        rows,
    )


def rejections() -> str:
    rows = (
        (f"`{one.code}`", one.means, one.who, one.do, f"by itself after {one.retry} minutes" if one.retry else "")
        for one in x12codes.shipped().rejections.values()
    )
    intro = (
        "What a payer's refusal (AAA03 of a 271) means, who puts it right, and what to do. When to ask again is the payer's own word (AAA04) first."
    )
    return table("Rejections", intro, ("code", "means", "who", "what to do", "asked again"), rows)


def error_tree() -> str:
    def rows() -> Iterator[tuple[object, ...]]:
        for kind in sorted(_below(errors.GatewayError), key=lambda k: (k.http, k.__name__)):
            yield f"`{kind.__name__}`", kind.http, kind.issue, kind.ack, kind.v2_0357

    intro = "Each error as HTTP status, OperationOutcome issue code, MSA-1 and table 0357 code."
    return table("Errors", intro, ("error", "HTTP", "OperationOutcome", "ACK", "0357"), rows())


def _below(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _below(inner)


def log_events() -> str:
    rows = ((f"`{name}`", ", ".join(f"`{field}`" for field in fields)) for name, fields in events.EVENTS.items())
    return table(
        "Log events", "Everything the gateway can log. Fields are ids, codes, counts and times; never names or free text.", ("event", "fields"), rows
    )


def search_parameters() -> str:
    by_type: dict[str, list[str]] = {}
    for parameter in searchparameters.load():
        by_type.setdefault(parameter.type, []).append(f"`{parameter.code}` ({parameter.kind})")
    rows = (
        (kind if kind != "Resource" else "every type", ", ".join(sorted(codes)))
        for kind, codes in sorted(by_type.items(), key=lambda pair: (pair[0] != "Resource", pair[0]))
    )
    return table(
        "Search parameters",
        "Unknown parameters are refused with the nearest right one; `Prefer: handling=lenient` ignores and names them.",
        ("type", "parameters"),
        rows,
    )


def operations() -> str:
    def rows() -> Iterator[tuple[object, ...]]:
        for path in sorted((DOCS.parent / "profiles/operationdefinition").glob("*.json")):
            defined = json.loads(path.read_text("utf-8"))
            kind = "{type}" if defined.get("resource", [""])[0] == "Resource" else defined.get("resource", [""])[0]
            levels = [
                ("system", f"/fhir/${defined['code']}"),
                ("type", f"/fhir/{kind}/${defined['code']}"),
                ("instance", f"/fhir/{kind}/[id]/${defined['code']}"),
            ]
            taken = ", ".join(f"`{p['name']}`" for p in defined["parameter"] if p["use"] == "in")
            yield "<br>".join(f"`{address}`" for level, address in levels if defined[level]), defined["description"], taken

    intro = "`profiles/operationdefinition/` has the definition of each, with its parameters; `GET /fhir/metadata` names them."
    known = {(parameter.type, parameter.code): parameter.expression.replace(" | ", "`, `") for parameter in searchparameters.load()}
    events = ((f"`{event}`", ", ".join(codes)) for event, codes in _said().items())
    heard = "MessageHeader.event of a message: ours (CodeSystem message-event), and what means the same in HL7 table 0003, eReferral and NHS BaRS (with its reason)."
    cared = "`start` and `end` are about these dates. Other types, and what has no such date itself, are given whatever is asked for."
    dates = ((type, f"`{code}`", f"`{known[type, code]}`") for type, code in CARE_DATE.items())
    parts = [section("Events of $process-message", heard, ("ours", "also"), events)]
    parts.append(section("Dates of care in $everything", cared, ("type", "search parameter", "element"), dates))
    return "\n".join([table("Operations", intro, ("at", "what", "takes"), rows()), *parts])


def _said() -> dict[str, list[str]]:
    """Event → the codes that mean it elsewhere."""
    said: dict[str, list[str]] = {event: [] for event in messageevent.OWN}
    for saying in messageevent.sayings():
        if saying.system != messageevent.MESSAGE_EVENTS:
            said[saying.event].append(f"`{saying.code}`" + (f" ({saying.reason})" if saying.reason else ""))
    return said


def message_types() -> str:
    rows = (
        (f"{kind}^{trigger}".rstrip("^"), (entry.map.__doc__ or "").strip().split("\n")[0], ", ".join(entry.required), entry.event or "")
        for (kind, trigger), entry in sorted(MESSAGES.items())
    )
    intro = "Any other type is refused (AR 200 or 201) and kept. What becomes of each field is in [segments](segments.md)."
    return table("HL7 v2 message types", intro, ("message", "is", "refused without", "step of the case"), rows)


def case_states() -> str:
    states = table(
        "Case states",
        "What each state is called elsewhere.",
        ("state", "ServiceRequest", "Task", "businessStatus", "BSeR STU2", "RF1-1", "ORC-1", "ORC-5"),
        ((s.name, s.request, s.task, s.business, s.bser, s.rf1, s.orc1, s.orc5) for s in machine.CASE_STATES),
    )
    moves = table(
        "Moves", "Legal transitions; anything else is refused with the legal ones named.", ("from", "event", "to", "who", "tells the sender"),
        ((t.source, t.event, t.to, ", ".join(t.who), "; ".join(machine.TELLINGS[name] for name in t.tells)) for t in machine.TRANSITIONS),
    ).replace(NOTE, "").replace("# Moves", "## Moves")  # fmt: skip
    return f"{states}\n{moves}"


def checklists() -> str:
    plans = plandefinitions.load()
    parts = ["# Required records", NOTE, "Starter sets to be adopted by the clinic, not guidance. Lists other than base hold what they add to it.\n"]
    for name in ["base", *(n for n in plans if n != "base")]:
        checklist = compile_checklist(plans[name]) if name == "base" else compile_checklist(plans[name], plans["base"])
        own = {action["id"] for action in plans[name]["action"]}
        rows = ((item.id, item.title, item.required, item.kind) for item in checklist.items if item.id in own)
        body = table(plans[name]["title"], f"`{checklist.canonical}`", ("item", "record", "required", "kind"), rows)
        parts.append(body.replace(NOTE, "").replace("# ", "## ", 1))
    return "\n".join(parts)


def main() -> None:
    for name, content in pages().items():
        (DOCS / name).write_text(content, encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
