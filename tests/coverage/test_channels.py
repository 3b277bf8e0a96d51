"""The ways to a payer on the wire: what is sent, faults, a payer that is left alone for a while, files. How one signs in: test_signin."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.coverage.exchange import AnswerError, answer, question
from fhir_gateway.coverage.payer import UNKNOWN
from fhir_gateway.outbound import folders
from fhir_gateway.pipeline.delivery import Delivery
from fhir_gateway.pipeline.enquiry import Asking
from fhir_gateway.pipeline.payerchannels import CHANNELS
from fhir_gateway.pipeline.traces import keys_of, trace_of
from fhir_gateway.validation import validate
from mappers import x12
from profiles.eligibility import RETRY_AFTER, WHO_FIXES
from profiles.x12codes import shipped
from tests.coverage.conftest import CLIENT, Keys
from tests.coverage.payers import CORE, FHIR, FILES, RAW, Clinic, clinic
from tests.coverage.questions import AT
from tests.mockpayer import MockPayer
from tests.pipeline.conftest import STAFF
from tests.x12.build import BEGIN, ISA, PAYER, PROVIDER, SUBSCRIBER, interchange, transaction_set
from tests.x12.build import answer as answered_271

Json = dict[str, Any]

PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"value": "MRN-1"}, {"type": {"coding": [{"code": "MB"}]}, "value": "M-1"}],
    "name": [{"family": "Marlowe"}],
    "birthDate": "1971-03-14",
    "telecom": [{"value": "217-555-0100"}],
    "address": [{"city": "Springfield"}],
}
REQUEST: Json = {
    "resourceType": "CoverageEligibilityRequest",
    "id": "r",
    "status": "active",
    "purpose": ["benefits"],
    "created": "2026-09-10",
    "patient": {"reference": "Patient/p"},
    "insurer": {"display": "x"},
    "item": [{"diagnosis": [{"diagnosisCodeableConcept": {"text": "cancer"}}], "category": {"coding": [{"code": "20"}]}}],
}
COVERAGE: Json = {"resourceType": "Coverage", "id": "c", "status": "active", "subscriberId": "M-1", "beneficiary": {"reference": "Patient/p"}}
COVERAGE |= {"payor": [{"display": "x"}], "extension": [{"url": "urn:x", "valueString": "ours"}]}


def test_a_fhir_payer_is_sent_what_it_needs_and_no_more() -> None:
    bundle = question(REQUEST, [COVERAGE], PATIENT, subscriber={}, payer={"name": "Example Payer"}, clinic="Clinic", npi="1999999984", number="N-1")
    assert validate(bundle) == []
    sent = json.dumps(bundle)
    assert all(word in sent for word in ("Marlowe", "1971-03-14", "M-1", "N-1", "1999999984"))
    assert not any(word in sent for word in ("MRN-1", "217-555", "Springfield", "cancer", "Patient/p", "ours"))


ANSWER: Json = {
    "resourceType": "CoverageEligibilityResponse",
    "status": "active",
    "purpose": ["benefits"],
    "patient": {"display": "x"},
    "created": "2026-09-10",
    "request": {"identifier": {"value": "N-1"}},
    "outcome": "complete",
    "insurer": {"display": "x"},
    "insurance": [{"coverage": {"identifier": {"value": "M-1"}}, "inforce": True}],
}


def read(**changes: Any) -> Json:
    return answer({**ANSWER, **changes}, "N-1", frozenset({"M-1"}), shipped())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"request": {"identifier": {"value": "N-2"}}}, "another question"),
        ({"insurance": [{"coverage": {"identifier": {"value": "M-2"}}, "inforce": True}]}, "another member"),
        ({"status": "entered-in-error"}, "not active"),
        ({"insurance": [{"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}]}, "modifierExtension"),
        ({"resourceType": "OperationOutcome"}, "holds 0 CoverageEligibilityResponse"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_its_reason(changes: Json, why: str) -> None:
    assert read()["insurance"][0]["inforce"] is True
    with pytest.raises(AnswerError, match=why):
        read(**changes)


def test_what_a_payer_refers_to_at_its_own_server_is_kept_by_its_name() -> None:
    provider = {"reference": "#p1"}
    made = read(
        contained=[{"resourceType": "Organization", "id": "p1", "name": "Example Centre"}],
        requestor={"reference": "Organization/77"},
        insurance=[{"coverage": {"reference": "Coverage/5"}, "item": [{"provider": provider}]}],
    )
    assert made["insurance"][0]["item"][0]["provider"] == {"display": "Example Centre"}
    assert "reference" not in json.dumps(made)


def test_errors_are_explained_as_those_of_a_271_are() -> None:
    coding = {"system": "https://codesystem.x12.org/005010/901", "code": "42"}
    (busy,) = read(outcome="error", error=[{"code": {"coding": [coding]}}])["error"]
    (own,) = read(outcome="error", error=[{"code": {"text": "Call us"}}])["error"]
    (queued,) = read(outcome="queued", insurance=[])["error"]
    assert RETRY_AFTER in json.dumps(busy) and RETRY_AFTER in json.dumps(queued)
    assert own == {"code": {"text": "Call us"}, "extension": [{"url": WHO_FIXES, "valueCode": "payer"}]}


def test_a_trace_leads_back_to_its_question_whatever_its_case() -> None:
    key = "eligibility/01a2140d-db28-7a9d-a2a6-51414b603444/12"
    assert len(trace_of(key)) <= 50 and key in keys_of(trace_of(key).upper())
    assert len(trace_of(f"eligibility/{'x' * 64}/1")) <= 50


@pytest.fixture
def here(request: pytest.FixtureRequest, payer: MockPayer, tmp_path: Path) -> Iterator[Clinic]:
    payer.book.begin_anew()
    payer.signin.key = b""
    with clinic(payer, request.param, tmp_path) as made:
        yield made


@pytest.mark.parametrize("here", [FHIR], indirect=True)
def test_a_payer_that_wants_a_sign_in_is_asked_for_eligibility_and_authorisation(here: Clinic, keys: Keys) -> None:
    file, here.payer.signin.key = keys["ES384"]
    signed = {"tokenUrl": f"{here.payer.base}/token", "clientId": CLIENT, "keyFile": str(file), "keyId": "k1"}
    here.configure(fhir={"base": f"{here.payer.base}/fhir", **signed})
    number = here.refers("M-1003")
    here.works()
    here.told.gateway.authorising.ask(STAFF, number)
    here.works()
    assert (here.money(number)["item"], here.money(number)["authorisationState"]) == ("accepted", "pended")


@pytest.mark.parametrize("here", [CORE], indirect=True)
def test_a_payer_that_does_not_answer_is_left_alone_then_asked_once_to_see(here: Clinic) -> None:
    here.payer.book.play("M-1020", "server-error")
    here.refers("M-1020")
    here.works()
    for _ in range(2):
        here.works(minutes=1)
    assert len(here.payer.asked("M-1020")) == 3
    number = here.refers("M-1001")
    here.works()
    assert here.payer.asked("M-1001") == [], "three failures in a row: the payer rests"
    here.payer.book.play("M-1020", "active-with-copay")
    for _ in range(3):
        here.works(minutes=2)
    assert here.money(number)["gate"] == "satisfied"


@pytest.mark.parametrize("here", [FHIR], indirect=True)
def test_a_payer_that_holds_a_question_back_costs_only_its_own_time(here: Clinic) -> None:
    here.configure(seconds=0.1)
    number = here.refers("M-1020")
    before = time.monotonic()
    here.works()
    assert time.monotonic() - before < 10
    assert (here.money(number)["item"], here.money(number)["gate"]) == ("pended", "indeterminate")


@pytest.mark.parametrize("here", [RAW], indirect=True)
def test_a_secret_is_sent_and_stored_nowhere(here: Clinic, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "do-not-tell")
    ends = {"senderId": "CLINIC", "receiverId": "EXPAY", "payerId": "EXPAY"}
    here.configure(x12={**ends, "url": f"{here.payer.base}/x12", "envelope": "raw", "user": "clinic", "secretVariable": "EXAMPLE_SECRET"})
    number = here.refers("M-1001")
    here.works()
    assert here.money(number)["gate"] == "satisfied"
    here.told.gateway.store.close()
    stored = b"".join(file.read_bytes() for file in here.folder.glob("told.db*"))
    said = "".join(capsys.readouterr())
    assert b"do-not-tell" not in stored and "do-not-tell" not in said and "M-1001" not in said and "MARLOWE" not in said.upper()


@pytest.mark.parametrize("here", [CORE], indirect=True)
def test_without_the_clinic_s_npi_a_person_is_told_what_is_missing(here: Clinic) -> None:
    object.__setattr__(here.told.gateway.settings, "clinic_npi", "")
    number = here.refers("M-1001")
    here.works()
    assert "GATEWAY_CLINIC_NPI" in here.money(number)["problem"][0] and here.payer.book.asked == []


@pytest.mark.parametrize("here", [FILES], indirect=True)
def test_files_one_after_the_other(here: Clinic) -> None:
    """A file of two answers and a stranger's; half a file that is still written; the same again; no answer at all."""
    numbers = [here.refers("M-1001"), here.refers("M-1002")]
    gateway = here.told.gateway
    here.payer.book.play("M-1003", "no-answer")
    silent = here.refers("M-1003")
    here.works()
    assert [here.money(number)["gate"] for number in numbers] == ["satisfied", "not-satisfied"]
    taken = here.folder / "in" / "taken"
    assert len(list(taken.iterdir())) == 2 and list((here.folder / "out").iterdir()) == []
    whole = b"".join(file.read_bytes() for file in sorted(taken.iterdir()))
    gateway.answer_files.take("example", "both.271", whole)
    gateway.answer_files.take("example", "both.271", whole)
    gateway.answer_files.take("somebody", "both.271", whole)
    lines = [(line.sender, line.state) for line in here.told.inbox() if line.control_id == "both.271"]
    assert sorted(lines) == [("example", "processed"), ("somebody", "refused")], "nobody answers for another payer"
    assert here.money(silent)["item"] == "pended"
    here.works(hours=25)
    here.works(hours=25)
    assert here.money(silent)["gate"] == "indeterminate" and "no answer was laid down" in here.money(silent)["problem"][0]
    here.payer.book.play("M-1003", "active-with-copay")
    (here.folder / "out" / "late.270").write_bytes(question_of(here, "M-1003"))
    here.works()
    assert here.money(silent)["gate"] == "satisfied", "a late answer still counts"


