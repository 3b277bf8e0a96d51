"""PATCH: by id, by condition, in a transaction; what is refused, and what becomes of the narrative."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.errors import GatewayError
from fhir_gateway.pipeline.patches import JSON_PATCH, MERGE_PATCH, patched
from fhir_gateway.validation import decode, encode
from tests.rest.conftest import Api, issues

PATIENT = {"resourceType": "Patient", "name": [{"family": "Marlowe", "given": ["Ines"]}], "gender": "female"}
NARRATIVE = '<div xmlns="http://www.w3.org/1999/xhtml">Ines</div>'


def patch(api: Api, path: str, body: Any, kind: str = JSON_PATCH, **headers: str) -> httpx.Response:
    return api.ask("PATCH", path, encode(body), content_type=kind, **headers)


def test_operations_make_a_new_version(api: Api) -> None:
    held = api.made(PATIENT)
    here = f"/fhir/Patient/{held['id']}"
    operations = [
        {"op": "test", "path": "/gender", "value": "female"},
        {"op": "add", "path": "/name/0/given/-", "value": "Maria"},
        {"op": "replace", "path": "/gender", "value": "other"},
        {"op": "add", "path": "/birthDate", "value": "1971-03-14"},
    ]
    response = patch(api, here, operations)
    assert (response.status_code, response.headers["etag"]) == (200, 'W/"2"')
    now = decode(response.content)
    assert (now["name"][0]["given"], now["gender"], now["birthDate"]) == (["Ines", "Maria"], "other", "1971-03-14")
    assert decode(api.get(here).content) == now


@pytest.mark.parametrize("kind", [MERGE_PATCH, "application/json"])
def test_a_merge_patch_takes_away_what_is_null(api: Api, kind: str) -> None:
    held = api.made(PATIENT)
    response = patch(api, f"/fhir/Patient/{held['id']}", {"gender": None, "active": True}, kind)
    now = decode(response.content)
    assert response.status_code == 200 and "gender" not in now and now["active"] is True and now["name"] == held["name"]


def test_operations_may_be_sent_as_plain_json(api: Api) -> None:
    held = api.made(PATIENT)
    assert patch(api, f"/fhir/Patient/{held['id']}", [{"op": "remove", "path": "/gender"}], "application/json").status_code == 200


def test_decimals_keep_their_digits_through_a_patch(api: Api) -> None:
    raw = b'{"resourceType":"Observation","id":"patched","status":"final","code":{"text":"x"},"valueQuantity":{"value":0.400}}'
    assert api.put("/fhir/Observation/patched", raw).status_code == 201
    for body, kind in ((b'[{"op":"add","path":"/language","value":"de"}]', JSON_PATCH), (b'{"language":"fr"}', MERGE_PATCH)):
        response = api.ask("PATCH", "/fhir/Observation/patched", body, content_type=kind)
        assert '"value":0.400' in response.text
    raised = api.ask("PATCH", "/fhir/Observation/patched", b'{"valueQuantity":{"value":1.50}}', content_type=MERGE_PATCH)
    assert '"value":1.50' in raised.text


def test_a_patch_that_changes_nothing_makes_no_version(api: Api) -> None:
    held = api.made(PATIENT)
    assert patch(api, f"/fhir/Patient/{held['id']}", {"gender": "female"}, MERGE_PATCH).headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ([{"op": "test", "path": "/gender", "value": "male"}, {"op": "remove", "path": "/name"}], JSON_PATCH, 409),
        ([{"op": "remove", "path": "/birthDate"}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "/name/7/family", "value": "x"}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "/gender", "value": "F"}], JSON_PATCH, 422),
        ([{"op": "remove", "path": ""}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "/id", "value": "other"}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "", "value": {"resourceType": "Basic"}}], JSON_PATCH, 422),
        ([{"op": "brew", "path": "/gender"}], JSON_PATCH, 400),
        ([{"path": "/gender"}], JSON_PATCH, 400),
        ([7], JSON_PATCH, 400),
        ({"op": "remove"}, JSON_PATCH, 400),
        ([], MERGE_PATCH, 400),
        ({"resourceType": "Basic"}, MERGE_PATCH, 422),
        ({"gender": "F"}, MERGE_PATCH, 422),
        ({"generalPractitioner": [{"reference": "Practitioner/nobody"}]}, MERGE_PATCH, 422),
        ({}, "application/fhir+xml", 415),
        ({}, "text/plain", 415),
    ],
)
def test_what_can_not_be_patched_is_refused_and_changes_nothing(api: Api, body: Any, kind: str, status: int) -> None:
    held = api.made(PATIENT)
    response = patch(api, f"/fhir/Patient/{held['id']}", body, kind)
    assert response.status_code == status and issues(response), response.text
    assert api.get(f"/fhir/Patient/{held['id']}").headers["etag"] == 'W/"1"'


def test_versions_and_absence(api: Api) -> None:
    held = api.made(PATIENT)
    here = f"/fhir/Patient/{held['id']}"
    assert patch(api, here, {"active": True}, MERGE_PATCH, if_match='W/"2"').status_code == 412
    assert patch(api, here, {"active": True}, MERGE_PATCH, if_match='W/"1"').status_code == 200
    assert patch(api, "/fhir/Patient/nobody", {"active": True}, MERGE_PATCH).status_code == 404
    api.delete(here)
    assert patch(api, here, {"active": True}, MERGE_PATCH).status_code == 410


def test_by_condition(api: Api) -> None:
    number = {"system": "urn:x:patch", "value": "P-1"}
    held = api.made(PATIENT | {"identifier": [number]})
    where = "/fhir/Patient?identifier=urn:x:patch|P-1"
    assert patch(api, where, {"active": True}, MERGE_PATCH).headers["location"].endswith(f"Patient/{held['id']}/_history/2")
    assert patch(api, "/fhir/Patient?identifier=urn:x:patch|P-2", {"active": True}, MERGE_PATCH).status_code == 404
    api.made(PATIENT | {"identifier": [number]})
    assert patch(api, where, {"active": False}, MERGE_PATCH).status_code == 412
    assert patch(api, "/fhir/Patient", {"active": True}, MERGE_PATCH).status_code == 400, "no condition is no patch of everybody"


def test_in_a_transaction_by_id_and_by_condition(api: Api) -> None:
    held = api.made(PATIENT | {"identifier": [{"system": "urn:x:patch", "value": "P-7"}]})

    def binary(body: bytes, kind: str = JSON_PATCH) -> dict[str, Any]:
        return {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(body).decode()}

    def entry(url: str, resource: dict[str, Any]) -> dict[str, Any]:
        return {"resource": resource, "request": {"method": "PATCH", "url": url}}

    operations = binary(b'[{"op":"add","path":"/active","value":true}]')
    done = api.sends(entry(f"Patient/{held['id']}", operations))
    assert decode(done.content)["entry"][0]["response"]["etag"] == 'W/"2"', done.text
    by_number = api.sends(entry("Patient?identifier=urn:x:patch|P-7", binary(b'{"gender":"other"}', MERGE_PATCH)))
    assert decode(by_number.content)["entry"][0]["response"]["etag"] == 'W/"3"', by_number.text
    for url, resource, status in (
        ("Patient/nobody", operations, 404),
        ("Patient?identifier=urn:x:patch|nobody", operations, 404),
        (f"Patient/{held['id']}", binary(b"[", JSON_PATCH), 400),
        (f"Patient/{held['id']}", {"resourceType": "Binary", "contentType": JSON_PATCH, "data": "%%%"}, 422),
        (f"Patient/{held['id']}", PATIENT, 422),
        ("Patient", operations, 422),
        (f"Patient/{held['id']}", binary(b'{"generalPractitioner":[{"reference":"Practitioner/nobody"}]}', MERGE_PATCH), 422),
    ):
        response = api.sends(entry(url, resource))
        assert response.status_code == status and "Bundle.entry[0]" in response.text, response.text
    twice = api.sends(entry(f"Patient/{held['id']}", operations), entry("Patient?identifier=urn:x:patch|P-7", operations))
    assert twice.status_code == 422 and "same resource" in twice.text
    assert api.get(f"/fhir/Patient/{held['id']}").headers["etag"] == 'W/"3"'


def test_a_narrative_made_from_the_data_does_not_outlive_it(api: Api) -> None:
    held = api.made(PATIENT | {"text": {"status": "generated", "div": NARRATIVE}})
    here = f"/fhir/Patient/{held['id']}"
    assert "text" not in decode(patch(api, here, {"gender": "other"}, MERGE_PATCH).content)
    told = api.made(PATIENT | {"text": {"status": "additional", "div": NARRATIVE}})
    refused = patch(api, f"/fhir/Patient/{told['id']}", {"gender": "other"}, MERGE_PATCH)
    assert refused.status_code == 422 and "narrative" in refused.text
    both = patch(api, f"/fhir/Patient/{told['id']}", {"gender": "other", "text": {"status": "generated"}}, MERGE_PATCH)
    assert both.status_code == 200 and decode(both.content)["text"]["div"] == NARRATIVE


def test_a_case_is_not_moved_past_its_state_machine_by_a_patch(api: Api) -> None:
    from tests import messages

    assert api.v2(messages.referral("PATCH-1", mrn="PATCH-1")) == "AA"
    (referral,) = [r for r in api.found("ServiceRequest") if r.get("identifier", [{}])[0].get("value") == "PATCH-1"]
    (task,) = [t for t in api.found("Task") if t["focus"]["reference"].endswith(referral["id"])]
    refused = patch(api, f"/fhir/Task/{task['id']}", [{"op": "replace", "path": "/status", "value": "completed"}])
    assert refused.status_code == 422 and "possible now" in refused.text
    assert patch(api, f"/fhir/ServiceRequest/{referral['id']}", {"status": "completed"}, MERGE_PATCH).status_code == 422


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
operation = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
        "path": st.sampled_from(["", "/", "/name", "/name/0", "/name/-", "/a~2", "x"]),
    },
    optional={"value": values, "from": st.sampled_from(["/name", "/name/0/given", "/gender", "", "nowhere", 7])},
)


@settings(max_examples=300, deadline=None)
@given(st.lists(operation, max_size=4) | values)
def test_no_patch_breaks_anything_but_itself(body: Any) -> None:
    resource = PATIENT | {"id": "x"}
    before = encode(resource)
    for kind in (JSON_PATCH, MERGE_PATCH, "application/json"):
        try:
            made = patched(resource, encode(body), kind)
            assert (made["resourceType"], made["id"]) == ("Patient", "x")
        except GatewayError as refusal:
            assert refusal.http in (400, 409, 422)
    assert encode(resource) == before
