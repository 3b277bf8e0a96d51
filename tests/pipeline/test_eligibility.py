"""Stories about asking a payer: by $submit, by a plain write, by HL7 v2, by itself; and what becomes of the money gate of the case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.errors import InvalidError
from fhir_gateway.outbound.sender import Sender
from fhir_gateway.pipeline import payerchannels
from fhir_gateway.pipeline.delivery import Delivery, Outcome
from fhir_gateway.pipeline.enquiry import Asking
from fhir_gateway.pipeline.payerchannels import AnswerError, Channel
from fhir_gateway.settings import Settings
from fhir_gateway.validation import decode, encode, validate
from profiles.eligibility import RAW_ANSWER, RETRY_AFTER, SERVICE_TYPES, VALID_UNTIL
from tests import messages
from tests.pipeline.conftest import STAFF, Told, _told
from tests.pipeline.test_insurance import IN1, pin

Json = dict[str, Any]
BLUE: Json = {
    "name": "blue-plan",
    "title": "Blue Plan",
    "identifier": [{"value": "BLUE01"}],
    "rules": [{"serviceType": "20", "covered": True, "authorisationRequired": False, "network": {"kind": "open"}}],
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Told]:
    """A gateway on SQLite: no query of these stories differs between the databases."""
    yield from _told(f"sqlite:///{tmp_path}/told.db")


def configured(told: Told, **changes: Any) -> None:
    document = {**BLUE, **changes}
    told.gateway.store.run(STAFF, told.now, lambda tx: tx.payers.put(document["name"], json.dumps(document)))


def request(told: Told, **changes: Any) -> Json:
    (coverage,) = told.found("Coverage")
    made = {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": ["benefits"],
        "patient": coverage["beneficiary"],
        "created": "2026-09-10",
        "insurer": {"display": "Blue Plan"},
        "insurance": [{"coverage": {"reference": f"Coverage/{coverage['id']}"}}],
    }
    return made | changes


def submit(told: Told, body: Json) -> Json:
    answer = told.gateway.submit_eligibility(STAFF, encode(body)).resource
    assert validate(answer) == []
    return decode(encode(answer))


class Payer:
    """A payer that is asked by machine: what it answers, one after the other, and what it was sent."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers, self.asked = list(answers), []

    def carry(self, delivery: Delivery, seconds: float) -> Outcome:
        self.asked.append(json.loads(delivery.body))
        return self.answers.pop(0)


def says(inforce: bool | None = True, **content: Any) -> Outcome:
    insurance = {"item": [{"category": {"coding": [{"system": SERVICE_TYPES, "code": "20"}]}, "authorizationRequired": False}]}
    body = {"outcome": "complete", "insurance": [insurance | ({} if inforce is None else {"inforce": inforce})], **content}
    return Outcome(good=True, answer=json.dumps(body).encode(), answer_type="application/json")


DOWN = Outcome(good=False, error="ConnectError")


def prepared(asked: Asking, settings: Settings) -> Delivery:
    return Delivery("payer", asked.payer.name, encode({"key": asked.key, "coverage": asked.coverages[0][0]}), answer_bytes=10_000)


def understood(body: bytes, kind: str, asked: Asking, codes: object) -> Json:
    try:
        found: Json = json.loads(body)
    except ValueError as fault:
        raise AnswerError("no JSON") from fault
    return found