def question_of(here: Clinic, member: str) -> bytes:
    """A 270 about a member under the number the clinic asked by."""
    trace = here.payer.asked(member)[-1]["trace"]
    person = x12.Person("MARLOWE", "INES", member=member)
    asked = x12.Question(trace, "9CLINIC000", x12.Party("EXAMPLE PAYER", "EXPAY", "PI"), x12.Party("CLINIC", "1999999984", "XX"), person)
    return x12.ask([asked], x12.Envelope("CLINIC", "EXPAY", 1, here.told.now))


def test_a_file_is_laid_down_whole_and_read_only_when_it_is_whole(tmp_path: Path) -> None:
    assert folders.carry(Delivery("folder", str(tmp_path / "none" / "x.270"), b"x"), 1).error == "FileNotFoundError"
    assert folders.carry(Delivery("folder", str(tmp_path / "x.270"), b"x"), 1).good
    assert [file.name for file in tmp_path.iterdir()] == ["x.270"]
    (tmp_path / "in").mkdir()
    for name in ("whole.271", ".hidden", "half.part"):
        (tmp_path / "in" / name).write_bytes(b"271")
    given: list[str] = []
    look = folders.Folders(
        lambda: [("example", str(tmp_path)), ("gone", str(tmp_path / "gone"))], lambda payer, name, raw: given.append(name), quiet=30
    )
    look.round()
    assert given == []
    folders.Folders(lambda: [("example", str(tmp_path))], lambda payer, name, raw: given.append(name), quiet=-30).round()
    assert given == ["whole.271"] and (tmp_path / "in" / "taken" / "whole.271").exists()


