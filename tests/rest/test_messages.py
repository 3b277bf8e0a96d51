"""FHIR messages: what is sent to $process-message, what it does to the case, and what comes back (issue: new, modify, cancel, status, records, appointment)."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from fhir_gateway.cases.messageevent import BARS_EVENTS, MESSAGE_EVENTS, V2_EVENTS
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import decode, encode, validate
from tests.rest.conftest import BASE, JSON, Api, issues
from tests.rest.test_cases import NORTHSIDE, REFERRAL_NOTE, own, patient

Json = dict[str, Any]
NUMBERS = "https://northside.example/referrals"


class Sender:
    """A hospital that refers one patient, and speaks of her referral by its number."""

    def __init__(self, api: Api) -> None:
        self.api, self.mrn, self.number = api, own(), own()

    def referral(self, **more: Any) -> Json:
        identifier = [{"system": NUMBERS, "value": self.number}]
        made = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "category": [REFERRAL_NOTE], "identifier": identifier}
        return {**made, "subject": {"reference": "urn:uuid:" + self.urn("patient")}, **more}

    def urn(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.number}{name}"))

    def message(self, event: str | Json, *resources: Json, at: str = "2026-09-10T10:00:00Z", focus: Json | None = None, **more: Any) -> Json:
        """The Bundle. resources: behind the header; the first ServiceRequest, Task or Appointment among them is the focus unless one is given."""
        entries = [{"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": resource} for resource in resources]
        for entry in entries:
            if entry["resource"]["resourceType"] == "Patient":
                entry["fullUrl"] = "urn:uuid:" + self.urn("patient")
        of_it = [e["fullUrl"] for e in entries if e["resource"]["resourceType"] in ("ServiceRequest", "Task", "Appointment")]
        header = {"resourceType": "MessageHeader", "id": str(uuid.uuid4()), "source": {"endpoint": "https://northside.example/fhir"}}
        header["eventCoding"] = {"system": MESSAGE_EVENTS, "code": event} if isinstance(event, str) else event
        header["focus"] = [focus or {"reference": of_it[0]}] if focus or of_it else []
        header = {key: value for key, value in header.items() if value}
        envelope = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}
        entry = [{"fullUrl": f"urn:uuid:{header['id']}", "resource": header}, *entries]
        return {"resourceType": "Bundle", "type": "message", "identifier": envelope, "timestamp": at, "entry": entry, **more}

    def sends(self, event: str | Json, *resources: Json, status: int = 200, **more: Any) -> Json:
        """What is answered to a message that also brings the patient."""
        response = self.api.post("/fhir/$process-message", self.message(event, *resources, patient(self.mrn), **more))
        assert response.status_code == status, response.text
        return decode(response.content)

    def held(self) -> Json:
        (request,) = self.api.found("ServiceRequest", f"identifier={NUMBERS}|{self.number}")
        return request

    def state(self) -> str:
        (task,) = self.api.found("Task", f"focus=ServiceRequest/{self.held()['id']}")
        return str(task["businessStatus"]["coding"][0]["code"])


def parts(answer: Json) -> tuple[Json, Json, list[Json]]:
    """(MessageHeader.response, the OperationOutcome it names, what else is told) of a legal response message."""
    assert validate(answer) == [] and answer["type"] == "message"
    header = answer["entry"][0]["resource"]
    by_url = {entry["fullUrl"]: entry["resource"] for entry in answer["entry"]}
    outcome = by_url[header["response"]["details"]["reference"]]
    return header["response"], outcome, [r for r in by_url.values() if r["resourceType"] not in ("MessageHeader", "OperationOutcome")]


@pytest.fixture
def hospital(either: Api) -> Sender:
    return Sender(either)


def test_a_referral_opens_a_case_and_the_response_tells_of_it(hospital: Sender) -> None:
    sent = hospital.message("new", hospital.referral(), patient(hospital.mrn))
    response = hospital.api.post("/fhir/$process-message", sent)
    assert response.status_code == 200, response.text
    said, outcome, told = parts(decode(response.content))
    assert (said["identifier"], said["code"]) == (sent["entry"][0]["resource"]["id"], "ok")
    assert outcome["issue"][0]["severity"] == "information"
    assert [r["resourceType"] for r in told] == ["ServiceRequest", "Task"] and told[0]["id"] == hospital.held()["id"]
    assert hospital.state() == "received"
    answered = decode(response.content)["entry"][0]["resource"]
    assert answered["destination"] == [{"endpoint": "https://northside.example/fhir"}] and answered["source"] == {"endpoint": BASE}
    assert hospital.api.get(f"/fhir/ServiceRequest/{told[0]['id']}/$completeness").status_code == 200


def test_the_same_number_by_rest_message_and_event_is_one_referral(hospital: Sender) -> None:
    hospital.sends("new", hospital.referral(priority="routine"))
    hospital.sends("modify", hospital.referral(priority="urgent"), at="2026-09-11T10:00:00Z")
    assert hospital.held()["priority"] == "urgent" and hospital.state() == "received"
    assert hospital.api.count("Patient", f"identifier={NORTHSIDE}|{hospital.mrn}") == 1
    hospital.sends("modify", hospital.referral(priority="asap"), at="2026-09-10T12:00:00Z")
    assert hospital.held()["priority"] == "urgent", "what was sent before does not undo what was sent after it"


def test_the_same_content_again_changes_nothing(hospital: Sender) -> None:
    report: Json = {"resourceType": "Condition", "subject": {"reference": "urn:uuid:" + hospital.urn("patient")}, "code": {"text": "Breast cancer"}}
    result = {"resourceType": "Observation", "status": "final", "code": {"text": "Ki-67"}, "subject": report["subject"], "valueInteger": 20}
    hospital.sends("new", hospital.referral(), report, result)
    versions = [hospital.held()["meta"]["versionId"], hospital.api.count("Condition"), hospital.api.count("Observation")]
    hospital.sends("modify", hospital.referral(), report, result, at="2026-09-12T10:00:00Z")
    assert [hospital.held()["meta"]["versionId"], hospital.api.count("Condition"), hospital.api.count("Observation")] == versions


def test_two_results_under_one_accession_number_are_two(hospital: Sender) -> None:
    subject = {"reference": "urn:uuid:" + hospital.urn("patient")}
    accession = [{"system": "https://lab.example/accession", "value": hospital.number}]
    made = {"resourceType": "Observation", "status": "final", "identifier": accession, "subject": subject}
    results = [{**made, "code": {"text": text}, "valueInteger": n} for n, text in enumerate(("ER", "PR", "HER2"))]
    repeated = [*results, {**results[0], "valueInteger": 7}]
    hospital.sends("records", *repeated)
    query = f"identifier=https://lab.example/accession|{hospital.number}"
    assert sorted(r["valueInteger"] for r in hospital.api.found("Observation", query)) == [0, 1, 2, 7]
    hospital.sends("records", {**results[1], "valueInteger": 90}, at="2026-09-12T10:00:00Z")
    assert sorted(r["valueInteger"] for r in hospital.api.found("Observation", query)) == [0, 2, 7, 90]


def test_a_sender_takes_its_referral_back(hospital: Sender) -> None:
    hospital.sends("new", hospital.referral(note=[{"text": "urgent please"}]))
    (_, _, told) = parts(hospital.sends("cancel", hospital.referral(), at="2026-09-11T10:00:00Z"))
    assert hospital.state() == "cancelled" and [r["status"] for r in told] == ["revoked", "cancelled"]
    assert hospital.held()["note"] == [{"text": "urgent please"}], "what a withdrawal does not repeat stays"


@pytest.mark.parametrize("named", ["identifier", "id"])
def test_a_withdrawal_may_name_the_referral_alone(hospital: Sender, named: str) -> None:
    hospital.sends("new", hospital.referral())
    identifier = {"type": "ServiceRequest", "identifier": {"system": NUMBERS, "value": hospital.number}}
    focus = identifier if named == "identifier" else {"reference": f"ServiceRequest/{hospital.held()['id']}"}
    hospital.sends("cancel", focus=focus, at="2026-09-11T10:00:00Z")
    assert hospital.state() == "cancelled"


def test_a_task_of_the_sender_becomes_the_cases_own_and_its_end_is_a_withdrawal(hospital: Sender) -> None:
    """BSeR: the MessageHeader focuses on a Task, the Task on the ServiceRequest; table 0003 says the event."""
    referral = hospital.referral()

    def task(status: str) -> Json:
        return {"resourceType": "Task", "status": status, "intent": "order", "focus": {"identifier": referral["identifier"][0]}}

    def message(code: str, status: str, at: str) -> Json:
        made = hospital.message({"system": V2_EVENTS, "code": code}, task(status), referral, patient(hospital.mrn), at=at)
        made["entry"][1]["resource"]["focus"] = {"reference": made["entry"][2]["fullUrl"]}
        return made

    assert hospital.api.post("/fhir/$process-message", message("I12", "requested", "2026-09-10T10:00:00Z")).status_code == 200
    assert hospital.state() == "received"
    assert hospital.api.post("/fhir/$process-message", message("I13", "requested", "2026-09-10T11:00:00Z")).status_code == 200
    assert hospital.state() == "received", "one Task: the case's own"
    assert hospital.api.post("/fhir/$process-message", message("I13", "cancelled", "2026-09-10T12:00:00Z")).status_code == 200
    assert hospital.state() == "cancelled"


@pytest.mark.parametrize(
    ("coding", "reason", "state"),
    [
        ({"system": V2_EVENTS, "code": "I14"}, None, "cancelled"),
        ({"system": "https://ereferral.example/event", "code": "revoke-service-request"}, None, "cancelled"),
        ({"system": BARS_EVENTS, "code": "servicerequest-request"}, "delete", "cancelled"),
        ({"system": BARS_EVENTS, "code": "servicerequest-request"}, "update", "received"),
        ({"system": "https://ereferral.example/event", "code": "notify-data-correction"}, None, "received"),
    ],
)
def test_the_events_of_other_standards_are_understood(hospital: Sender, coding: Json, reason: str | None, state: str) -> None:
    hospital.sends("new", hospital.referral())
    sent = hospital.message(coding, hospital.referral(), patient(hospital.mrn), at="2026-09-11T10:00:00Z")
    if reason:
        sent["entry"][0]["resource"]["reason"] = {"coding": [{"system": "https://fhir.nhs.uk/CodeSystem/message-reason-bars", "code": reason}]}
    assert hospital.api.post("/fhir/$process-message", sent).status_code == 200
    assert hospital.state() == state


def test_a_question_is_answered_and_changes_nothing(hospital: Sender) -> None:
    hospital.sends("new", hospital.referral())
    before = hospital.held()
    (said, _, told) = parts(hospital.sends("status", hospital.referral(priority="stat"), at="2026-09-11T10:00:00Z"))
    assert said["code"] == "ok" and [r["resourceType"] for r in told] == ["ServiceRequest", "Task"]
    assert told[0]["id"] == before["id"] and hospital.held() == before
    stranger = Sender(hospital.api)
    (said, outcome, told) = parts(stranger.sends("status", stranger.referral(), status=404))
    assert (said["code"], outcome["issue"][0]["code"], told) == ("fatal-error", "not-found", [])


def test_an_appointment_is_made_and_called_off(hospital: Sender) -> None:
    hospital.sends("new", hospital.referral())
    made = {
        "resourceType": "Appointment", "status": "booked", "start": "2026-11-20T15:00:00Z", "end": "2026-11-20T15:30:00Z",
        "identifier": [{"system": "https://northside.example/visits", "value": hospital.number}],
        "basedOn": [{"reference": f"ServiceRequest/{hospital.held()['id']}"}],
        "participant": [{"status": "accepted", "actor": {"reference": "urn:uuid:" + hospital.urn("patient")}}],
    }  # fmt: skip
    hospital.sends("appointment", made, at="2026-09-11T10:00:00Z")
    assert hospital.state() == "scheduled"
    hospital.sends({"system": V2_EVENTS, "code": "S15"}, made, at="2026-09-12T10:00:00Z")
    assert hospital.state() == "appt-cancelled"


def again(api: Api, sent: Json) -> httpx.Response:
    return api.post("/fhir/$process-message", sent)


def test_a_message_sent_again_gets_the_identical_answer(hospital: Sender) -> None:
    sent = hospital.message("new", hospital.referral(), patient(hospital.mrn))
    first = again(hospital.api, sent)
    assert again(hospital.api, sent).content == first.content
    enveloped = {**sent, "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}, "timestamp": "2026-09-10T10:05:00Z"}
    assert again(hospital.api, enveloped).content == first.content, "the same MessageHeader.id in another envelope"
    unnamed = {key: value for key, value in sent.items() if key != "identifier"}
    assert again(hospital.api, unnamed).content == first.content
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "content", "resource": sent}]}
    assert again(hospital.api, parameters).content == first.content
    assert hospital.held()["meta"]["versionId"] == "1"


@pytest.mark.parametrize("kept", ["identifier", "header"])
def test_an_id_used_before_for_something_else_is_refused_not_swallowed(hospital: Sender, kept: str) -> None:
    first = hospital.message("new", hospital.referral(), patient(hospital.mrn))
    assert again(hospital.api, first).status_code == 200
    other = hospital.message("modify", hospital.referral(priority="stat"), patient(hospital.mrn), at="2026-09-11T10:00:00Z")
    if kept == "identifier":
        other["identifier"] = first["identifier"]
    else:
        other["entry"][0]["resource"]["id"] = first["entry"][0]["resource"]["id"]
    refused = again(hospital.api, other)
    said, outcome, _ = parts(decode(refused.content))
    assert (refused.status_code, said["code"], outcome["issue"][0]["code"]) == (422, "fatal-error", "duplicate")
    assert "priority" not in hospital.held()


def test_two_at_once_are_worked_on_once(fresh: Api) -> None:
    from concurrent.futures import ThreadPoolExecutor

    hospital = Sender(fresh)
    raw = encode(hospital.message("new", hospital.referral(), patient(hospital.mrn)))
    principal = Principal("referrer", "northside")
    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(lambda _: fresh.gateway.receive_message(raw, principal, BASE), range(8)))
    assert [status for status, _ in answers] == [200]
    assert hospital.held()["meta"]["versionId"] == "1" and fresh.count("Patient") == 1


def test_only_who_placed_a_referral_takes_it_back(fresh: Api) -> None:
    hospital = Sender(fresh)
    northside, other = Principal("referrer", "northside"), Principal("referrer", "southside")
    person = patient(hospital.mrn)
    assert fresh.gateway.receive_message(encode(hospital.message("new", hospital.referral(), person)), northside, BASE)[0] == 200
    for focus in (None, {"type": "ServiceRequest", "identifier": {"system": NUMBERS, "value": hospital.number}}):
        sent = hospital.message("cancel", *([] if focus else [hospital.referral()]), person, focus=focus, at="2026-09-11T10:00:00Z")
        status, answer = fresh.gateway.receive_message(encode(sent), other, BASE)
        assert (status, parts(decode(answer))[0]["code"]) == (422, "fatal-error")
    asked = hospital.message("status", hospital.referral(), person)
    assert fresh.gateway.receive_message(encode(asked), other, BASE)[0] == 404, "nor does anybody else learn of it"
    assert hospital.state() == "received"
    assert fresh.gateway.receive_message(encode(asked), Principal("payer", "acme"), BASE)[0] == 403


REFUSED: dict[str, tuple[Any, str, str]] = {
    "an unknown event": (lambda m: m["entry"][0]["resource"]["eventCoding"].update(code="reticulate"), "Bundle.entry[0].resource.eventCoding", "not-supported"),
    "a transaction": (lambda m: m.update(type="collection"), "Bundle.type", "not-supported"),
    "no MessageHeader": (lambda m: m["entry"].pop(0), "Bundle.entry[0]", "invariant"),
    "a fault inside": (lambda m: m["entry"][1]["resource"].update(status="open"), "Bundle.entry[1].resource.status", "code-invalid"),
    "nothing to refer": (lambda m: m["entry"][0]["resource"].pop("focus"), "Bundle.entry[0].resource.focus", "required"),
    "a reference to no entry": (
        lambda m: m["entry"][1]["resource"]["subject"].update(reference=f"urn:uuid:{uuid.uuid4()}"), "Bundle.entry[1].resource.subject.reference", "not-found",
    ),
    "a reference to nobody here": (
        lambda m: m["entry"][1]["resource"]["subject"].update(reference="Patient/nobody"), "Bundle.entry[1].resource.subject.reference", "not-found",
    ),
    "a response": (lambda m: m["entry"][0]["resource"].update(response={"identifier": "x", "code": "ok"}), "Bundle.entry[0].resource.response", "not-supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_where_and_is_kept(hospital: Sender, name: str) -> None:
    spoil, place, code = REFUSED[name]
    sent = hospital.message("new", hospital.referral(), patient(hospital.mrn))
    spoil(sent)
    response = again(hospital.api, sent)
    assert response.status_code == 422
    answer = decode(response.content)
    outcome = answer if answer["resourceType"] == "OperationOutcome" else parts(answer)[1]
    found = [(issue["code"], issue.get("expression", [""])[0]) for issue in outcome["issue"]]
    assert (code, place) in found
    assert hospital.api.inbox("refused")[0].message_type.startswith("Bundle/")
    assert again(hospital.api, sent).content == response.content or name == "no MessageHeader", "refused again in the same words"


def test_an_answer_at_another_address_is_not_promised(hospital: Sender) -> None:
    sent = hospital.message("new", hospital.referral(), patient(hospital.mrn))
    for query in ("async=true", "response-url=https://northside.example/answers"):
        response = hospital.api.post(f"/fhir/$process-message?{query}", sent)
        assert response.status_code == 400 and "at once" in issues(response)[0]["diagnostics"]
    assert hospital.api.post("/fhir/$process-message?async=false", sent).status_code == 200
    transaction = hospital.api.post("/fhir", sent)
    assert transaction.status_code == 422 and "$process-message" in issues(transaction)[0]["diagnostics"]
    assert hospital.api.post("/fhir/$process-message", b"{", content_type=JSON).status_code == 400


def test_a_refused_message_is_worked_on_again_when_staff_say_so(fresh: Api) -> None:
    hospital = Sender(fresh)
    sent = hospital.message("new", hospital.referral(subject={"reference": "Patient/late"}))
    assert again(fresh, sent).status_code == 422
    assert fresh.put("/fhir/Patient/late", {**patient(hospital.mrn), "id": "late"}).status_code == 201
    (line,) = fresh.inbox("refused")
    assert fresh.gateway.retry(line.id).state == "processed"
    assert hospital.state() == "received"
