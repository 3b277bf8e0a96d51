"""A 271 → CoverageEligibilityResponse: one for each person it answers about (the dependent where there is one, else the subscriber).

    for answer in answers(transaction, Asked(patient={"reference": "Patient/1"}, …)): answer.response, answer.traces

What `Asked` leaves out is taken from the file as contained or named references, so that a file alone makes a legal resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mappers.result import Json
from mappers.x12 import parties
from mappers.x12.dates import PLAN_DATES, plan_period, serviced
from mappers.x12.items import PLAN, in_force, items, makes_item
from mappers.x12.kept import of_answer, verbatim
from mappers.x12.loops import Loop, loops
from mappers.x12.place import Finding, X12Error
from mappers.x12.rejections import errors
from mappers.x12.segment import Segment
from mappers.x12.sets import Transaction
from mappers.x12.standing import NO, YES
from mappers.x12.values import day, extension
from profiles.eligibility import CHANNEL, DISCLAIMER, INDETERMINATE, OTHER_PAYER, PAYER_CONTACT
from profiles.x12codes import Codes, shipped

KIND: Final = "271"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller knows: references to the resources of the question. created: dateTime of the answer, "" for the date in BHT04."""

    patient: Json | None = None
    coverage: Json | None = None
    insurer: Json | None = None
    request: Json | None = None
    purpose: tuple[str, ...] = ("validation", "benefits")
    created: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """response: a legal R4 resource. traces: TRN02 of every TRN01 2, the numbers of the question as the payer gives them back; the caller compares.

    payer_traces: TRN02 of TRN01 1, the payer's own number. submitted: BHT03, the number of the whole transaction. level: of whom it is about (A payer,
    B provider, C subscriber, D dependent). findings: what could not be read.
    """

    response: Json
    traces: tuple[str, ...]
    payer_traces: tuple[str, ...]
    submitted: str
    level: str
    findings: tuple[Finding, ...]


_FROM_FILE: Final = Asked()
PAYERS: Final = {"PRP": "the primary payer", "SEP": "the secondary payer", "TTP": "the tertiary payer"}
"""NM101 of another payer (2120 of EB01 R)."""


def answers(transaction: Transaction, asked: Asked = _FROM_FILE, codes: Codes | None = None) -> list[Answer]:
    """Every answer of a transaction set, in its order. Raises X12Error when it is no 271 or says nothing at all."""
    if transaction.kind != KIND:
        raise X12Error("the transaction set is no answer to an eligibility question (271)", transaction.segments[0].where(1))
    tree = loops(transaction)
    found = [_answer(transaction, tree, path, asked, codes or shipped()) for path in _paths(tree)]
    if not found:
        raise X12Error("the answer holds no payer (HL with level 20)", transaction.segments[0].where())
    return found


def _paths(tree: Loop) -> Iterator[list[Loop]]:
    """For each person, or for a payer or provider about whom nothing follows: the 2000 loops from the payer down.

    A subscriber with dependents is one of them where benefits are told of the subscriber under a number of its own (2000C TRN, 2110C EB).
    """

    def below(path: list[Loop]) -> Iterator[list[Loop]]:
        inner = path[-1].inner("2000")
        if not inner or (path[-1].named("TRN") and any(entity.inner("2110") for entity in path[-1].entities)):
            yield path
        for loop in inner:
            yield from below([*path, loop])

    for payer in tree.inner("2000"):
        yield from below([payer])


def _answer(transaction: Transaction, tree: Loop, path: list[Loop], asked: Asked, codes: Codes) -> Answer:
    findings: list[Finding] = []
    entities = {level.name[-1]: entity for level in path for entity in level.entities[:1]}
    person = entities.get(path[-1].name[-1]) if path[-1].name[-1] in "CD" else None
    told = person.inner("2110") if person else []
    traces = [trn for level in reversed(path) if level.name[-1] in "CD" for trn in level.named("TRN")]
    refused = [error for level in path for loop in (level, *level.entities) for error in errors(loop, codes)]
    failed = refused + [error for loop in told for error in errors(loop, codes)]
    insured = _insurance(person, entities, told, codes, findings)
    made: Json = {"resourceType": "CoverageEligibilityResponse", **_contained(entities, person, insured, asked)}
    made["extension"] = _extensions(entities.get("A"), told) + verbatim(of_answer(path, (loop for loop in told if not makes_item(loop.segments[0]))))
    made |= {"status": "active", "purpose": list(asked.purpose)}
    made["patient"] = asked.patient or ({"reference": "#patient"} if person else {"type": "Patient", "display": "Not named in the answer"})
    made |= serviced(_dates(person, told), findings)
    made["created"] = asked.created or _created(tree, transaction.group, findings)
    made["request"] = asked.request or _request(tree, traces)
    # An error about one service type beside the answer for others does not undo that answer; `partial` would promise more to come.
    made["outcome"] = "error" if refused or (failed and not insured.get("item")) else "complete"
    made["insurer"] = asked.insurer or {"reference": "#payer"}
    if insured:
        made["insurance"] = [{**insured, "coverage": asked.coverage or {"reference": "#coverage"}}]
    if failed:
        made["error"] = failed
    bht = tree.first("BHT")
    return Answer(made, _numbers(traces, "2"), _numbers(traces, "1"), bht.value(3) if bht else "", path[-1].name[-1], tuple(findings))