@pytest.mark.parametrize("here", [FILES], indirect=True)
def test_a_refused_file_can_be_taken_once_more(here: Clinic) -> None:
    here.told.gateway.answer_files.take("example", "odd.271", b"no X12")
    (line,) = here.told.inbox("refused")
    assert here.told.gateway.retry(line.id).state == "refused"
    with here.told.gateway.store.snapshot(STAFF) as tx:
        assert tx.inbox.get(line.id).raw == b"no X12"


@pytest.mark.parametrize("here", [CORE], indirect=True)
def test_a_payer_that_never_can_answer_is_given_up_and_a_person_is_told(here: Clinic) -> None:
    """AAA 42 however often it is asked: nobody may read that it is asked again when it is not."""
    number = here.refers("M-1009")
    here.works()
    assert here.money(number)["nextStep"].startswith("Wait: the payer could not answer now")
    here.payer.book.play("M-1009", "busy-then-active")
    here.works(hours=9)
    found = here.money(number)
    assert found["gate"] == "indeterminate" and found["nextStep"].startswith("Telephone the payer")
    assert "asked again in vain" in found["problem"][-1] and here.raw(number)


@pytest.mark.parametrize("here", [FHIR], indirect=True)
def test_a_refusal_is_told_at_once_and_kept(here: Clinic) -> None:
    here.configure(fhir={"base": f"{here.payer.base}/elsewhere"})
    number = here.refers("M-1001")
    here.works()
    found = here.money(number)
    assert "could not be asked: HTTP 404" in found["problem"][0] and b"Not Found" in here.raw(number)


