"""fhirpy (Beda Software's client for Python)."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.clients.conftest import SYSTEM, patient, referral


@pytest.fixture(scope="module")
def fhir(base: str) -> SyncFHIRClient:
    return SyncFHIRClient(base)


def of(fhir: SyncFHIRClient, given: dict[str, Any]) -> Any:
    """A resource as this client holds it."""
    return fhir.resource(given["resourceType"], **{name: value for name, value in given.items() if name != "resourceType"})


def test_create_read_update_patch_delete(fhir: SyncFHIRClient) -> None:
    made = of(fhir, patient("FP-1")).create()
    assert fhir.get("Patient", made.id) == made
    made["gender"] = "female"
    assert made.update().meta.versionId == "2"
    made.patch(active=True, gender=None)
    assert (made.refresh().active, made.get("gender"), made.meta.versionId) == (True, None, "3")
    made["birthDate"] = "1961-03-02"
    made.save(fields=["birthDate"])
    assert fhir.get("Patient", made.id).birthDate == "1961-03-02"
    made.delete()
    with pytest.raises(ResourceNotFound, match="deleted"):
        fhir.get("Patient", made.id)


def test_get_or_create_and_conditional_update_patch_and_delete(fhir: SyncFHIRClient) -> None:
    where = fhir.resources("Patient").search(identifier=f"{SYSTEM}|FP-2")
    made, created = where.get_or_create(of(fhir, patient("FP-2")))
    again, created_again = where.get_or_create(of(fhir, patient("FP-2")))
    assert (created, created_again, again.id) == (True, False, made.id), "the condition is in the address, and is kept"
    changed, created = where.update(of(fhir, patient("FP-2", active=True)))
    assert (changed.id, changed.active, created) == (made.id, True, False)
    assert where.patch(active=False).meta.versionId == "3"
    where.delete()
    assert where.fetch() == []
    for _ in range(2):
        of(fhir, patient("FP-2")).create()
    with pytest.raises(MultipleResourcesFound):
        where.update(of(fhir, patient("FP-2")))


def test_searches_page_count_chain_and_include(fhir: SyncFHIRClient) -> None:
    owner = of(fhir, patient("FP-3")).create()
    for number in range(5):
        order = fhir.resource("ServiceRequest", status="active", intent="order", code={"text": str(number)}, subject=owner.to_reference())
        order.create()
    orders = fhir.resources("ServiceRequest").search(subject=owner)
    assert (len(orders.limit(2).fetch()), len(orders.limit(2).fetch_all()), orders.count()) == (2, 5, 5)
    assert fhir.resources("ServiceRequest").search(subject__Patient__identifier=f"{SYSTEM}|FP-3").count() == 5
    found = orders.include("ServiceRequest", "subject", target_resource_type="Patient").fetch_raw()
    assert {entry.resource.resourceType for entry in found.entry} == {"ServiceRequest", "Patient"}
    assert fhir.resources("Patient").has("ServiceRequest", "subject", status="active").search(identifier=f"{SYSTEM}|FP-3").get().id == owner.id


def test_transaction_history_and_system_search_by_execute(fhir: SyncFHIRClient) -> None:
    answer = fhir.execute("/", "POST", data=referral("FP-4"))
    here = answer["entry"][0]["response"]["location"].split("/_history")[0]
    held = fhir.reference(reference="/".join(here.split("/")[-2:])).to_resource()
    held["active"] = True
    held.update()
    versions = fhir.execute(f"Patient/{held.id}/_history", "GET")
    assert [entry.resource.meta.versionId for entry in versions["entry"]] == ["2", "1"]
    everything = fhir.execute("", "GET", params={"_type": "Patient,ServiceRequest", "identifier": f"{SYSTEM}|FP-4"})
    assert {entry.resource.resourceType for entry in everything["entry"]} == {"Patient", "ServiceRequest"}


def test_validity_is_asked_before_writing(fhir: SyncFHIRClient) -> None:
    assert of(fhir, patient("FP-7")).is_valid()
    with pytest.raises(OperationOutcome, match=r"Patient\.gender"):
        of(fhir, patient("FP-7", gender="other-word")).is_valid(raise_exception=True)
    assert fhir.resources("Patient").search(identifier=f"{SYSTEM}|FP-7").first() is None


def test_a_refusal_is_raised_with_its_place(fhir: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome) as refused:
        of(fhir, patient("FP-5", gender="other-word")).create()
    assert refused.value.resource["issue"][0]["expression"] == ["Patient.gender"]
    with pytest.raises(OperationOutcome, match="identifier"):
        fhir.resources("Patient").search(identifer="x").fetch()


def test_who_has_not_seen_the_newest_version_is_refused(fhir: SyncFHIRClient, base: str) -> None:
    """fhirpy sends no If-Match of its own: its extra headers do."""
    made = of(fhir, patient("FP-6")).create()
    careful = SyncFHIRClient(base, extra_headers={"If-Match": 'W/"1"'})
    of(careful, {**made.serialize(), "active": True}).update()
    with pytest.raises(MultipleResourcesFound, match="version"):  # the name fhirpy has for 412
        of(careful, made.serialize()).update()


def test_bytes_of_a_binary(fhir: SyncFHIRClient, base: str) -> None:
    """fhirpy speaks JSON only; what it stored is read as bytes."""
    made = fhir.resource("Binary", contentType="text/plain", data="aGVsbG8=").create()
    assert requests.get(f"{base}/Binary/{made.id}", headers={"Accept": "text/plain"}, timeout=10).content == b"hello"