@pytest.fixture
def machine(here: Told, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The same with a payer whose channel is one of this test's own."""
    monkeypatch.setitem(payerchannels.CHANNELS, "fhir", Channel(prepared, understood))
    here.receives(messages.referral())
    configured(here, channel="fhir", fhir={"base": "https://payer.example/fhir"})
    return here


def works(told: Told, payer: Payer | None = None, rounds: int = 1) -> None:
    """The worker's rounds."""
    sender = Sender(told.gateway.outgoing, {"payer": payer.carry} if payer else {}, 1)
    for _ in range(rounds):
        sender.round()


def money(told: Told) -> tuple[str, str | None]:
    return told.case()["gates"]["money"]["state"], told.item("coverage-eligibility")["reason"]


def test_a_question_is_answered_and_both_are_kept_in_one_transaction(told: Told) -> None:
    told.receives(messages.referral())
    configured(told)
    answer = submit(told, request(told))
    (asked,) = told.found("CoverageEligibilityRequest")
    assert answer["request"]["reference"] == f"CoverageEligibilityRequest/{asked['id']}"
    assert [one["id"] for one in told.found("CoverageEligibilityResponse", request=answer["request"]["reference"])] == [answer["id"]]
    assert (answer["insurance"][0]["inforce"], answer["insurance"][0]["item"][0]["excluded"]) == (True, False)
    assert {"url": VALID_UNTIL, "valueDate": "2026-09-30"} in answer["extension"]
    assert money(told)[0] == "satisfied"


@pytest.mark.parametrize("wrap", ["Parameters", "Bundle"])
def test_what_travels_with_a_question_names_the_member_held_here(here: Told, wrap: str) -> None:
    here.receives(messages.referral())
    configured(here)
    (held,), (patient,) = here.found("Coverage"), here.found("Patient")
    own = {**patient, "id": "theirs", "identifier": patient["identifier"][:1]}
    own.pop("meta")
    insured = {"resourceType": "Coverage", "id": "c", "status": "active", "subscriberId": held["subscriberId"]}
    insured |= {"beneficiary": {"reference": "Patient/theirs"}, "payor": [{"display": "Blue Plan"}]}
    asked = request(here, patient={"reference": "Patient/theirs"}, insurance=[{"coverage": {"reference": "Coverage/c"}}])
    name = "parameter" if wrap == "Parameters" else "entry"
    body: Json = {"resourceType": wrap, name: [{"name": "r", "resource": one} for one in (asked, insured, own)]}
    answer = submit(here, body)
    assert (answer["patient"]["reference"], answer["insurance"][0]["coverage"]["reference"]) == (f"Patient/{patient['id']}", f"Coverage/{held['id']}")
    stranger = {**insured, "subscriberId": "nobody"}
    body[name][1]["resource"] = stranger
    unknown = submit(here, body)
    assert (unknown["outcome"], unknown["error"][0]["code"]["coding"][0]["code"]) == ("error", "75")
    assert money(here)[0] == "satisfied", "a question about somebody else says nothing of this case"


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"status": "cancelled"}, "CoverageEligibilityRequest.status"),
        ({"purpose": []}, "CoverageEligibilityRequest.purpose"),
        ({"patient": {"reference": "Patient/nobody"}}, "CoverageEligibilityRequest.patient.reference"),
        ({"resourceType": "Coverage"}, "resourceType"),
    ],
)
def test_a_question_that_asks_nothing_is_refused_at_its_place(here: Told, changes: Json, at: str) -> None:
    here.receives(messages.referral())
    with pytest.raises(InvalidError) as refused:
        submit(here, request(here, **changes))
    assert at in {issue.expression for issue in refused.value.issues}
    assert here.count("CoverageEligibilityRequest") == 0