ASKED = Asking({**REQUEST, "insurer": {}}, (("Coverage/c", COVERAGE),), PATIENT, UNKNOWN, AT, "eligibility/r/1")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["fhir", "x12"]),
    st.binary(max_size=200) | st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=8).map(json.dumps).map(str.encode),
)
def test_whatever_comes_back_is_an_answer_or_none(channel: str, body: bytes) -> None:
    for kind in ("", "multipart/form-data; boundary=x"):
        with pytest.raises(AnswerError):
            CHANNELS[channel].read(body, kind, ASKED, shipped())


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*ANSWER, "contained", "error"]),
        st.none() | st.text(max_size=3) | st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3)), max_size=2),
    )
)
def test_a_response_with_anything_in_it_is_refused_at_its_place_or_read(changes: Json) -> None:
    try:
        assert CHANNELS["fhir"].read(json.dumps({**ANSWER, **changes}).encode(), "", ASKED, shipped())["resourceType"]
    except AnswerError as refused:
        assert str(refused)


def read_x12(raw: bytes, kind: str = "application/edi-x12", asked: Asking = ASKED) -> Json:
    return CHANNELS["x12"].read(raw, kind, asked, shipped())


def ours(*benefits: str) -> bytes:
    """An answer to the question of ASKED."""
    return answered_271(*benefits).replace(b"SOG-0417", b"r-1")


FAMILY = ["HL*3*2*22*1", "TRN*2*r-1*9CLINIC000", "NM1*IL*1*MARLOWE*JO****MI*M-1", "EB*6**30"]
CHILD = ["HL*4*3*23*0", "TRN*2*r-1*9CLINIC000", "NM1*03*1*MARLOWE*INES", "EB*1**30"]