def _insurance(person: Loop | None, entities: dict[str, Loop], told: Sequence[Loop], codes: Codes, findings: list[Finding]) -> Json:
    """insurance[0] without its coverage; {} when the answer is about nobody. A dependent's answer never borrows the subscriber's."""
    if person is None:
        return {}
    found = items(told, codes, findings)
    inforce, why = in_force(found)
    if inforce is None and not told:
        subscriber = entities.get("C")
        why = "the payer answered with an error"
        if person is not subscriber and subscriber and subscriber.inner("2110"):
            why = "the payer answered for the subscriber, not for the patient"
        elif not person.named("AAA"):
            why = "the payer's answer holds no benefits"
    extensions = [extension(INDETERMINATE, "String", why)] if inforce is None else []
    extensions += [extension(OTHER_PAYER, "String", name) for name in _other_payers(told)]
    made: Json = {"extension": extensions} if extensions else {}
    if inforce is not None:
        made["inforce"] = inforce
        for one in found if inforce else ():
            if one.verdict == "no":  # the plan stands and does not cover this service type: nobody may read the item as covered
                one.item["excluded"] = True
    if period := _plan_period(person, entities, told, findings):
        made["benefitPeriod"] = period
    if found:
        made["item"] = [one.item for one in found]
    return made


def _plan_period(person: Loop, entities: dict[str, Loop], told: Sequence[Loop], findings: list[Finding]) -> Json:
    """By the person's own dates, else the subscriber's; what they leave open by those of the benefits that speak of the plan."""
    plan = [loop for loop in told if loop.segments[0].value(1) in YES | NO and PLAN in loop.segments[0].repeats(3)]
    dates = [segment for loop in plan for segment in loop.named("DTP")]
    own = any(segment.value(1) in PLAN_DATES for segment in person.named("DTP"))
    base = person if own else entities.get("C", person)
    return plan_period([*base.named("DTP"), *dates], findings)


def _dates(person: Loop | None, told: Sequence[Loop]) -> list[Segment]:
    return [segment for loop in ([person] if person else []) + list(told) for segment in loop.named("DTP")]


def _other_payers(told: Iterable[Loop]) -> Iterator[str]:
    for loop in told:
        if loop.segments[0].value(1) == "R":
            for named in loop.inner("2120"):
                if name := parties.name_text(named.segments[0]):
                    rank = PAYERS.get(named.segments[0].value(1), "")
                    yield f"{name} ({rank})" if rank else name


def _extensions(payer: Loop | None, told: Iterable[Loop]) -> list[Json]:
    """Channel; disclaimers (EB01 P) verbatim; whom to call: the payer's own lines and the entities of EB01 U."""
    made = [extension(CHANNEL, "Code", "x12")]
    points = parties.contacts(payer) if payer else []
    names: list[str] = []
    for loop in told:
        eb = loop.segments[0]
        if eb.value(1) == "P":
            texts = [msg.text(1) for msg in loop.named("MSG")] or [eb.text(5)]
            made += [extension(DISCLAIMER, "String", text) for text in texts if text]
        elif eb.value(1) == "U":
            names += filter(None, (parties.name_text(named.segments[0]) for named in loop.inner("2120")))
            names += [] if eb.raw(3) else filter(None, (msg.text(1) for msg in loop.named("MSG")))
            points += [point for named in loop.inner("2120") for point in parties.contacts(named)]
    made += [extension(PAYER_CONTACT, "String", name) for name in dict.fromkeys(names)]
    return made + [extension(PAYER_CONTACT, "ContactPoint", point) for point in {repr(point): point for point in points}.values()]


def _contained(entities: dict[str, Loop], person: Loop | None, insured: Json, asked: Asked) -> Json:
    """What the caller has no resource for: patient, subscriber, payer, coverage; only what is pointed at."""
    made: list[Json] = []
    own_coverage = person is not None and insured and asked.coverage is None
    if person and (asked.patient is None or own_coverage):
        made.append(parties.patient(person, "patient"))
    if asked.insurer is None or own_coverage:
        made.append(parties.payer(entities.get("A")))
    if person and own_coverage:
        subscriber = entities.get("C", person)
        if person is not subscriber:
            made.append(parties.patient(subscriber, "subscriber"))
        made.append(parties.coverage(subscriber, person, insured.get("benefitPeriod", {})))
    return {"contained": made} if made else {}


def _created(tree: Loop, group: Segment, findings: list[Finding]) -> str:
    """BHT04, else GS04."""
    bht = tree.first("BHT")
    if bht and (made := day(bht.value(4))):
        return made
    if made := day(group.value(4)):
        findings.append(
            Finding("error", "the date of the answer (BHT04, CCYYMMDD) is missing or no date", (bht or tree.segments[0]).where(4 if bht else None))
        )
        return made
    raise X12Error("the date of the answer is missing or no date, in BHT04 and here", group.where(4))


def _request(tree: Loop, traces: Sequence[Segment]) -> Json:
    """The question by the number the payer gives back for it."""
    bht = tree.first("BHT")
    number = next(iter(_numbers(traces, "2")), "") or (bht.value(3) if bht else "")
    named: Json = {"identifier": {"value": number}} if number else {"display": "Not named in the answer"}
    return {"type": "CoverageEligibilityRequest", **named}


def _numbers(traces: Iterable[Segment], kind: str) -> tuple[str, ...]:
    return tuple(trn.text(2) for trn in traces if trn.value(1) == kind and trn.text(2))
