"""Which checklist a diagnosis calls for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fhir_gateway.cases.evidence import codings, walk
from fhir_gateway.cases.facts import ICD10, SNOMED
from fhir_gateway.cases.model import Code, Json

FOCUS: Final = ("http://terminology.hl7.org/CodeSystem/usage-context-type", "focus")
BASE: Final = "base"


class Choice(NamedTuple):
    """name: key of the plan chosen. flagged: no tumour group matched and the base list stands in; say so to the clinic."""

    name: str
    plan: Json
    flagged: bool
    matched: Code | None = None


def choose(plans: Mapping[str, Json], diagnoses: Iterable[Code]) -> Choice:
    """The plan whose focus the first matching diagnosis code falls under, else the base list, flagged.

    plans: name → PlanDefinition, with a base list under BASE. diagnoses: (system, code), the principal first. An ICD-10 category
    in a plan's focus (`C50`) covers every code below it, with or without the dot; SNOMED CT codes match as they are.
    """
    focus = {name: _focus(plan) for name, plan in plans.items() if name != BASE}
    for system, code in diagnoses:
        for name, codes in focus.items():
            if _covered(system, code, codes):
                return Choice(name, plans[name], flagged=False, matched=(system, code))
    return Choice(BASE, plans[BASE], flagged=True)


def _focus(plan: Json) -> frozenset[Code]:
    return frozenset(
        code
        for context in walk(plan, "useContext")
        if isinstance(context, dict) and FOCUS in set(codings(context.get("code")))
        for code in codings(context.get("valueCodeableConcept"))
    )


def _covered(system: str, code: str, focus: frozenset[Code]) -> bool:
    if system == SNOMED:
        return (system, code) in focus
    if system not in ICD10:
        return False
    plain = code.upper().replace(".", "")
    return any(category in ICD10 and plain.startswith(prefix.replace(".", "")) for category, prefix in focus)
