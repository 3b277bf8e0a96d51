"""A PlanDefinition as a compiled checklist.

One action is one required record. What each element means to us (FHIR R4 PlanDefinition, DataRequirement):

    action.id, title, code          the item
    action.requiredBehavior         must | could | must-unless-documented (may be waived)
    action.condition                applicability: FHIRPath; expression.name is the question, .description its wording
    action.input                    ways to supply it, any one suffices
    action.action                   its parts; selectionBehavior `all` wants every part, otherwise any part suffices
    input.codeFilter                status and docStatus say what is acceptable, category narrows, any other path identifies
    input.dateFilter.valueDuration  recency, against the appointment
    input.limit                     how many at least
    action.participant.role.text    who supplies it
    action.documentation            on whose word it is required

What R4 has no element for is in extensions `urn:second-opinion-gateway:StructureDefinition:<name>`; EXTENSIONS lists them.
A plan derived from a base holds its own actions only; an action with a base action's id replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.expression import Expression, ExpressionError
from fhir_gateway.cases.facts import VARIABLES
from fhir_gateway.cases.model import Code, Json
from fhir_gateway.cases.requirement import KINDS, REQUIRED, Checklist, Condition, Input, Kind, Part, Required, Requirement
from profiles.canonical import canonical

# name → the value[x] it carries. Where: P the plan, A an action, I an input.
EXTENSIONS: Final[dict[str, str]] = {
    "review-days": "valueInteger",  # P, A: business days wanted between the record and the appointment
    "urgent-when": "valueExpression",  # P: when true of the case, urgent-review-days is the lead time of every item
    "urgent-review-days": "valueInteger",  # P: acute leukaemia is seen within 24 to 48 h
    "item-kind": "valueCode",  # A: decides the gate (consent: permission, coverage: money, other: records)
    "pairs-with": "valueString",  # A: the report these images belong to; neither closes the other
    "satisfied-by-narrative-in": "valueString",  # A, repeats: an accepted report of that item contains this result
    "pending-allowed": "valueBoolean",  # A: an announced result does not hold the gate
    "payer-visible": "valueCode",  # A: always | when-asked | never
    "authorization-support": "valueCode",  # A, repeats: CoverageEligibilityResponse authorizationSupporting codes it serves
    "must-return": "valueBoolean",  # A: physical material that goes back
    "sensitive": "valueBoolean",  # A: carries a sensitivity label
    "source-strength": "valueCode",  # A.documentation: cited | proposed; RelatedArtifact.label says which part is which
    "lookback": "valueDuration",  # I: records must reach back at least this far before the appointment
    "valid-to-month-end": "valueBoolean",  # I: good to the end of the calendar month it was made in
    "counts-when": "valueExpression",  # I: only a record for which this is true is such a record at all
    "complete-when": "valueExpression",  # I: a record for which this is not true is incomplete
    "only-when": "valueExpression",  # I: this way to supply the record is open only when this is true of the case
    "confirm-by-person": "valueBoolean",  # I: a person must look at it before it counts
}

ACCEPTABILITY_PATHS: Final = frozenset({"status", "docStatus", "verificationStatus"})


class ChecklistError(ValueError):
    """A PlanDefinition is not a checklist. `action` is the id of the action at fault ("" for the plan), `expression` the element."""

    def __init__(self, action: str, expression: str, text: str) -> None:
        super().__init__(f"{action or 'plan'}: {expression}: {text}")
        self.action = action
        self.expression = expression
        self.text = text


def compile_checklist(plan: Json, base: Json | None = None, value_sets: Mapping[str, frozenset[Code]] | None = None) -> Checklist:
    """Compile a plan, and the base it derives from. value_sets: expansions by canonical, for inputs that filter by one.

    Raises ChecklistError naming the action and element at fault.
    """
    faults: list[ChecklistError] = []
    checklist = _compiled(plan, base, value_sets or {}, faults)
    if checklist is None:
        raise faults[0]
    return checklist


def faults_of(plan: Json, base: Json | None = None, value_sets: Mapping[str, frozenset[Code]] | None = None) -> list[ChecklistError]:
    """Why a plan is no checklist: the first fault of each item, in order; empty when it compiles."""
    faults: list[ChecklistError] = []
    _compiled(plan, base, value_sets or {}, faults)
    return faults


def _compiled(plan: Json, base: Json | None, value_sets: Mapping[str, frozenset[Code]], faults: list[ChecklistError]) -> Checklist | None:
    """The checklist, or None with at least one fault."""
    items: list[Requirement] = []
    try:
        canonical_name = canonical_of(plan)
        actions = _actions(base) | _actions(plan) if base else _actions(plan)
        questions = _questions(actions)
    except ChecklistError as fault:
        faults.append(fault)
        return None
    compiler = _Compiler(frozenset(VARIABLES) | set(questions), value_sets)
    for name, action in actions.items():
        try:
            items.append(compiler.requirement(action))
        except ChecklistError as fault:
            faults.append(ChecklistError(name, fault.expression, fault.text))
    if not faults:
        faults += _name_faults(items)
    try:
        return None if faults else _assembled(plan, base, canonical_name, items, questions, compiler)
    except ChecklistError as fault:
        faults.append(fault)
        return None


def _assembled(
    plan: Json, base: Json | None, canonical_name: str, items: list[Requirement], questions: dict[str, str], compiler: _Compiler
) -> Checklist:
    days = extension(plan, "review-days")
    return Checklist(
        canonical=canonical_name,
        base=canonical_of(base) if base else None,
        name=str(plan.get("name", "")),
        title=str(plan.get("title", "")),
        review_days=days if days is not None else extension(base or {}, "review-days"),
        urgent_when=compiler.expression("", "plan", plan, "urgent-when"),
        urgent_review_days=extension(plan, "urgent-review-days"),
        items=tuple(items),
        questions=questions,
    )


def canonical_of(plan: Json) -> str:
    """`url|version`. Raises ChecklistError when one is missing."""
    return f"{_required(plan, '', 'url')}|{_required(plan, '', 'version')}"


def extension(element: Json, name: str) -> Any:
    """The value of our extension `name` on an element, None when it has none."""
    return next(iter(extensions(element, name)), None)


def extensions(element: Json, name: str) -> list[Any]:
    """All values of our extension `name` on an element. Raises ChecklistError when one is of another type."""
    url, value = canonical("StructureDefinition", name), EXTENSIONS[name]
    found = [e for e in element.get("extension") or () if isinstance(e, dict) and e.get("url") == url]
    for one in found:
        if value not in one:
            raise ChecklistError("", f"extension({name})", f"carries no {value}")
    return [one[value] for one in found]


def _actions(plan: Json) -> dict[str, Json]:
    actions: dict[str, Json] = {}
    for number, action in enumerate(plan.get("action") or ()):
        name = action.get("id") if isinstance(action, dict) else None
        if not isinstance(name, str) or not name:
            raise ChecklistError("", f"action[{number}].id", "an item needs an id")
        if name in actions:
            raise ChecklistError("", f"action[{number}].id", f"{name} is used twice")
        actions[name] = action
    return actions


def _questions(actions: Mapping[str, Json]) -> dict[str, str]:
    """Every question a case may have to answer: one per condition, and one per linkId an item waits for (worded by its title)."""
    questions: dict[str, str] = {}
    for name, action in actions.items():
        for holder in (action, *walk(action, "action")):
            for link in _linked(holder):
                questions.setdefault(link, str(holder.get("title", "")))
        for condition in action.get("condition") or ():
            expression = condition.get("expression") or {}
            question = _required(expression, name, "name", "condition.expression")
            wording = _required(expression, name, "description", "condition.expression")
            if questions.setdefault(question, wording) != wording:
                raise ChecklistError(name, "condition.expression.description", f"question {question} has two wordings")
    return questions


def _linked(action: Json) -> Iterator[str]:
    for filters in walk(action, "input.codeFilter"):
        if filters.get("path") == "item.linkId":
            yield from (str(link) for link in walk(filters, "code.code"))


def _required(element: Json, action: str, name: str, at: str = "") -> str:
    value = element.get(name)
    if not isinstance(value, str) or not value:
        raise ChecklistError(action, f"{at}.{name}".lstrip("."), "is missing")
    return value


def _name_faults(items: list[Requirement]) -> Iterator[ChecklistError]:
    held = {item.id: item for item in items}
    for item in items:
        if item.pairs_with and (item.pairs_with not in held or item.pairs_with == item.id):
            yield ChecklistError(item.id, "extension(pairs-with)", _UNKNOWN_ITEM.format(item.pairs_with))
        for name in item.narrative_in:
            if name not in held or name == item.id:
                yield ChecklistError(item.id, "extension(satisfied-by-narrative-in)", _UNKNOWN_ITEM.format(name))
            elif held[name].narrative_in:
                yield ChecklistError(item.id, "extension(satisfied-by-narrative-in)", f"{name} itself leans on a narrative")


_UNKNOWN_ITEM: Final = "names the item {!r}, which this checklist does not have"


class _Compiler:
    """Compiles actions against the variables and value sets one checklist knows."""

    def __init__(self, variables: frozenset[str], value_sets: Mapping[str, frozenset[Code]]) -> None:
        self.variables = variables
        self.value_sets = value_sets
        self.compiled: dict[str, Expression] = {}

    def requirement(self, action: Json) -> Requirement:
        name = str(action["id"])
        children = action.get("action") or ()
        parts = tuple(self.part(name, child) for child in children) if children else (self.part(name, action),)
        return Requirement(
            id=name,
            title=_required(action, name, "title"),
            codes=tuple(coding for concept in action.get("code") or () for coding in concept.get("coding") or ()),
            kind=cast(Kind, _one_of(extension(action, "item-kind"), KINDS, name, "extension(item-kind)")),
            required=cast(Required, _one_of(action.get("requiredBehavior"), REQUIRED, name, "requiredBehavior")),
            parts=parts,
            every_part=action.get("selectionBehavior") == "all",
            condition=self.condition(name, action),
            pairs_with=extension(action, "pairs-with"),
            narrative_in=tuple(extensions(action, "satisfied-by-narrative-in")),
            review_days=extension(action, "review-days"),
            pending_allowed=bool(extension(action, "pending-allowed")),
            supplied_by=tuple(p["role"]["text"] for p in action.get("participant") or () if p.get("role", {}).get("text")),
            action=action,
        )

    def part(self, name: str, action: Json) -> Part:
        inputs = tuple(self.input(name, n, requirement) for n, requirement in enumerate(action.get("input") or ()))
        if not inputs:
            raise ChecklistError(name, "input", "nothing could ever supply this item")
        return Part(str(action.get("id", name)), str(action.get("title", "")), inputs)

    def input(self, name: str, number: int, requirement: Json) -> Input:
        at = f"input[{number}]"
        filters = requirement.get("codeFilter") or ()
        codes, categories, statuses, signatures = self.filters(name, at, filters)
        limit = requirement.get("limit", 1)
        if not isinstance(limit, int) or limit < 1:
            raise ChecklistError(name, f"{at}.limit", "is a positive number")
        recency = [_days(f.get("valueDuration"), name, f"{at}.dateFilter") for f in requirement.get("dateFilter") or ()]
        lookback = extension(requirement, "lookback")
        return Input(
            type=_required(requirement, name, "type", at),
            codes=codes,
            categories=categories,
            statuses=frozenset(code for _, code in statuses),
            signatures=frozenset(code for _, code in signatures),
            recency=min(recency, default=None),
            lookback=_days(lookback, name, f"{at}.extension(lookback)") if lookback else None,
            count=limit,
            month_end=bool(extension(requirement, "valid-to-month-end")),
            confirm=bool(extension(requirement, "confirm-by-person")),
            counts_when=self.expression(name, at, requirement, "counts-when"),
            complete_when=self.expression(name, at, requirement, "complete-when"),
            only_when=self.expression(name, at, requirement, "only-when"),
            requirement=requirement,
        )

    def filters(self, name: str, at: str, filters: Any) -> tuple[frozenset[Code], frozenset[Code], frozenset[Code], frozenset[Code]]:
        """(identifying, category, status, docStatus) codes of the codeFilters."""
        sets: dict[str, set[Code]] = {"identity": set(), "category": set(), "status": set(), "docStatus": set()}
        for one in filters:
            path = _required(one, name, "path", f"{at}.codeFilter")
            codes = {(str(c.get("system", "")), str(c["code"])) for c in one.get("code") or () if c.get("code")}
            if "valueSet" in one:
                if one["valueSet"] not in self.value_sets:
                    raise ChecklistError(name, f"{at}.codeFilter.valueSet", f"{one['valueSet']} is not held")
                codes |= self.value_sets[one["valueSet"]]
            if not codes:
                raise ChecklistError(name, f"{at}.codeFilter", f"on {path} names no code")
            purpose = "status" if path in ACCEPTABILITY_PATHS - {"docStatus"} else path if path in sets else "identity"
            sets[purpose] |= codes
        identity, category, status, signature = (frozenset(codes) for codes in sets.values())
        return identity, category, status, signature

    def condition(self, name: str, action: Json) -> Condition | None:
        conditions = action.get("condition") or ()
        if len(conditions) > 1:
            raise ChecklistError(name, "condition", "one condition per item; join them with `and`")
        for condition in conditions:
            if condition.get("kind") != "applicability":
                raise ChecklistError(name, "condition.kind", "only applicability is supported")
            expression = condition["expression"]
            text = _required(expression, name, "expression", "condition.expression")
            return Condition(self.compile(name, "condition.expression", text), expression["name"], expression["description"])
        return None

    def expression(self, name: str, at: str, element: Json, extension_name: str) -> Expression | None:
        value = extension(element, extension_name)
        if value is None:
            return None
        return self.compile(name, f"{at}.extension({extension_name})", str(value.get("expression", "")))

    def compile(self, name: str, at: str, text: str) -> Expression:
        if text not in self.compiled:
            try:
                self.compiled[text] = Expression(text, self.variables)
            except ExpressionError as problem:
                raise ChecklistError(name, at, str(problem)) from problem
        return self.compiled[text]


def _one_of(value: Any, allowed: tuple[str, ...], name: str, at: str) -> str:
    if value not in allowed:
        raise ChecklistError(name, at, f"is one of {', '.join(allowed)}")
    return str(value)


def _days(duration: Any, name: str, at: str) -> int:
    if not isinstance(duration, dict) or duration.get("code") != "d" or not isinstance(duration.get("value"), int):
        raise ChecklistError(name, at, "is a Duration in whole days (UCUM code d)")
    return int(duration["value"])
