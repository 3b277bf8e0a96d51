"""Updates and deletions by a condition: none, one, several; two at once make one resource."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fhir_gateway.errors import GatewayError
from fhir_gateway.validation import decode, encode
from tests.rest.conftest import STAFF, Api, issues, places, running

SYSTEM = "urn:x:by-condition"


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}], **more}


def test_an_update_makes_changes_and_refuses(api: Api) -> None:
    where = f"/fhir/Patient?identifier={SYSTEM}|U-1"
    made = api.put(where, patient("U-1"))
    assert made.status_code == 201
    id = decode(made.content)["id"]
    changed = api.put(where, patient("U-1", active=True))
    assert (changed.status_code, decode(changed.content)["id"], changed.headers["etag"]) == (200, id, 'W/"2"')
    assert api.put(where, patient("U-1", id=id, active=False)).headers["etag"] == 'W/"3"'
    other = api.put(where, patient("U-1", id="another"))
    assert other.status_code == 400 and places(other) == ["Patient.id"]
    assert api.put(where, patient("U-1"), if_match='W/"1"').status_code == 412
    named = api.put(f"/fhir/Patient?identifier={SYSTEM}|U-2", patient("U-2", id="given-id"))
    assert named.status_code == 201 and decode(named.content)["id"] == "given-id"
    api.made(patient("U-1"))
    several = api.put(where, patient("U-1"))
    assert (several.status_code, issues(several)[0]["code"]) == (412, "multiple-matches")
    assert api.put(f"/fhir/Patient?nickname={SYSTEM}", patient("U-1")).status_code == 400
    assert api.put("/fhir/Patient?_summary=true", patient("U-1")).status_code == 400, "looks are no condition"


def test_a_create_takes_its_condition_from_the_header_or_the_address(api: Api) -> None:
    """fhirpy's `get_or_create` has no header for it (ADR 0029)."""
    where = f"/fhir/Patient?identifier={SYSTEM}|G-1"
    made, again = api.post(where, patient("G-1")), api.post(where, patient("G-1"))
    assert (made.status_code, again.status_code, again.headers["etag"]) == (201, 200, made.headers["etag"])
    assert decode(again.content) == decode(made.content)
    assert api.post(where, patient("G-1"), if_none_exist=f"identifier={SYSTEM}|G-2").status_code == 400, "two conditions are none"
    assert api.post("/fhir/Patient?nickname=x", patient("G-1")).status_code == 400, "nor is one nobody knows"
    for about_the_answer in ("_format=json", "_pretty=true", "_summary=true", "_filename=x.pdf"):
        assert api.post(f"/fhir/Patient?{about_the_answer}", patient("G-2")).status_code == 201


def test_a_deletion_takes_one_and_never_several(api: Api) -> None:
    where = f"/fhir/Patient?identifier={SYSTEM}|D-1"
    assert api.delete(where).status_code == 204, "none is no error"
    held = api.made(patient("D-1"))
    assert api.delete(where, if_match='W/"7"').status_code == 412
    assert api.delete(where).status_code == 204 and api.get(f"/fhir/Patient/{held['id']}").status_code == 410
    api.made(patient("D-1")), api.made(patient("D-1"))
    assert api.delete(where).status_code == 412
    assert api.count("Patient", f"identifier={SYSTEM}|D-1") == 2
    assert api.delete("/fhir/Patient").status_code == 400


@pytest.mark.parametrize("text", [f"identifier={SYSTEM}|RACE", "family=racing"])
def test_many_at_once_make_one_resource(database_url: str, text: str) -> None:
    with running(database_url) as api:
        body = encode(patient("RACE", name=[{"family": "Racing"}]))
        faults: list[GatewayError] = []

        def work() -> None:
            try:
                api.gateway.fhir.update_where(STAFF, "Patient", text, body, None)
            except GatewayError as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert api.count("Patient") == 1
        assert {fault.http for fault in faults} <= {409, 412}


def test_a_condition_may_ask_for_labels_and_for_what_points_here(api: Api) -> None:
    """R4 http.html#ccreate: the criteria are those of a search; only what is about the answer's form has no meaning in them."""
    label = {"security": [{"system": SYSTEM, "code": "S-1"}]}
    held = api.made(patient("S-1", meta=label))
    assert decode(api.post("/fhir/Patient", patient("S-1"), if_none_exist=f"_security={SYSTEM}|S-1").content)["id"] == held["id"]
    api.made({"resourceType": "Condition", "code": {"text": "S-1"}, "subject": {"reference": f"Patient/{held['id']}"}})
    assert api.delete("/fhir/Patient?_has:Condition:patient:code:text=S-1").status_code == 204
    assert api.get(f"/fhir/Patient/{held['id']}").status_code == 410
    assert api.post("/fhir/Patient", patient("S-1"), if_none_exist="_sort=_id").status_code == 400
