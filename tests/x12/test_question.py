"""The 270: from FHIR to bytes that the reader of a payer understands, and what can't be asked."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.validation import validate
from mappers import x12
from mappers.x12 import Envelope, Party, Person, Question, Separators, X12Error
from tests.x12.test_reader import marks

MADE = datetime(2026, 9, 14, 9, 30)  # noqa: DTZ001  the sender's local time
ENVELOPE = Envelope("SOGCLINIC", "PAYERTEST", 117, MADE)
CPT = "http://www.ama-assn.org/go/cpt"
STC = "https://codesystem.x12.org/005010/1365"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Núñez*Marlowe", "given": ["Inês", "Ana"]}],
    "birthDate": "1971-03-14",
    "gender": "female",
    "address": [{"line": ["12 Harbor Lane"], "city": "Duluth", "state": "MN", "postalCode": "55802-1234"}],
}
COVERAGE: dict[str, Any] = {
    "resourceType": "Coverage",
    "subscriberId": "MH4471902",
    "class": [{"type": {"coding": [{"code": "group"}]}, "value": "GRP-2210"}],
}
REQUEST: dict[str, Any] = {
    "resourceType": "CoverageEligibilityRequest",
    "servicedDate": "2026-09-22",
    "item": [{"category": {"coding": [{"system": STC, "code": "20"}, {"system": STC, "code": "98"}]}}],
}
PAYER = {"resourceType": "Organization", "name": "Meridian Health Plan", "identifier": [{"value": "MHP01"}]}
CLINIC = {
    "resourceType": "Organization",
    "name": "Lakeside Cancer Center",
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1999999984"}],
}


def question(request: dict[str, Any] = REQUEST, **other: Any) -> Question:
    given_ = {"coverage": COVERAGE, "patient": PATIENT, "payer": PAYER, "provider": CLINIC, "trace": "SOG-0417", "origin": "SOGCLINIC"} | other
    return x12.question(request, **given_)


def test_a_question_from_fhir_stands_in_its_loops() -> None:
    raw = x12.ask([question()], ENVELOPE)
    assert raw.decode().split("~")[:-1] == [
        "ISA*00*          *00*          *ZZ*SOGCLINIC      *ZZ*PAYERTEST      *260914*0930*^*00501*000000117*0*T*:",
        "GS*HS*SOGCLINIC*PAYERTEST*20260914*0930*117*X*005010X279A1",
        "ST*270*0001*005010X279A1",
        "BHT*0022*13*SOG-0417*20260914*0930",
        "HL*1**20*1",
        "NM1*PR*2*MERIDIAN HEALTH PLAN*****PI*MHP01",
        "HL*2*1*21*1",
        "NM1*1P*2*LAKESIDE CANCER CENTER*****XX*1999999984",
        "HL*3*2*22*0",
        "TRN*1*SOG-0417*9SOGCLINIC",
        "NM1*IL*1*NUNEZ MARLOWE*INES*ANA***MI*MH4471902",
        "REF*6P*GRP-2210",
        "N3*12 HARBOR LANE",
        "N4*DULUTH*MN*558021234",
        "DMG*D8*19710314*F",
        "DTP*291*D8*20260922",
        "EQ*20",
        "EQ*98",
        "SE*17*0001",
        "GE*1*117",
        "IEA*1*000000117",
    ]
    (read,) = x12.read(raw)
    assert read.findings == []
    assert x12.asked(read.transactions[0]) == [question()]


def test_a_patient_who_is_not_the_subscriber_is_asked_about_as_dependent() -> None:
    child = {"resourceType": "Patient", "name": [{"family": "Marlowe", "given": ["Teo"]}], "birthDate": "2009-05-02"}
    cover = COVERAGE | {"relationship": {"coding": [{"code": "child"}]}}
    made = question(coverage=cover, patient=child, subscriber=PATIENT)
    assert (made.subscriber.member, made.dependent and made.dependent.given, made.relationship) == ("MH4471902", "TEO", "19")
    assert x12.asked(x12.read(x12.ask([made], ENVELOPE))[0].transactions[0]) == [made]


def test_what_is_asked_by_default_by_procedure_and_over_several_days() -> None:
    assert question({}).service_types == ("20",)
    by_procedure = question({"item": [{"productOrService": {"coding": [{"system": CPT, "code": "99245"}]}}]})
    assert (by_procedure.service_types, by_procedure.procedures) == ((), (("HC", "99245"),))
    days = question({"servicedPeriod": {"start": "2026-09-22", "end": "2026-09-30"}})
    assert (days.first, days.last) == ("20260922", "20260930")
    assert b"EQ**HC:99245~" in x12.ask([by_procedure], ENVELOPE)
    assert b"DTP*291*RD8*20260922-20260930~" in x12.ask([days], ENVELOPE)


@pytest.mark.parametrize(
    ("other", "place", "words"),
    [
        ({"payer": {"name": "Meridian"}}, "NM1[6]09", "Organization.identifier"),
        ({"provider": {"name": "Lakeside"}}, "NM1[8]09", "NPI"),
        ({"coverage": {}, "patient": {}}, "NM1[11]09", "Coverage.subscriberId"),
    ],
)
def test_what_the_guide_requires_and_fhir_lacks_is_named(other, place, words) -> None:
    with pytest.raises(X12Error) as refused:
        question(**other)
    assert refused.value.where.short == place and words in refused.value.text


@pytest.mark.parametrize("member", ["MH*4471902", "MH~1", "MH\n1", "MÉ1"])
def test_a_number_that_cannot_be_sent_is_refused_never_changed(member) -> None:
    with pytest.raises(X12Error) as refused:
        x12.ask([question(coverage=COVERAGE | {"subscriberId": member})], ENVELOPE)
    assert refused.value.where.short == "NM1[11]09" and member not in str(refused.value)


@pytest.mark.parametrize(
    ("coverage", "place", "words"),
    [
        ({"subscriberId": "7"}, "NM1[11]09", "the member number is shorter"),
        ({"subscriberId": "M" * 81}, "NM1[11]09", "the member number is longer"),
        ({"subscriberId": "M*1"}, "NM1[11]09", "the member number holds a character"),
        ({"subscriberId": "M1", "class": [{"type": {"coding": [{"code": "group"}]}, "value": "G" * 51}]}, "REF[12]02", "the group number is longer"),
    ],
)
def test_a_number_that_does_not_fit_is_named(coverage, place, words) -> None:
    """005010X279A1, 2100C: NM109 has 2 to 80 characters, REF02 at most 50."""
    with pytest.raises(X12Error) as refused:
        question(coverage=coverage)
    assert refused.value.where.short == place and words in refused.value.text


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ({"family": "Łukasiewicz", "given": ["Bjørn", "Þóra"]}, ("LUKASIEWICZ", "BJORN", "THORA")),
        ({"family": "O’Brien–Weiß", "given": ["Seán:A"]}, ("O'BRIEN-WEISS", "SEAN A", "")),
    ],
)
def test_letters_that_are_no_accents_are_not_lost(name, sent) -> None:
    """X12's basic character set (005010X279A1, B.1.1.2.2) has neither; a name without them would be another person's."""
    made = question(patient=PATIENT | {"name": [name]}).subscriber
    assert (made.family, made.given, made.middle) == sent


def test_who_can_not_be_told_apart_is_not_asked_about() -> None:
    """A name in letters X12 lacks, or half a date of birth, tells nobody apart; a member number alone does."""
    for changes in ({"name": [{"family": "Иванова"}]}, {"birthDate": "1971"}, {"name": [{"text": "Ines Marlowe"}]}):
        with pytest.raises(X12Error, match="neither a member number"):
            question(coverage={}, patient=PATIENT | changes)
        assert question(coverage={"subscriberId": "M1"}, patient=PATIENT | changes).subscriber.member == "M1"


@pytest.mark.parametrize(
    "changes", [{"state": "Minnesota"}, {"state": None}, {"country": "DE"}, {"postalCode": "D-50667"}, {"line": []}, {"city": "K"}]
)
def test_an_address_that_is_not_whole_is_left_out(changes) -> None:
    """N3 and N4 are situational in 2100C; N402 and N403 are required of an address in the United States."""
    address = {name: value for name, value in (PATIENT["address"][0] | changes).items() if value is not None}
    made = x12.ask([question(patient=PATIENT | {"address": [address]})], ENVELOPE)
    assert b"~N3*" not in made and b"~N4*" not in made


def test_a_service_type_that_is_no_code_is_refused() -> None:
    asked = [{"category": {"coding": [{"system": STC, "code": code}]}} for code in ("on", "98")]
    assert question({"item": asked}).service_types == ("ON", "98")
    with pytest.raises(X12Error, match="no code of one or two characters"):
        question({"item": [{"category": {"coding": [{"system": STC, "code": "ONCOLOGY"}]}}]})


@pytest.mark.parametrize(
    ("change", "element"), [({"control": 0}, 13), ({"control": 10**9}, 13), ({"sender": "X" * 16}, 6), ({"receiver": " "}, 8), ({"sender": "A*B"}, 6)]
)
def test_an_envelope_that_does_not_fit_is_refused(change, element) -> None:
    with pytest.raises(X12Error) as refused:
        x12.ask([question()], replace(ENVELOPE, **change))
    assert refused.value.where == x12.Place(1, "ISA", element)


word = st.text(alphabet=string.ascii_uppercase + string.digits, min_size=1, max_size=9)
maybe = st.just("") | word
people = st.builds(Person, family=word, given=maybe, middle=maybe, suffix=maybe, member=maybe, born=st.just("") | st.just("19710314"))
parties = st.builds(Party, name=word, number=word, qualifier=st.sampled_from(["PI", "XX"]), given=maybe)
questions = st.builds(
    Question,
    trace=word,
    origin=word,
    payer=parties,
    provider=parties,
    subscriber=people,
    dependent=st.none() | people,
    group=maybe,
    service_types=st.lists(st.sampled_from(["20", "98", "30"]), min_size=1, unique=True).map(tuple),
)


@settings(max_examples=40)
@given(st.lists(questions, min_size=1, max_size=3), marks)
def test_what_is_asked_is_what_a_payer_reads(several, chosen) -> None:
    (read,) = x12.read(x12.ask(several, replace(ENVELOPE, separators=Separators(*chosen))))
    assert read.findings == []
    assert [one for transaction in read.transactions for one in x12.asked(transaction)] == several


PAYER_SIDE = Envelope("PAYERTEST", "SOGCLINIC", 9, MADE)


@settings(max_examples=30)
@given(questions)
def test_a_reply_gives_back_who_was_asked_about_and_the_number_of_the_question(one) -> None:
    raw = x12.reply(one, [("EB", "1", "", "30")], PAYER_SIDE)
    (read,) = x12.read(raw)
    (answer,) = x12.answers(read.transactions[0])
    assert (read.findings, answer.findings, answer.traces, answer.submitted) == ([], (), (one.trace,), one.trace)
    assert answer.response["insurance"][0]["inforce"] is True
    assert validate(answer.response) == []


@pytest.mark.parametrize("level", ["A", "B", "C"])
def test_a_rejection_stands_in_the_loop_of_whom_it_is_about(level) -> None:
    (read,) = x12.read(x12.reply(question(), [("AAA", "N", "", "42", "R")], PAYER_SIDE, level))
    (answer,) = x12.answers(read.transactions[0])
    assert [one["extension"][0]["valueString"] for one in answer.response["error"]] == [f"2100{level} AAA"]
    assert validate(answer.response) == []
