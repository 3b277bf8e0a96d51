"""A checklist as a form: the Questionnaire (FHIR R4, in the manner of SDC) that tells a sender what the clinic asks for. Pure.

    item type group        one per gate: `gate.records`, `gate.permission`, `gate.money`
    item type reference    one per required record; linkId is the item's id, an answer names a record sent
    any other item type    one per question; linkId is the question's id, which is what `facts.given` reads answers by

A record that may be supplied by answering a question of the item's own name is that question. An answer by reference closes no item: only the
record it names does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

from fhir_gateway.cases.evidence import walk
from fhir_gateway.cases.expression import Expression
from fhir_gateway.cases.facts import QUESTION_SYSTEM
from fhir_gateway.cases.gates import GATE_OF_KIND
from fhir_gateway.cases.inforce import NAMESPACE
from fhir_gateway.cases.model import Json
from fhir_gateway.cases.requirement import Checklist, Input, Requirement
from profiles.canonical import canonical

RENDERED_FROM: Final = canonical("StructureDefinition", "rendered-from")
"""On the Questionnaire, repeats: `url|version` of the PlanDefinition it was made from, and of that one's base."""
REFERENCE_RESOURCE: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-referenceResource"
ITEM_CONTROL: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl"
HELP: Final = {"coding": [{"system": "http://hl7.org/fhir/questionnaire-item-control", "code": "help"}]}
YES_NO: Final = "http://terminology.hl7.org/CodeSystem/v2-0136"
CODED: Final = {True: {"system": YES_NO, "code": "Y", "display": "Yes"}, False: {"system": YES_NO, "code": "N", "display": "No"}}
TREATMENT_START: Final = ("treatment-start", "When is treatment planned to start?")
"""Asked of every case, whatever its checklist: the day by which the opinion is wanted (`facts.decide_by`)."""
GATES: Final = {
    "records": "Records, images and tissue",
    "permission": "The patient's permission",
    "money": "Insurance",
}
_MOST_QUESTIONS: Final = 3


class Enabled(NamedTuple):
    """When an item is shown: (question, operator, answer) of each condition, and whether `any` or `all` of them must hold."""

    when: tuple[tuple[str, str, bool], ...] = ()
    behavior: str = "all"


def questionnaire(checklist: Checklist, plan: Json, types: Mapping[str, str]) -> Json:
    """The Questionnaire of a checklist, without id. plan: the PlanDefinition it was compiled from. types: see `answer_type`. Valid FHIR R4."""
    url, version = identity(checklist)
    made: Json = {
        "resourceType": "Questionnaire",
        "extension": [{"url": RENDERED_FROM, "valueCanonical": name} for name in (checklist.canonical, checklist.base) if name],
        "url": url,
        "version": version,
        "name": f"{plan.get('name') or 'Checklist'}Questionnaire",
        "title": checklist.title,
        "status": plan.get("status", "draft"),
        "subjectType": ["Patient"],
        "description": "What the clinic asks for. Records are sent as records; an answer here that names one closes nothing by itself. Questions may be "
        "answered in part and again: a QuestionnaireResponse with status completed or amended counts with what it answers, the newest answer wins.",
    }
    made |= {name: plan[name] for name in ("experimental", "publisher", "useContext", "copyright") if name in plan}
    return made | {"item": _Form(checklist, types).groups()}


def identity(checklist: Checklist) -> tuple[str, str]:
    """(url, version) of the Questionnaire of a checklist: another one as soon as the list or its base is."""
    url, _, version = checklist.canonical.partition("|")
    based = f"+{checklist.base.partition('|')[2]}" if checklist.base else ""
    if url.startswith(NAMESPACE):
        return canonical("Questionnaire", url.removeprefix(NAMESPACE)), version + based
    return f"{url}{':' if url.startswith('urn:') else '/'}questionnaire", version + based


def questions(checklist: Checklist) -> dict[str, str]:
    """Id and wording of everything a referrer may be asked under this checklist."""
    start, wording = TREATMENT_START
    return {start: wording, **checklist.questions}


