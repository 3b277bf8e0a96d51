"""The 270: what is asked of a payer, as typed values → segments, and back (for whoever plays the payer).

Source: 005010X279A1, loops 2000A–D, 2100A–D and 2110C/D of the 270. FHIR is left to `asking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mappers.x12.envelope import Envelope, Row, compose
from mappers.x12.loops import Loop, loops
from mappers.x12.place import X12Error
from mappers.x12.segment import Segment
from mappers.x12.sets import Transaction

KIND: Final = "270"
NPI_QUALIFIER: Final = "XX"
PAYER_QUALIFIER: Final = "PI"


@dataclass(frozen=True, slots=True)
class Party:
    """Payer or provider. qualifier: NM108 (PI payer number, XX NPI, FI tax number). given: of a person who provides; "" for an organisation."""

    name: str
    number: str
    qualifier: str
    given: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Subscriber or dependent. member: NM109 (MI). born: CCYYMMDD. gender: F, M or "". lines: one or two of the street."""

    family: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    member: str = ""
    born: str = ""
    gender: str = ""
    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """trace: TRN02, given back in the answer; origin: TRN03, ten characters. dependent: the patient where not the subscriber; relationship: INS02 (01, 19, 34).

    service_types: EQ01, one loop each; procedures: (qualifier, code) of EQ02. first, last: CCYYMMDD of the service, equal for one day, "" for today.
    """

    trace: str
    origin: str
    payer: Party
    provider: Party
    subscriber: Person
    dependent: Person | None = None
    relationship: str = ""
    group: str = ""
    service_types: tuple[str, ...] = ()
    procedures: tuple[tuple[str, str], ...] = ()
    first: str = ""
    last: str = ""


def ask(questions: Sequence[Question], envelope: Envelope) -> bytes:
    """An interchange with one transaction set for each question. Raises X12Error at an element that can't be sent."""
    return compose(envelope, KIND, [_body(question, envelope) for question in questions])


def _body(question: Question, envelope: Envelope) -> list[Row]:
    dependent = question.dependent
    rows: list[Row] = [("BHT", "0022", "13", question.trace, f"{envelope.made:%Y%m%d}", f"{envelope.made:%H%M}")]
    rows += [("HL", "1", "", "20", "1"), party("PR", question.payer)]
    rows += [("HL", "2", "1", "21", "1"), party("1P", question.provider)]
    rows += [("HL", "3", "2", "22", "1" if dependent else "0")]
    trace = ("TRN", "1", question.trace, question.origin)
    rows += [] if dependent else [trace]
    rows += person("IL", question.subscriber, question.group)
    if dependent:
        rows += [("HL", "4", "3", "23", "0"), trace, *person("03", dependent, "")]
        rows += [("INS", "N", question.relationship)] if question.relationship else []
    if question.first:
        same = question.first == question.last
        rows.append(("DTP", "291", "D8", question.first) if same else ("DTP", "291", "RD8", f"{question.first}-{question.last}"))
    rows += [("EQ", service) for service in question.service_types]
    rows += [("EQ", "", procedure) for procedure in question.procedures]
    return rows


def party(role: str, named: Party) -> Row:
    """NM1 of a payer (PR) or provider (1P)."""
    return ("NM1", role, "1" if named.given else "2", named.name, named.given, "", "", "", named.qualifier, named.number)


def person(role: str, named: Person, group: str) -> list[Row]:
    """NM1, REF, N3, N4 and DMG of a subscriber (IL) or dependent (03)."""
    number = ("MI", named.member) if named.member else ()
    rows: list[Row] = [("NM1", role, "1", named.family, named.given, named.middle, "", named.suffix, *number)]
    rows += [("REF", "6P", group)] if group else []
    rows += [("N3", *named.lines)] if named.lines else []
    rows += [("N4", named.city, named.state, named.postal)] if named.city else []
    rows += [("DMG", "D8" if named.born else "", named.born, named.gender)] if named.born or named.gender else []
    return rows


def asked(transaction: Transaction) -> list[Question]:
    """The questions of a 270, one for each patient. Raises X12Error when it is no 270, or a loop lacks the NM1 it is about."""
    if transaction.kind != KIND:
        raise X12Error("the transaction set is no eligibility question (270)", transaction.segments[0].where(1))
    found: list[Question] = []
    for payer in loops(transaction).inner("2000A"):
        for provider in payer.inner("2000B"):
            for subscriber in provider.inner("2000C"):
                dependents: list[Loop | None] = [*subscriber.inner("2000D")]
                found += [_asked(payer, provider, subscriber, dependent) for dependent in dependents or [None]]
    if not found:
        raise X12Error("the question names no subscriber (HL with level 22)", transaction.segments[0].where())
    return found


def _asked(payer: Loop, provider: Loop, subscriber: Loop, dependent: Loop | None) -> Question:
    level = dependent or subscriber
    person, holder = _entity(level), _entity(subscriber)
    trn, ins, dtp = level.first("TRN"), person.first("INS"), person.first("DTP")
    dates = dtp.value(3).split("-") if dtp else [""]
    eqs = [loop.segments[0] for loop in person.inner("2110")]
    group = next((ref.text(2) for ref in holder.named("REF") if ref.value(1) == "6P"), "")
    return Question(
        trace=trn.text(2) if trn else "",
        origin=trn.text(3) if trn else "",
        payer=_party_of(_entity(payer).segments[0]),
        provider=_party_of(_entity(provider).segments[0]),
        subscriber=_person_of(holder),
        dependent=_person_of(person) if dependent else None,
        relationship=ins.value(2) if ins and dependent else "",
        group=group,
        service_types=tuple(service for eq in eqs for service in eq.repeats(1)),
        procedures=tuple((eq.value(2, 1), eq.value(2, 2)) for eq in eqs if eq.value(2)),
        first=dates[0],
        last=dates[-1],
    )


def _entity(level: Loop) -> Loop:
    if not level.entities:
        raise X12Error("no NM1 follows it", level.segments[0].where())
    return level.entities[0]


def _party_of(nm1: Segment) -> Party:
    return Party(nm1.text(3), nm1.text(9), nm1.value(8), nm1.text(4))


def _person_of(loop: Loop) -> Person:
    nm1, n3, n4, dmg = loop.segments[0], loop.first("N3"), loop.first("N4"), loop.first("DMG")
    return Person(
        family=nm1.text(3),
        given=nm1.text(4),
        middle=nm1.text(5),
        suffix=nm1.text(7),
        member=nm1.text(9),
        born=dmg.value(2) if dmg else "",
        gender=dmg.value(3) if dmg else "",
        lines=tuple(filter(None, (n3.text(1), n3.text(2)))) if n3 else (),
        city=n4.text(1) if n4 else "",
        state=n4.text(2) if n4 else "",
        postal=n4.text(3) if n4 else "",
    )