def test_the_answer_about_who_was_asked_about_counts_where_a_payer_tells_of_the_whole_family() -> None:
    """005010X279A1, 2000C and 2000D: each TRN is of the person it stands by; one subscriber's answer is not the dependent's, nor the other way round."""
    raw = interchange(transaction_set([*BEGIN, *PAYER, *PROVIDER, *FAMILY, *CHILD]))
    child = replace(ASKED, coverages=(("Coverage/c", {**COVERAGE, "relationship": {"coding": [{"code": "child"}]}}),))
    assert [read_x12(raw, asked=asked)["insurance"][0]["inforce"] for asked in (ASKED, child)] == [False, True]


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (ours("EB*1**30").replace(b"SE*", b"SE*9"), "", "the count is wrong"),
        (ours("EB*1**30").replace(b"*0001~\nGE", b"*0002~\nGE"), "", "the control number is not that of ST02"),
        (f"{ISA}~TA1*000000905*261120*1200*R*006~IEA*0*000000117~".encode(), "", "refused (TA1), TA105 006"),
        (
            b"--x\r\nContent-Disposition: form-data; name=PayloadType\r\n\r\nCoreEnvelopeError\r\n",
            "core",
            "refused the envelope of the question: UnAuthorized",
        ),
    ],
)
def test_an_answer_that_a_999_would_refuse_or_that_refuses_the_question_is_none(raw: bytes, kind: str, words: str) -> None:
    """005010X231A1 IK502 3 and 4: a set whose trailer does not agree is rejected, however well it reads; something may be lacking."""
    if kind:
        raw += b"--x\r\nContent-Disposition: form-data; name=ErrorCode\r\n\r\nUnAuthorized\r\n--x--\r\n"
    with pytest.raises(AnswerError, match=re.escape(words)):
        read_x12(raw, "multipart/form-data; boundary=x" if kind else "application/edi-x12")


@pytest.mark.parametrize("here", [FILES], indirect=True)
def test_one_bad_answer_in_a_file_costs_only_itself_and_an_acknowledgement_is_no_fault(here: Clinic) -> None:
    """A batch is many transaction sets; a 999 that takes the questions comes before the answers (CAQH CORE batch rules)."""
    take = here.told.gateway.answer_files.take
    bad = transaction_set([*BEGIN, "HL*1**99*1"])
    take("example", "batch.271", interchange(bad, transaction_set([*BEGIN, *PAYER, *PROVIDER, *SUBSCRIBER, "EB*1**30"], "0002")))
    take("example", "good.999", interchange(transaction_set(["AK1*HS*1", "AK9*A*1*1*1"], kind="999")))
    take("example", "bad.999", interchange(transaction_set(["AK1*HS*1", "AK9*R*1*1*0"], kind="999")))
    lines = {line.control_id: line for line in here.told.inbox()}
    assert (lines["good.999"].state, lines["bad.999"].state) == ("processed", "refused")
    with here.told.gateway.store.snapshot(STAFF) as tx:
        texts = [finding["text"] for finding in tx.inbox.get(lines["batch.271"].id).findings]
    assert len(texts) == 2 and "the level is none of" in texts[0] and "belongs to no question" in texts[1]


@pytest.mark.parametrize("here", [FILES], indirect=True)
def test_a_later_file_that_can_not_be_used_leaves_the_word_to_the_answer_there_is(here: Clinic) -> None:
    number = here.refers("M-1001")
    here.works()
    trace = here.payer.asked("M-1001")[-1]["trace"].encode()
    take = here.told.gateway.answer_files.take
    for name, late in (("odd", answered_271("EB*6**30").replace(b"SE*", b"SE*9")), ("busy", answered_271("AAA*Y**42*R"))):
        take("example", f"{name}.271", late.replace(b"SOG-0417", trace))
        assert here.money(number)["gate"] == "satisfied", name
    take("example", "new.271", answered_271("EB*6**30").replace(b"SOG-0417", trace))
    assert here.money(number)["gate"] == "not-satisfied"