def answer_type(question: str, checklist: Checklist, types: Mapping[str, str]) -> str:
    """How a question is answered: boolean, date, text or open-choice (yes, no, or words).

    types: what the code system says of single questions. Any other is yes or no where a condition asks it, and words where a record is supplied by
    answering it.
    """
    asked = {name for item in checklist.items if item.condition for name in item.condition.expression.variables}
    return types.get(question) or ("boolean" if question in asked else "text")


def place_of(question: str, checklist: Checklist) -> str:
    """linkId of the group that holds a question, for a QuestionnaireResponse laid out like its Questionnaire."""
    return f"gate.{next((_gate(item) for item in checklist.items if question in _asked_by(item, checklist)), 'records')}"


def answer_of(kind: str, value: object) -> Json:
    """QuestionnaireResponse.item.answer for a yes, no, date or text given to a question of this kind."""
    if isinstance(value, bool):
        return {"valueCoding": CODED[value]} if kind == "open-choice" else {"valueBoolean": value}
    return {"valueDate" if kind == "date" else "valueString": value}


class _Form:
    """One rendering."""

    def __init__(self, checklist: Checklist, types: Mapping[str, str]) -> None:
        self.checklist, self.types = checklist, types
        self.enabled = {item.id: enabled(item, checklist) for item in checklist.items}
        self.supplied = {item.id: tuple(_links(item)) for item in checklist.items}
        # A record that is one question; that question is asked at its own place, not beside the first item whose condition mentions it.
        self.answered = {item.id for item in checklist.items if item.id in self.supplied[item.id]}
        self.needed = {
            item.condition.question for item in checklist.items if item.condition and item.blocks and _truth(item.condition.expression, {}) is None
        }

    def groups(self) -> list[Json]:
        """The groups, without those that would be empty."""
        inside: dict[str, list[Json]] = {gate: [] for gate in GATES}
        inside["records"].append(self.question(*TREATMENT_START))
        placed = {TREATMENT_START[0], *self.answered}
        for item in self.checklist.items:
            rows = inside[_gate(item)]
            for question in _asked_by(item, self.checklist):
                if question not in placed:
                    placed.add(question)
                    given = self.enabled[item.id] if question in self.supplied[item.id] else None
                    rows.append(self.question(question, self.checklist.questions[question], given))
            rows.append(self.record(item))
        return [{"linkId": f"gate.{gate}", "text": GATES[gate], "type": "group", "item": rows} for gate, rows in inside.items() if rows]

    def question(self, id: str, wording: str, shown: Enabled | None = None, *, required: bool = False) -> Json:
        """One question."""
        kind = answer_type(id, self.checklist, self.types)
        made = {"linkId": id, "code": [{"system": QUESTION_SYSTEM, "code": id, "display": wording}], "text": wording, "type": kind}
        if kind == "open-choice":
            made["answerOption"] = [{"valueCoding": coding} for coding in CODED.values()]
        return made | self.shown(shown) | {"required": required or id in self.needed}

    def record(self, item: Requirement) -> Json:
        """One required record."""
        shown, must = self.enabled[item.id], item.required == "must"
        decided = item.condition is None or shown is not None
        if item.id in self.answered:
            made = self.question(item.id, item.title, shown, required=must and decided)
            made["code"] += list(item.codes)
        else:
            link = f"{item.id}.record" if item.id in self.checklist.questions else item.id
            types = sorted({supply.type for supply in _inputs(item)})
            made = {"linkId": link, "extension": [{"url": REFERENCE_RESOURCE, "valueCode": type} for type in types]}
            made |= {"code": list(item.codes)} if item.codes else {}
            made |= {"text": item.title, "type": "reference"} | self.shown(shown)
            made |= {"required": must and decided and not self.supplied[item.id], "repeats": True}
        about = _about(item, decided)
        if about:
            control = [{"url": ITEM_CONTROL, "valueCodeableConcept": HELP}]
            made["item"] = [{"linkId": f"{item.id}.about", "extension": control, "text": about, "type": "display"}]
        return made

    def shown(self, given: Enabled | None) -> Json:
        """enableWhen and enableBehavior (que-12: the latter where there are several)."""
        if not given or not given.when:
            return {}
        when = [{"question": question, "operator": operator, **self.answer(question, answer)} for question, operator, answer in given.when]
        return {"enableWhen": when} | ({"enableBehavior": given.behavior} if len(when) > 1 else {})

    def answer(self, question: str, value: bool) -> Json:
        """`enableWhen.answer[x]`, of the type the question is answered in."""
        coded = answer_type(question, self.checklist, self.types) == "open-choice"
        return {"answerCoding": CODED[value]} if coded else {"answerBoolean": value}


