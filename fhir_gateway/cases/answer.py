"""The answer of `$completeness`: flat JSON (kept by the store, printed by the terminal) and the GuidanceResponse made from it.

Reading a case never evaluates it again: the flat form holds everything the GuidanceResponse needs but the checklist's own text.
Names and parts are fixed by PRODUCT, "What `$completeness` answers".
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from fhir_gateway.cases import deqm
from fhir_gateway.cases.custody import must_return
from fhir_gateway.cases.model import Consignment, Evaluation, Gate, Json, Judgement
from fhir_gateway.cases.requirement import Checklist, Requirement
from profiles.canonical import canonical

PARAMETERS: Final = "parameters"
WISH: Final = "payer-wants-"
"""How the id of an item begins that is a payer's wish."""
OPEN: Final = ("open-gap", "prospective-gap")
ITEM_EXTENSION: Final = canonical("StructureDefinition", "checklist-item")

# part → value[x] of the Parameters resource, in the order PRODUCT names them.
CASE_PARTS: Final = (
    ("id", "valueString"),
    ("state", "valueCode"),
    ("asOf", "valueDateTime"),
    ("due", "valueDate"),
    ("appointment", "valueDateTime"),
    ("decideBy", "valueDate"),
)
GATE_PARTS: Final = (("state", "valueCode"), ("reason", "valueString"))
ITEM_PARTS: Final = (
    ("id", "valueString"),
    ("title", "valueString"),
    ("code", "valueCoding"),
    ("state", "valueCode"),
    ("reason", "valueCode"),
    ("gapStatus", "valueCode"),
    ("due", "valueDate"),
    ("goodUntil", "valueDate"),
    ("suppliedBy", "valueReference"),
    ("source", "valueReference"),
)

# Beyond PRODUCT: one parameter `route` beside the fixed ones, where the answer has a route.
ROUTE_PARTS: Final = (
    ("serviceLine", "valueCode"),
    ("service", "valueReference"),
    ("reviewer", "valueReference"),
    ("inNetwork", "valueBoolean"),
    ("reason", "valueCode"),
)
# Beyond PRODUCT: one parameter `money`, what the payer said of the Coverage that pays first, in words and with where to read it whole.
MONEY_PARTS: Final = (
    ("payer", "valueString"),
    ("coverage", "valueReference"),
    ("checkedAt", "valueDateTime"),
    ("validUntil", "valueDate"),
    ("answeredBy", "valueCode"),
    ("request", "valueReference"),
    ("response", "valueReference"),
    ("raw", "valueReference"),
    ("eligibility", "valueString"),
    ("network", "valueString"),
    ("authorisation", "valueString"),
    ("authorisationState", "valueCode"),
    ("claim", "valueReference"),
    ("claimResponse", "valueReference"),
    ("information", "valueString"),
    ("decisionDue", "valueDateTime"),
    ("decisionOverdue", "valueBoolean"),
    ("share", "valueString"),
    ("mandated", "valueString"),
    ("disclaimer", "valueString"),
    ("problem", "valueString"),
    ("nextStep", "valueString"),
)


def flat(evaluation: Evaluation, checklist: Checklist) -> Json:
    """`{"case": {…}, "gates": {…}, "items": […]}`: absent values are null, references are "Type/id" strings, dates are ISO text.

    Beyond the parts PRODUCT fixes: the checklist and its base as `url|version`, `toReturn` (items of which things are here that must go back), and per
    item `deqm` (the DEQM reason), kind, required, question and its wording (`asked`), custody.
    """
    items = {item.id: item for item in checklist.items}
    return {
        "case": {
            "id": evaluation.case,
            "state": evaluation.state,
            "asOf": evaluation.as_of.isoformat(),
            "due": _iso(evaluation.due),
            "appointment": evaluation.appointment,
            "decideBy": _iso(evaluation.decide_by),
            "checklist": evaluation.checklist,
            "base": checklist.base,
            "nextChange": _iso(evaluation.next_change),
            "toReturn": [judgement.item for judgement in evaluation.items if _to_return(judgement, items[judgement.item])],
        },
        "gates": {name: _flat_gate(gate) for name, gate in evaluation.gates.items()},
        "items": [_flat_item(judgement, items[judgement.item]) for judgement in evaluation.items],
    }


