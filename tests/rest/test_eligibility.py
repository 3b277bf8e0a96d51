"""`CoverageEligibilityRequest/$submit` over HTTP: the answer, and errors at their place."""

from __future__ import annotations

from typing import Any

from fhir_gateway.validation import decode
from tests.rest.conftest import Api

PATH = "/fhir/CoverageEligibilityRequest/$submit"


def request(patient: str, coverage: str) -> dict[str, Any]:
    return {
        "resourceType": "CoverageEligibilityRequest",
        "status": "active",
        "purpose": ["validation"],
        "patient": {"reference": patient},
        "created": "2026-09-10",
        "insurer": {"display": "Acme"},
        "insurance": [{"coverage": {"reference": coverage}}],
    }


def test_a_question_over_http_is_answered_and_found_again(api: Api) -> None:
    patient = decode(api.ask("POST", "/fhir/Patient", {"resourceType": "Patient", "name": [{"family": "Marlowe"}]}).content)["id"]
    held = {"resourceType": "Coverage", "status": "active", "beneficiary": {"reference": f"Patient/{patient}"}, "payor": [{"display": "Acme"}]}
    coverage = decode(api.ask("POST", "/fhir/Coverage", held | {"period": {"start": "2020-01-01"}}).content)["id"]
    response = api.ask("POST", PATH, request(f"Patient/{patient}", f"Coverage/{coverage}"))
    answer = decode(response.content)
    assert (response.status_code, answer["resourceType"], answer["insurance"][0]["inforce"]) == (200, "CoverageEligibilityResponse", True)
    found = decode(api.get(f"/fhir/CoverageEligibilityResponse?request={answer['request']['reference']}").content)
    assert [entry["resource"]["id"] for entry in found["entry"]] == [answer["id"]]


def test_what_can_not_be_asked_is_an_outcome_at_its_place(api: Api) -> None:
    for body, status, place in (
        (request("Patient/nobody", "Coverage/nothing"), 422, "CoverageEligibilityRequest.patient.reference"),
        ({**request("Patient/nobody", "Coverage/nothing"), "purpose": ["gossip"]}, 422, "CoverageEligibilityRequest.purpose[0]"),
        ({"resourceType": "Parameters", "parameter": []}, 422, "Parameters.parameter"),
        (b"{", 400, ""),
        (b"[]", 400, ""),
    ):
        response = api.ask("POST", PATH, body)
        issues = decode(response.content)["issue"]
        assert (response.status_code, place in {str(next(iter(i.get("expression", [""])))) for i in issues}) == (status, True), issues
