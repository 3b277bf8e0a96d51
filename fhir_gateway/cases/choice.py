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


class Chooser:
    """The plans with their foci read once: a choice is made at every evaluation."""

    def __init__(self, plans: Mapping[str, Json]) -> None:
        """plans: name → PlanDefinition, with a base list under BASE. Where two claim a code, the one named first has it."""
        self._plans = plans
        self._foci = tuple((name, *_split(focus(plan))) for name, plan in plans.items() if name != BASE)

    def choose(self, diagnoses: Iterable[Code]) -> Choice:
        """The plan whose focus the first matching diagnosis code falls under, else the base list, flagged.

        diagnoses: (system, code), the principal first. An ICD-10 category in a plan's focus (`C50`) covers every code below it, with or
        without the dot; SNOMED CT codes match as they are.
        """
        for system, code in diagnoses:
            short = plain(code)
            for name, categories, concepts in self._foci:
                if (system in ICD10 and short.startswith(categories)) or (system == SNOMED and code in concepts):
                    return Choice(name, self._plans[name], flagged=False, matched=(system, code))
        return Choice(BASE, self._plans[BASE], flagged=True)


def choose(plans: Mapping[str, Json], diagnoses: Iterable[Code]) -> Choice:
    """One choice among these plans; see Chooser."""
    return Chooser(plans).choose(diagnoses)


def focus(plan: Json) -> frozenset[Code]:
    """(system, code) of every diagnosis the plan says it is for: PlanDefinition.useContext with code `focus`."""
    return frozenset(
        code
        for context in walk(plan, "useContext")
        if isinstance(context, dict) and FOCUS in set(codings(context.get("code")))
        for code in codings(context.get("valueCodeableConcept"))
    )


def overlap(one: Iterable[Code], other: Iterable[Code]) -> tuple[Code, Code] | None:
    """Two codes of which one covers the other, None when the foci have nothing in common."""
    mine = sorted(one)
    for theirs in sorted(other):
        for code in mine:
            if covers(code, theirs) or covers(theirs, code):
                return code, theirs
    return None


def covers(category: Code, code: Code) -> bool:
    """Does a focus on `category` take in `code`? The ICD-10 systems are one system here."""
    if category[0] in ICD10 and code[0] in ICD10:
        return plain(code[1]).startswith(plain(category[1]))
    return category == code


def categories(code: str) -> list[str]:
    """An ICD-10 code and every category above it, as a focus may write them: C50.41 → C50.41, C5041, C50.4, C504, C50."""
    short = plain(code)
    longer = [form for end in range(len(short), 3, -1) for form in (f"{short[:3]}.{short[3:end]}", short[:end])]
    return [*longer, short[:3]]


def plain(code: str) -> str:
    """An ICD-10 code without its dot."""
    return code.upper().replace(".", "")


def _split(codes: frozenset[Code]) -> tuple[tuple[str, ...], frozenset[str]]:
    """(ICD-10 categories, SNOMED CT codes) of a focus."""
    return tuple(sorted(plain(code) for system, code in codes if system in ICD10)), frozenset(code for system, code in codes if system == SNOMED)