def test_a_question_by_a_plain_write_in_a_bundle_or_by_hl7_v2_is_answered_too(here: Told) -> None:
    here.receives(messages.referral())
    here.gateway.fhir.create(STAFF, "CoverageEligibilityRequest", encode(request(here)), None)
    entry = {"resource": request(here), "request": {"method": "POST", "url": "CoverageEligibilityRequest"}}
    assert here.posts({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == 200
    assert here.receives(pin("20281231", made="20260911080000-0500", kind="RQI^I01"))[0] == "AA"
    assert here.count("CoverageEligibilityRequest") == here.count("CoverageEligibilityResponse") == 3
    here.gateway.fhir.create(STAFF, "CoverageEligibilityRequest", encode(request(here, status="draft")), None)
    assert here.count("CoverageEligibilityResponse") == 3, "a draft asks nothing"


def test_an_open_case_is_checked_by_itself_once_for_each_insurance_and_month(here: Told) -> None:
    configured(here)
    here.receives(messages.referral())
    works(here, rounds=2)
    assert (here.count("CoverageEligibilityRequest"), money(here)) == (1, ("satisfied", None))
    here.receives(pin("20281231", made="20260911080000-0500", group="GRP-9"))
    assert money(here) == ("indeterminate", "policy-changed")
    works(here, rounds=2)
    assert (here.count("CoverageEligibilityRequest"), money(here)) == (2, ("satisfied", None))
    here.passes(days=25)
    works(here, rounds=2)
    assert (here.count("CoverageEligibilityRequest"), money(here)) == (3, ("satisfied", None))


def test_a_payer_nobody_configured_is_asked_only_by_hand_and_its_answer_is_indeterminate(here: Told) -> None:
    here.receives(messages.referral())
    works(here)
    assert (here.count("CoverageEligibilityRequest"), money(here)) == (0, ("indeterminate", None))
    (case,) = here.gateway.checks_due(STAFF, 10)
    flat = here.gateway.check_coverage(STAFF, case)
    assert (flat["gates"]["money"]["state"], flat["money"]["nextStep"]) == ("indeterminate", "Telephone the payer: its answer is neither yes nor no.")
    assert here.gateway.checks_due(STAFF, 10) == []


def test_a_payer_asked_by_machine_answers_in_its_time(machine: Told) -> None:
    payer = Payer(says())
    machine.gateway.submission.carriers["payer"] = payer.carry
    answer = submit(machine, request(machine))
    assert (answer["outcome"], answer["insurance"][0]["inforce"], len(payer.asked)) == ("complete", True, 1)
    raw = next(one["valueReference"]["reference"] for one in answer["extension"] if one["url"] == RAW_ANSWER)
    kept = machine.gateway.raw_message(STAFF, raw.partition("/")[2])
    assert kept is not None and (json.loads(kept.content)["outcome"], kept.content_type) == ("complete", "application/json")
    money_section = machine.case()["money"]
    assert (money_section["raw"], money_section["answeredBy"], money(machine)[0]) == (raw, "fhir", "satisfied")
    works(machine, Payer())


def test_a_payer_that_is_down_is_asked_again_until_it_answers(machine: Told) -> None:
    payer = Payer(DOWN, says(inforce=False))
    assert submit(machine, request(machine))["outcome"] == "queued"
    assert money(machine) == ("indeterminate", "pended")
    works(machine, payer)
    assert money(machine) == ("indeterminate", "pended")
    machine.now += timedelta(minutes=1)
    works(machine, payer)
    assert money(machine) == ("not-satisfied", "not-in-force")
    assert payer.asked[0] == payer.asked[1], "the same question under the same name"


def test_a_payer_that_can_not_answer_now_says_so_and_is_asked_again_when_it_said(machine: Told) -> None:
    busy = {"outcome": "error", "error": [{"code": {"text": "Unable to respond"}, "extension": [{"url": RETRY_AFTER, "valueDuration": WAIT}]}]}
    payer = Payer(Outcome(good=True, answer=json.dumps(busy).encode()), says())
    submit(machine, request(machine))
    works(machine, payer)
    assert money(machine) == ("indeterminate", "indeterminate")
    works(machine, payer)
    assert len(payer.asked) == 1, "not before it said"
    machine.now += timedelta(minutes=11)
    works(machine, payer)
    assert money(machine) == ("satisfied", None)


WAIT = {"value": 10, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}


@pytest.mark.parametrize("body", [b"\xff<html>", b"[]", b'{"insurance": [{"inforce": "perhaps"}]}', b'{"outcome": "splendid"}'])
def test_an_answer_against_the_specification_is_kept_and_left_to_a_person(machine: Told, body: bytes) -> None:
    submit(machine, request(machine))
    works(machine, Payer(Outcome(good=True, answer=body, answer_type="text/html")))
    (answer,) = machine.found("CoverageEligibilityResponse")
    assert (answer["outcome"], validate(answer), money(machine)) == ("error", [], ("indeterminate", "indeterminate"))
    kept = machine.gateway.raw_message(STAFF, machine.case()["money"]["raw"].partition("/")[2])
    assert kept is not None and kept.content == body
    assert "could not be read" in machine.case()["money"]["problem"][0]


def test_a_payer_that_stays_down_rests_between_questions_and_at_the_end_a_person_is_told(machine: Told) -> None:
    submit(machine, request(machine))
    payer = Payer(*[DOWN] * 40)
    for _ in range(60):
        works(machine, payer)
        machine.now += timedelta(minutes=10)
    assert 8 < len(payer.asked) < 25
    assert money(machine) == ("indeterminate", "indeterminate")
    assert "could not be reached" in machine.case()["money"]["problem"][0]


def test_a_lapsed_policy_regresses_the_gate_at_once(here: Told) -> None:
    configured(here)
    here.receives(messages.referral())
    works(here, rounds=2)
    here.receives(pin("20260909", made="20260911080000-0500"))
    assert money(here) == ("not-satisfied", "lapsed")
    assert "holds now" in here.case()["money"]["nextStep"]


def test_a_question_that_was_deleted_meanwhile_ends_without_a_word(machine: Told) -> None:
    answer = submit(machine, request(machine))
    machine.gateway.fhir.delete(STAFF, "CoverageEligibilityResponse", answer["id"], None)
    machine.gateway.fhir.delete(STAFF, "CoverageEligibilityRequest", answer["request"]["reference"].partition("/")[2], None)
    payer = Payer(says())
    works(machine, payer, rounds=2)
    (asked,) = payer.asked
    assert answer["request"]["reference"].partition("/")[2] not in asked["key"], "only what the case is checked for anew, now that it lacks an answer"


@pytest.mark.parametrize("kind", ["ADT^A08", "ADT^A31"])
def test_an_update_of_the_person_with_another_policy_is_another_question(here: Told, kind: str) -> None:
    configured(here)
    here.receives(messages.referral())
    works(here, rounds=2)
    assert money(here)[0] == "satisfied"
    changed = messages.order(kind, IN1.format(end="20271231", group="GRP-8"), made="20260911080000-0500")
    assert here.receives(changed)[0] == "AA"
    assert money(here) == ("indeterminate", "policy-changed")


def test_the_guidance_says_it_in_words_with_the_answer_one_step_away(here: Told) -> None:
    configured(here)
    here.receives(messages.referral())
    works(here, rounds=2)
    guidance = here.gateway.completeness(STAFF, here.case()["case"]["id"], None)
    assert validate(guidance) == []
    (told,) = [one["part"] for one in guidance["contained"][0]["parameter"] if one["name"] == "money"]
    parts = {part["name"]: next(value for name, value in part.items() if name.startswith("value")) for part in told}
    assert parts["eligibility"] == "The insurance is in force on 2026-09-10 and covers Second Surgical Opinion (20)."
    assert (parts["nextStep"], parts["response"]["reference"].partition("/")[0]) == (
        "Nothing: the money side is settled.",
        "CoverageEligibilityResponse",
    )


GREEN: Json = {
    "name": "green-plan",
    "title": "Green Plan",
    "rules": [{"serviceType": "20", "covered": False, "authorisationRequired": True}, {"serviceType": "30", "covered": True}],
}


def two_plans(here: Told) -> tuple[str, str]:
    """A member of two plans, each with rules of its own; their Coverages, Blue Plan's first."""
    here.receives(messages.referral())
    configured(here)
    configured(here, **GREEN)
    (blue,) = here.found("Coverage")
    green = {"resourceType": "Coverage", "status": "active", "order": 2, "subscriberId": "G-1", "beneficiary": blue["beneficiary"]}
    green |= {"identifier": [{"system": "urn:x:green", "value": "77"}], "period": {"start": "2026-01-01"}, "payor": [{"display": "Green Plan"}]}
    made = here.gateway.fhir.create(STAFF, "Coverage", encode(green), None)
    return f"Coverage/{blue['id']}", made.stored.reference


def answered(answer: Json) -> tuple[str, list[tuple[str, bool | None]]]:
    """Who answered, and of which Coverages, with what it says of being excluded."""
    insurances = answer.get("insurance", [])
    return answer["insurer"]["display"], [(one["coverage"]["reference"], one["item"][0].get("excluded")) for one in insurances]


def test_a_question_is_answered_by_one_payer_about_its_own_plans(here: Told) -> None:
    """R4 CoverageEligibilityRequest: insurer is "the recipient of the request", insurance.focal the Coverage to be used for its evaluation."""
    blue, green = two_plans(here)
    of_blue, of_green = ("Blue Plan", [(blue, False)]), ("Green Plan", [(green, True)])
    both = [{"coverage": {"reference": blue}}, {"coverage": {"reference": green}}]
    asked = request_of(blue, here)
    for changes, expected in (
        ({"insurance": both}, of_blue),
        ({"insurance": both, "insurer": {"display": "Green Plan"}}, of_green),
        ({"insurance": [both[0], both[1] | {"focal": True}]}, of_green),
        ({"insurance": [{"coverage": {"identifier": {"system": "urn:x:green", "value": "77"}}}]}, of_green),
        ({"insurance": None, "insurer": {"display": "Green Plan"}, "purpose": ["discovery", "benefits"]}, of_green),
        (
            {"insurance": None, "insurer": {"reference": "#o"}, "contained": [{"resourceType": "Organization", "id": "o", "name": "Green Plan"}]},
            of_green,
        ),
        ({"insurance": None, "insurer": {"display": "Another Plan"}}, ("Another Plan", [])),
    ):
        body = {name: value for name, value in (asked | changes).items() if value is not None}
        assert answered(submit(here, body)) == expected, changes


def request_of(coverage: str, told: Told) -> Json:
    (patient,) = told.found("Patient")
    made = {"resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["benefits"], "created": "2026-09-10"}
    made |= {"patient": {"reference": f"Patient/{patient['id']}"}, "insurer": {"display": "Blue Plan"}}
    return made | {"insurance": [{"coverage": {"reference": coverage}}]}


def test_what_came_with_a_question_travels_inside_it_under_no_name_of_ours(here: Told) -> None:
    """R4 $submit: "a bundle containing [the request] and referenced resources", in the parameter `resource` or by itself; bundle.html#references."""
    blue, _ = two_plans(here)
    (patient,) = here.found("Patient")
    names = {kind: f"https://theirs.example/fhir/{kind}/{patient['id']}" for kind in ("Patient", "Practitioner", "Organization")}
    theirs = {"resourceType": "Patient", "id": patient["id"], "name": [{"family": "Somebody"}]}
    asked = request_of(blue, here) | {"patient": {"reference": names["Patient"]}, "provider": {"reference": names["Practitioner"]}}
    asked |= {"insurer": {"reference": names["Organization"]}}
    others = [theirs, {"resourceType": "Practitioner", "id": "d"}, {"resourceType": "Organization", "id": "o", "name": "Blue Plan"}]
    entries = [{"resource": asked}, *({"fullUrl": names[one["resourceType"]], "resource": one} for one in others)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    answer = submit(here, {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": bundle}]})
    assert (answer["outcome"], answer["patient"]) == ("error", {"display": "not known here"}), "the same id elsewhere is somebody else"
    (kept,) = here.found("CoverageEligibilityRequest")
    assert {one["resourceType"] for one in kept["contained"]} == {"Patient", "Practitioner", "Organization"} and "theirs.example" not in str(kept)


def test_the_service_asked_about_is_read_in_any_of_its_systems(here: Told) -> None:
    """X12 element 1365 as HL7 Terminology and R4's benefit categories name it; a service nobody has a rule for is answered as the plan (CORE)."""
    _, green = two_plans(here)
    for system, code in (
        ("https://x12.org/codes/service-type-codes", "30"),
        ("http://terminology.hl7.org/CodeSystem/ex-benefitcategory", "30"),
        (SERVICE_TYPES, "35"),
    ):
        item = [{"category": {"coding": [{"system": system, "code": code}]}}]
        (one,) = submit(here, request_of(green, here) | {"item": item})["insurance"]
        assert [(i["category"]["coding"][0]["code"], i["excluded"]) for i in one["item"]] == [("30", False)], system


def test_a_question_taken_back_is_not_asked_and_nobody_waits_for_its_answer(machine: Told) -> None:
    made = machine.gateway.fhir.create(STAFF, "CoverageEligibilityRequest", encode(request(machine)), None).stored
    assert money(machine) == ("indeterminate", "pended")
    machine.gateway.fhir.update(STAFF, made.type, made.id, encode({**made.resource, "status": "cancelled"}), None)
    payer = Payer(says())
    works(machine, payer)
    assert payer.asked == [] and money(machine)[1] != "pended"
    assert [one["status"] for one in machine.found("CoverageEligibilityResponse", request=made.reference)] == ["cancelled"]
