"""What is doubtful about checklists that compile: a record nothing can match, a question whose answer settles nothing, a mistyped code, a requirement
on nobody's word, two lists for one diagnosis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Final, NamedTuple

from fhir_gateway.cases.checklist import ACCEPTABILITY_PATHS, extension, faults_of
from fhir_gateway.cases.choice import BASE, focus, overlap
from fhir_gateway.cases.evidence import LOINC, SHAPES, codings, walk
from fhir_gateway.cases.expression import Expression, ExpressionError
from fhir_gateway.cases.facts import VARIABLES
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.objections import shape_faults

_LOINC: Final = re.compile(r"(\d{1,7})-(\d)|L[AGP]\d+-\d")  # parts, groups and answers (LP…, LG…, LA…) reckon their check digit otherwise


class Remark(NamedTuple):
    """item: "" for the list itself. element: where in it. kind: one of CHECKS, `compile` or `focus`."""

    list: str
    item: str
    element: str
    kind: str
    text: str


def lint(plans: Mapping[str, Json], base_of: Callable[[Json], Json | None], only: str | None = None) -> list[Remark]:
    """Everything doubtful about these lists, by list and item. plans: by name. base_of: what a plan derives from. only: about this one list."""
    found: list[Remark] = []
    for name, plan in plans.items():
        if only in (None, name):
            found += [Remark(name, fault.action, fault.expression, "compile", fault.text) for fault in faults_of(plan, base_of(plan))]
            for kind, check in CHECKS.items():
                found += [Remark(name, item, element, kind, text) for item, element, text in check(plan)]
    found += [remark for remark in _overlaps(plans) if only in (None, remark.list)]
    return found


def loinc_check_digit(number: str) -> int:
    """The check digit of a LOINC number: mod 10 with every second digit from the right doubled (LOINC Users' Guide, appendix C)."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


Found = Iterator[tuple[str, str, str]]


def _unmatched(plan: Json) -> Found:
    """An input whose type or code path no record is ever read by (evidence.SHAPES) is a way nobody can take."""
    for name, at, way in _inputs(plan):
        kind = str(way.get("type", ""))
        shape = SHAPES.get(kind)
        if shape is None:
            yield name, f"{at}.type", f"no record of type {kind or '?'} is ever looked at; known are {', '.join(sorted(SHAPES))}"
            continue
        read = {*shape.codes, *ACCEPTABILITY_PATHS, "category"} | ({"item.linkId"} if kind == "QuestionnaireResponse" else set())
        for path in walk(way, "codeFilter.path"):
            if path not in read:
                yield name, f"{at}.codeFilter", f"a {kind} is not read by {path}; its codes are in {', '.join(shape.codes) or 'no element'}"
        if way.get("dateFilter") and not shape.dates:
            yield name, f"{at}.dateFilter", f"a {kind} has no date it could be too old by"


def _unsettled(plan: Json) -> Found:
    """A condition that can come out undecided although its question was answered, because it never reads the answer."""
    for name, action in _actions(plan):
        for expression in walk(action, "condition.expression"):
            question, text = str(expression.get("name", "")), str(expression.get("expression", ""))
            try:
                compiled = Expression(text, {*VARIABLES, *_questions(plan), question})
            except ExpressionError:
                continue  # said by the compiler
            if question not in compiled.variables and compiled.truth({}, {}) is None:
                text = f"can't be decided where the records are silent, and no answer settles it: make %`{question}` part of it"
                yield name, "condition.expression", text


def _uncited(plan: Json) -> Found:
    for name, action in _actions(plan):
        cited = action.get("documentation") or ()
        if not any(one.get("citation") or one.get("document") or one.get("resource") for one in cited):
            yield name, "documentation", "says on nobody's word that the record is required"
        elif not any(extension(one, "source-strength") for one in cited):
            yield name, "documentation", "does not say whether the source is cited or the item proposed (source-strength)"


def _mistyped(plan: Json) -> Found:
    for name, action in _actions(plan):
        codes = {coding for concept in walk(action, "code") for coding in codings(concept)}
        ways = [*walk(action, "input"), *walk(action, "action.input")]
        codes |= {(str(coding.get("system", "")), str(coding.get("code", ""))) for way in ways for coding in walk(way, "codeFilter.code")}
        for system, code in sorted(codes):
            found = _LOINC.fullmatch(code) if system == LOINC else None
            if system == LOINC and found is None:
                yield name, "code", f"{code} is no LOINC code"
            elif found and found[1] and int(found[2]) != loinc_check_digit(found[1]):
                yield name, "code", f"{code} is mistyped: the check digit of {found[1]} is {loinc_check_digit(found[1])}"


def _urgent(plan: Json) -> Found:
    if (extension(plan, "urgent-when") is None) != (extension(plan, "urgent-review-days") is None):
        yield "", "extension", "urgent-when and urgent-review-days go together"


def _focus(plan: Json) -> Found:
    for text in shape_faults(focus(plan)):
        yield "", "useContext", text


# Kind of remark → what finds it: (item, element, sentence).
CHECKS: Final[dict[str, Callable[[Json], Found]]] = {
    "nothing-matches": _unmatched,
    "undecidable": _unsettled,
    "citation": _uncited,
    "code": _mistyped,
    "urgent": _urgent,
    "diagnosis": _focus,
}


def _overlaps(plans: Mapping[str, Json]) -> Iterator[Remark]:
    foci = {name: focus(plan) for name, plan in plans.items() if name != BASE}
    for one, other in combinations(foci, 2):
        shared = overlap(foci[one], foci[other])
        if shared:
            yield Remark(one, "", "useContext", "focus", f"{shared[0][1]} also calls for the list {other} ({shared[1][1]}); {one} has it")


def _actions(plan: Json) -> Iterator[tuple[str, Json]]:
    return ((str(action.get("id", "")), action) for action in plan.get("action") or ())


def _questions(plan: Json) -> set[str]:
    return {str(name) for name in walk(plan, "action.condition.expression.name")}


def _inputs(plan: Json) -> Iterator[tuple[str, str, Json]]:
    for name, action in _actions(plan):
        for number, way in enumerate(action.get("input") or ()):
            yield name, f"input[{number}]", way
        for part, inner in enumerate(action.get("action") or ()):
            for number, way in enumerate(inner.get("input") or ()):
                yield name, f"action[{part}].input[{number}]", way
