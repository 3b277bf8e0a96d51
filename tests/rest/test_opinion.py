"""`$opinion` over HTTP: issued, refused with places, refused before its time."""

from __future__ import annotations

from typing import Any

from fhir_gateway.validation import decode, validate
from tests import messages
from tests.cases.test_opinion import parameters
from tests.rest.conftest import STAFF, Api

SIGNED = "2026-01-10T03:00:00-05:00"


def asked(**changes: Any) -> dict[str, Any]:
    body = parameters()
    values = {"author": {"valueReference": {"display": "Dr Maja Lindqvist"}}, "signed": {"valueDateTime": SIGNED}} | changes
    for entry in body["parameter"]:
        entry.update(values.get(entry["name"], {}))
    return body


def case_in_review(api: Api, number: str) -> str:
    api.v2(messages.referral(number, mrn=number))
    (referral,) = api.found("ServiceRequest", f"identifier={number}")
    api.gateway.actions.move(STAFF, number, "accept")
    api.v2(messages.appointment("S12", "20991005090000-0500", made="20260913080000-0500", number=number, mrn=number))
    return str(referral["id"])


def test_an_opinion_is_issued_and_the_task_comes_back(either: Api) -> None:
    referral = case_in_review(either, "OP-1")
    address = f"/fhir/ServiceRequest/{referral}/$opinion"
    early = either.post(address, asked())
    assert early.status_code == 422
    issue = decode(early.content)["issue"][0]
    assert issue["code"] == "business-rule" and "start-review" in issue["diagnostics"]
    either.gateway.actions.move(STAFF, "OP-1", "start-review")
    done = either.post(address, asked())
    assert done.status_code == 200
    task = decode(done.content)
    assert validate(task) == []
    assert task["businessStatus"]["coding"][0]["code"] == "opinion-final"
    assert done.headers["ETag"] == f'W/"{task["meta"]["versionId"]}"'
    note = next(o["valueReference"]["reference"] for o in task["output"] if o["type"]["coding"][0]["code"] == "note")
    assert decode(either.get(f"/fhir/{note}").content)["docStatus"] == "final"


def test_faults_have_their_fhirpath_and_a_wrong_body_is_told(either: Api) -> None:
    referral = case_in_review(either, "OP-2")
    either.gateway.actions.move(STAFF, "OP-2", "start-review")
    address = f"/fhir/ServiceRequest/{referral}/$opinion"
    wrong = either.post(address, asked(mode={"valueCode": "by-letter"}))
    assert wrong.status_code == 422
    (issue,) = decode(wrong.content)["issue"]
    position = next(n for n, entry in enumerate(parameters()["parameter"]) if entry["name"] == "mode")
    assert (issue["code"], issue["expression"]) == ("code-invalid", [f"Parameters.parameter[{position}].valueCode"])
    assert either.post(address, {"resourceType": "Patient"}).status_code == 422
    assert either.post(address, b"{").status_code == 400
    assert either.post("/fhir/ServiceRequest/nothing/$opinion", asked()).status_code == 404