def enabled(item: Requirement, checklist: Checklist) -> Enabled | None:
    """The enableWhen that says the same as the item's condition, whatever is answered, about a case of which nothing else is known.

    No conditions for an item that always applies. None where there is no such enableWhen: then the item is shown, and told when it is asked for.
    """
    if item.condition is None:
        return Enabled()
    asked = [item.condition.question, *sorted(item.condition.expression.variables & checklist.questions.keys() - {item.condition.question})]
    asked = [question for question in asked if question in item.condition.expression.variables]
    return _equivalent(item.condition.expression, tuple(asked)) if 0 < len(asked) <= _MOST_QUESTIONS else None


@lru_cache(maxsize=1024)
def _equivalent(expression: Expression, asked: tuple[str, ...]) -> Enabled | None:
    """By trying: every combination of no answer, yes and no. Kept, since an expression is compiled once and asked in every list of a base."""
    table = [(dict(zip(asked, given, strict=True))) for given in product((None, True, False), repeat=len(asked))]
    truths = [_truth(expression, given) is True for given in table]
    return next((one for one in _candidates(asked) if [_holds(one, given) for given in table] == truths), None)


def _candidates(asked: Sequence[str]) -> Iterator[Enabled]:
    tests = (("=", True), ("!=", True), ("=", False))
    yield from (Enabled(((question, *test),)) for question in asked for test in tests)
    for behavior in ("any", "all") if len(asked) > 1 else ():
        for chosen in product(tests, repeat=len(asked)):
            yield Enabled(tuple((question, *test) for question, test in zip(asked, chosen, strict=True)), behavior)


def _holds(given: Enabled, answers: Mapping[str, bool | None]) -> bool:
    """R4 questionnaire-enable-operator: `!=` holds as well where there is no answer."""
    found = [(answers[question] is answer) == (operator == "=") for question, operator, answer in given.when]
    return any(found) if given.behavior == "any" else all(found)


def _truth(expression: Expression, answers: Mapping[str, bool | None]) -> bool | None:
    return expression.truth({}, {question: answer for question, answer in answers.items() if answer is not None})


def _asked_by(item: Requirement, checklist: Checklist) -> Iterable[str]:
    """The questions an item hangs on, and those whose answer supplies it."""
    condition = item.condition
    hangs = sorted(condition.expression.variables & checklist.questions.keys(), key=lambda q: q != condition.question) if condition else []
    return dict.fromkeys([*hangs, *_links(item)])


def _links(item: Requirement) -> Iterator[str]:
    for supply in _inputs(item):
        for one in walk(supply.requirement, "codeFilter"):
            if supply.type == "QuestionnaireResponse" and isinstance(one, dict) and one.get("path") == "item.linkId":
                yield from (str(link) for link in walk(one, "code.code"))


def _inputs(item: Requirement) -> Iterator[Input]:
    return (supply for part in item.parts for supply in part.inputs)


def _gate(item: Requirement) -> str:
    return GATE_OF_KIND.get(item.kind, "records")


def _about(item: Requirement, decided: bool) -> str:
    """What else a sender wants to know of a record, in a few short sentences."""
    ages = {supply.recency for supply in _inputs(item)}
    count = max(supply.count for supply in _inputs(item))
    parts = [part.title for part in item.parts if part.title] if len(item.parts) > 1 else []
    said = [
        f"{'All of' if item.every_part else 'Any of'}: {', '.join(parts)}." if parts else "",
        f"Not older than {max(age for age in ages if age is not None)} days on the day of the appointment." if ages - {None} else "",
        f"At least {count}, of different days." if count > 1 else "",
        f"From: {', '.join(item.supplied_by)}." if item.supplied_by else "",
        f'Depends on: "{item.condition.wording}"' if item.condition and not decided else "",
        "Wanted, but nothing waits for it." if not item.blocks else "",
        "If it does not exist, say so: the clinic may do without." if item.required == "must-unless-documented" else "",
    ]
    return " ".join(filter(None, said))