def guidance_response(answer: Json, checklist: Checklist, subject: str | None = None) -> Json:
    """The GuidanceResponse of a flat answer. checklist: the version it was judged by. subject: "Patient/id".

    FHIR R4 GuidanceResponse: `success` when nothing is open, otherwise `data-required` with one dataRequirement per open item.
    """
    items = {item.id: item for item in checklist.items}
    wanted = [_wanted(items[item["id"]]) for item in answer["items"] if item["gapStatus"] in OPEN and item["id"] in items]
    response: Json = {
        "resourceType": "GuidanceResponse",
        "contained": [_parameters(answer)],
        "moduleCanonical": answer["case"]["checklist"],
        "status": "data-required" if wanted else "success",
    }
    if subject:
        response["subject"] = {"reference": subject}
    # reasonReference may not name a ServiceRequest in R4: the case is named in the parameters only
    response |= {"occurrenceDateTime": answer["case"]["asOf"], "outputParameters": {"reference": f"#{PARAMETERS}"}}
    return response | ({"dataRequirement": wanted} if wanted else {})


def _flat_gate(gate: Gate) -> Json:
    return {"state": gate.state, "reason": gate.reason, "open": list(gate.open)}


def _flat_item(judgement: Judgement, item: Requirement) -> Json:
    return {
        "id": judgement.item,
        "title": item.title,
        "code": list(item.codes),
        "state": judgement.state,
        "reason": judgement.reason,
        "gapStatus": judgement.gap_status,
        "deqm": deqm.reason(judgement, item),
        "due": _iso(judgement.due),
        "goodUntil": _iso(judgement.good_until),
        "suppliedBy": list(judgement.supplied_by),
        "source": f"Binary/{judgement.source}" if judgement.source else None,
        "kind": item.kind,
        "suppliers": list(item.supplied_by),
        "required": item.required,
        "question": judgement.question,
        "asked": item.condition.wording if judgement.question and item.condition else None,
        "custody": [_flat_consignment(one) for one in judgement.custody],
    }


def wished(information: Sequence[str], due: str | None) -> list[Json]:
    """What a payer wants to see before it decides on an authorisation, as flat items of the case while it waits: asked for, and the clinic's own to release.

    information: in the payer's words. They hold no gate: the authorisation does. They are on no checklist, so that nobody waives them or asks a referrer.
    """
    return [
        {
            "id": f"{WISH}{sha256(text.encode()).hexdigest()[:8]}",
            "title": text,
            "code": [],
            "state": "requested",
            "reason": "payer-wants",
            "gapStatus": "open-gap",
            "deqm": "Missing",
            "due": due,
            "goodUntil": None,
            "suppliedBy": [],
            "source": None,
            "kind": "coverage",
            "suppliers": ["clinic"],
            "required": False,
            "question": None,
            "asked": None,
            "custody": [],
        }
        for text in dict.fromkeys(information)
    ]


def _flat_consignment(one: Consignment) -> Json:
    return {
        "task": one.task,
        "state": one.state,
        "carrier": one.carrier or None,
        "tracking": one.tracking or None,
        "expected": _iso(one.expected),
        "containers": one.containers,
        "condition": one.condition or None,
    }


def _to_return(judgement: Judgement, item: Requirement) -> bool:
    return must_return(item) and any(one.state == "received" for one in judgement.custody)


def _parameters(answer: Json) -> Json:
    parameters = [{"name": "case", "part": _parts(answer["case"], CASE_PARTS)}]
    for name, gate in answer["gates"].items():
        parameters.append({"name": "gate", "part": [{"name": "name", "valueCode": name}, *_parts(gate, GATE_PARTS)]})
    parameters += [{"name": "item", "part": _parts(item, ITEM_PARTS)} for item in answer["items"]]
    if route := answer["case"].get("route"):
        reviewers = {"reviewer": [one["role"] for one in route["reviewers"]]}
        parameters.append({"name": "route", "part": _parts(route | reviewers, ROUTE_PARTS)})
    if money := answer.get("money"):
        parameters.append({"name": "money", "part": _parts(money, MONEY_PARTS)})
    return {"resourceType": "Parameters", "id": PARAMETERS, "parameter": parameters}


def _parts(values: Json, parts: tuple[tuple[str, str], ...]) -> list[Json]:
    """One part per value; a list repeats its part, an absent value has none."""
    return [
        {"name": name, kind: {"reference": value} if kind == "valueReference" else value}
        for name, kind in parts
        for value in (values[name] if isinstance(values[name], list) else [values[name]])
        if value not in (None, "")
    ]


def _wanted(item: Requirement) -> Json:
    """What would close the item: its first way of being supplied, marked with the item it is for."""
    requirement = item.parts[0].inputs[0].requirement
    mark = {"url": ITEM_EXTENSION, "valueString": item.id}
    return {**requirement, "extension": [mark, *requirement.get("extension", ())]}


def _iso(value: Any) -> str | None:
    return None if value is None else value.isoformat()
