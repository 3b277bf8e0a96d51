"""fhirclient (SMART's client for Python). It has no patch, no history and no conditional writes; what it has is here."""

from __future__ import annotations

import pytest
from fhirclient import client
from fhirclient.models.binary import Binary
from fhirclient.models.bundle import Bundle
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from requests import HTTPError

from tests.clients.conftest import SYSTEM, patient, referral


@pytest.fixture(scope="module")
def smart(base: str) -> client.FHIRClient:
    """A client that has looked at the CapabilityStatement and found that nobody need sign in."""
    made = client.FHIRClient(settings={"app_id": "tests", "api_base": base})
    assert made.prepare() and made.ready
    assert made.server.capabilityStatement.fhirVersion == "4.0.1"
    return made


def test_create_read_update_delete(smart: client.FHIRClient) -> None:
    made = Patient(Patient(patient("FC-1", birthDate="1961-03-02")).create(smart.server))
    held = Patient.read(made.id, smart.server)
    assert (held.as_json(), held.birthDate.isostring) == (made.as_json(), "1961-03-02")
    held.active = True
    assert held.update(smart.server)["meta"]["versionId"] == "2"
    held.delete()
    with pytest.raises(HTTPError) as gone:
        Patient.read(made.id, smart.server)
    assert gone.value.response.status_code == 410


def test_a_search_is_walked_page_by_page_with_what_it_includes(smart: client.FHIRClient) -> None:
    Bundle(referral("FC-2")).create(smart.server)
    owner = next(iter(Patient.where({"identifier": f"{SYSTEM}|FC-2"}).perform_resources_iter(smart.server)))
    for number in range(4):
        ServiceRequest({"status": "active", "intent": "order", "code": {"text": str(number)}, "subject": {"reference": owner.relativePath()}}).create(
            smart.server
        )
    search = ServiceRequest.where({"subject": owner.relativePath(), "_count": "2", "_sort": "_id"}).include("subject")
    pages = list(search.perform_iter(smart.server))
    found = [[entry.resource.resource_type for entry in page.entry] for page in pages]
    assert found == [["ServiceRequest", "ServiceRequest", "Patient"], ["ServiceRequest", "ServiceRequest", "Patient"], ["ServiceRequest", "Patient"]]


def test_a_transaction_ties_its_entries(smart: client.FHIRClient) -> None:
    answer = Bundle(Bundle(referral("FC-3")).create(smart.server))
    assert [entry.response.status for entry in answer.entry] == ["201 Created", "201 Created"]
    order = ServiceRequest.read_from(answer.entry[1].response.location.split("/_history")[0], smart.server)
    assert order.subject.resolved(Patient).identifier[0].value == "FC-3"
    again = Bundle(Bundle(referral("FC-3")).create(smart.server))
    assert again.entry[0].response.status == "200 OK"


def test_binary_comes_back_as_its_bytes(smart: client.FHIRClient) -> None:
    made = Binary(Binary({"contentType": "text/plain", "data": "aGVsbG8="}).create(smart.server))
    assert smart.server.request_data(made.relativePath(), headers={"Accept": "text/plain"}) == b"hello"


def test_a_refusal_is_an_operation_outcome(smart: client.FHIRClient) -> None:
    with pytest.raises(HTTPError) as refused:
        smart.server.post_json("Patient", patient("FC-4", gender="other-word"))
    assert refused.value.response.json()["issue"][0]["expression"] == ["Patient.gender"]
