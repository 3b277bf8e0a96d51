"""A checklist's form over HTTP: for GET and POST, and errors that say what is wrong."""

from __future__ import annotations

import pytest

from fhir_gateway.validation import decode, validate
from tests.rest.conftest import Api, issues


def test_a_form_is_read_and_sent_back_over_http(api: Api) -> None:
    form = decode(api.get("/fhir/PlanDefinition/lung/$questionnaire").content)
    assert validate(form) == [] and form["url"] == "urn:second-opinion-gateway:Questionnaire:lung"
    parameters = {"resourceType": "Parameters"}
    for asked in (api.ask("POST", "/fhir/PlanDefinition/lung/$questionnaire"), api.post("/fhir/PlanDefinition/lung/$questionnaire", parameters)):
        assert decode(asked.content) == form
    back = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": f"{form['url']}|{form['version']}"}
    assert api.post("/fhir/QuestionnaireResponse", back).status_code == 201


@pytest.mark.parametrize(("id", "status"), [("elbow", 404), ("a_b", 404), ("x" * 80, 404)])
def test_what_is_no_checklist_has_no_form(api: Api, id: str, status: int) -> None:
    response = api.get(f"/fhir/PlanDefinition/{id}/$questionnaire")
    assert response.status_code == status and issues(response)


def test_a_body_that_is_no_parameters_is_refused(api: Api) -> None:
    response = api.post("/fhir/PlanDefinition/lung/$questionnaire", {"resourceType": "Patient"})
    assert response.status_code == 422 and issues(response)
    assert api.get("/fhir/PlanDefinition/lung/$questionnaire", accept="application/fhir+xml").status_code == 406
