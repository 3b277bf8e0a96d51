"""Read, write, delete: what each interaction answers (R4 http.html, section named at each story)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from fhir_gateway.validation import decode
from tests.rest.conftest import BASE, JSON, Api, issues, places

NEVER = "Thu, 01 Jan 1970 00:00:00 GMT"


def patient(mrn: str = "", **more: Any) -> dict[str, Any]:
    identifier = {"identifier": [{"system": "urn:oid:2.16.840.1.113883.19.5.1", "value": mrn}]} if mrn else {}
    return {"resourceType": "Patient", **identifier, "name": [{"family": "Marlowe", "given": ["Ines"]}], "gender": "female", **more}


# create: http.html#create


def test_create_answers_with_address_version_and_time(api: Api) -> None:
    response = api.post("/fhir/Patient", {**patient(), "id": "mine"})
    held = decode(response.content)
    assert response.status_code == 201
    assert held["id"] != "mine", "the server names what it creates"
    assert response.headers["location"] == f"{BASE}/Patient/{held['id']}/_history/1"
    assert response.headers["etag"] == 'W/"1"' and held["meta"]["versionId"] == "1"
    assert parsedate_to_datetime(response.headers["last-modified"]).tzinfo is not None
    assert response.headers["content-type"].startswith(JSON)
    assert decode(api.get(response.headers["location"]).content) == held


def test_a_plain_create_always_creates(api: Api) -> None:
    assert api.made(patient("TWICE"))["id"] != api.made(patient("TWICE"))["id"]
    assert api.count("Patient", "identifier=TWICE") == 2


def test_the_type_of_the_address_and_of_the_body_must_agree(api: Api) -> None:
    response = api.post("/fhir/Patient", {"resourceType": "Organization", "name": "x"})
    assert response.status_code == 422 and places(response) == ["resourceType"]


def test_every_fault_is_named_with_its_place(api: Api) -> None:
    response = api.post("/fhir/Patient", patient(gender="F", birthDate="yesterday"))
    assert response.status_code == 422
    assert set(places(response)) == {"Patient.gender", "Patient.birthDate"}


def test_a_local_reference_to_nothing_is_refused(api: Api) -> None:
    response = api.post("/fhir/Patient", patient(managingOrganization={"reference": "Organization/nobody"}))
    assert response.status_code == 422 and places(response) == ["Patient.managingOrganization.reference"]
    elsewhere = api.post("/fhir/Patient", patient(managingOrganization={"reference": "https://ehr.example/fhir/Organization/1"}))
    assert elsewhere.status_code == 201, "another server's resource is not ours to look for"


# If-None-Exist: http.html#ccreate


@pytest.mark.parametrize("prefix", ["", "?", "Patient?", f"{BASE}/Patient?", "https://gateway.public.example/fhir/Patient?"])
def test_conditional_create_takes_every_form_of_condition(api: Api, prefix: str) -> None:
    mrn = f"COND-{len(prefix)}"
    condition = f"{prefix}identifier=urn:oid:2.16.840.1.113883.19.5.1|{mrn}"
    first = api.post("/fhir/Patient", patient(mrn), if_none_exist=condition)
    again = api.post("/fhir/Patient", patient(mrn), if_none_exist=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert api.count("Patient", f"identifier={mrn}") == 1


def test_conditional_create_with_several_matches_is_refused(api: Api) -> None:
    for _ in range(2):
        api.made(patient(family := "MANY", name=[{"family": family}]))
    response = api.post("/fhir/Patient", patient(), if_none_exist="family=MANY")
    assert response.status_code == 412 and issues(response)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("identifier=", 400),
        ("identifier", 400),
        ("", 400),
        ("?", 400),
        ("_summary=count&identifier=x", 400),
        ("_count=0", 400),
        ("nickname=x", 400),
        ("Practitioner?identifier=urn:x:y|1", 400),
    ],
)
def test_a_condition_that_says_nothing_is_refused_instead_of_matching_everything(api: Api, condition: str, status: int) -> None:
    api.made(patient("SOMEBODY"))
    before = api.count("Patient")
    response = api.post("/fhir/Patient", patient(), if_none_exist=condition)
    assert response.status_code == status and issues(response), response.text
    assert api.count("Patient") == before


def test_a_condition_may_hold_a_question_mark(api: Api) -> None:
    made = api.made({**patient(), "identifier": [{"system": "urn:x:y?z", "value": "Q1"}]})
    again = api.post("/fhir/Patient", patient(), if_none_exist="identifier=urn:x:y?z|Q1")
    assert (again.status_code, decode(again.content)["id"]) == (200, made["id"])


# read, vread: http.html#read, #vread


def test_read_and_vread(api: Api) -> None:
    made = api.made(patient())
    here = f"/fhir/Patient/{made['id']}"
    second = decode(api.put(here, {**made, "active": True}).content)
    response = api.get(here)
    assert decode(response.content) == second and response.headers["etag"] == 'W/"2"'
    assert decode(api.get(f"{here}/_history/1").content) == made
    assert api.get(f"{here}/_history/1").headers["etag"] == 'W/"1"'
    assert "versions are numbers" in issues(api.get(f"{here}/_history/x"))[0]["diagnostics"]
    for path in (f"{here}/_history/3", f"{here}/_history/x", f"{here}/_history/0", "/fhir/Patient/nobody", "/fhir/Nothing/1"):
        assert api.get(path).status_code == 404 and issues(api.get(path)), path


@pytest.mark.parametrize("suffix", ["", "/_history/1"])
def test_head_says_the_same_without_a_body(api: Api, suffix: str) -> None:
    here = f"/fhir/Patient/{api.made(patient())['id']}{suffix}"
    head, get = api.ask("HEAD", here), api.get(here)
    assert (head.status_code, head.headers["etag"], head.headers["last-modified"]) == (200, get.headers["etag"], get.headers["last-modified"])
    assert api.ask("HEAD", "/fhir/Patient/nobody").status_code == 404


def test_head_of_a_search_and_of_the_metadata(api: Api) -> None:
    assert api.ask("HEAD", "/fhir/metadata").status_code == 200
    assert api.ask("HEAD", "/fhir/Patient?_count=1").status_code == 200


def test_a_client_that_holds_the_version_is_told_so(api: Api) -> None:
    here = f"/fhir/Patient/{api.made(patient())['id']}"
    changed = api.get(here).headers["last-modified"]
    for header in ({"if_none_match": 'W/"1"'}, {"if_none_match": '"7", "1"'}, {"if_none_match": "*"}, {"if_modified_since": changed}):
        response = api.get(here, **header)
        assert (response.status_code, response.content) == (304, b""), header
        assert response.headers["etag"] == 'W/"1"'
    for header in ({"if_none_match": 'W/"2"'}, {"if_modified_since": NEVER}, {"if_modified_since": "soon"}, {"if_none_match": "odd"}):
        assert api.get(here, **header).status_code == 200, header


# update: http.html#update


def test_update_makes_a_new_version_and_the_same_content_makes_none(api: Api) -> None:
    made = api.made(patient())
    here = f"/fhir/Patient/{made['id']}"
    changed = api.put(here, {**made, "birthDate": "1971-03-14"})
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert changed.headers["location"] == f"{BASE}/Patient/{made['id']}/_history/2"
    same = api.put(here, {**made, "birthDate": "1971-03-14"})
    assert (same.status_code, same.headers["etag"]) == (200, 'W/"2"')


def test_update_creates_what_is_not_there(api: Api) -> None:
    response = api.put("/fhir/Patient/own-name.1", {**patient(), "id": "own-name.1"})
    assert (response.status_code, response.headers["location"]) == (201, f"{BASE}/Patient/own-name.1/_history/1")


def test_update_as_create_can_be_switched_off(tmp_path: Any) -> None:
    from tests.rest.conftest import running

    with running(f"sqlite:///{tmp_path}/off.db", update_as_create=False) as strict:
        assert strict.put("/fhir/Patient/new", {**patient(), "id": "new"}).status_code == 404
        made = strict.made(patient())
        assert strict.put(f"/fhir/Patient/{made['id']}", {**made, "active": False}).status_code == 200


def test_if_match_guards_against_overwriting_what_was_not_seen(api: Api) -> None:
    made = api.made(patient())
    here = f"/fhir/Patient/{made['id']}"
    assert api.put(here, {**made, "active": True}, if_match='W/"1"').status_code == 200
    for wrong in ('W/"1"', 'W/"9"', "odd", '""'):
        response = api.put(here, {**made, "active": False}, if_match=wrong)
        assert response.status_code == 412 and issues(response), wrong
    assert decode(api.get(here).content)["active"] is True
    assert api.put("/fhir/Patient/unborn", {**patient(), "id": "unborn"}, if_match='W/"1"').status_code == 412


@pytest.mark.parametrize("body", [{**patient(), "id": "other"}, patient(), {**patient(), "id": "a_b"}])
def test_update_under_another_id_is_refused(api: Api, body: dict[str, Any]) -> None:
    response = api.put("/fhir/Patient/this", body)
    assert response.status_code in (400, 422) and "Patient.id" in places(response)
    assert api.get("/fhir/Patient/this").status_code == 404


# delete: http.html#delete


def test_delete_is_remembered_and_may_be_repeated(api: Api) -> None:
    made = api.made(patient("GONE"))
    here = f"/fhir/Patient/{made['id']}"
    assert api.delete(here, if_match='W/"2"').status_code == 412
    for _ in range(2):
        response = api.delete(here)
        assert (response.status_code, response.content) == (204, b"")
    gone = api.get(here)
    assert gone.status_code == 410 and issues(gone)[0]["code"] == "deleted"
    assert api.get(f"{here}/_history/2").status_code == 410
    assert decode(api.get(f"{here}/_history/1").content) == made, "its history stays"
    assert api.count("Patient", "identifier=GONE") == 0
    back = api.put(here, made)
    assert (back.status_code, back.headers["etag"]) == (201, 'W/"3"')


# Prefer: http.html#ops


def test_prefer_says_what_comes_back(api: Api) -> None:
    minimal = api.post("/fhir/Patient", patient(), prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"") and "location" in minimal.headers
    assert decode(api.post("/fhir/Patient", patient(), prefer="return=representation").content)["resourceType"] == "Patient"
    told = api.post("/fhir/Patient", patient(), prefer='return="OperationOutcome"; handling=strict')
    assert told.status_code == 201 and issues(told)[0]["severity"] == "information"


# Formats: http.html#mime-type


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/xml", "application/xml;q=1", "image/png", "application/fhir+turtle"])
def test_only_json_is_written(api: Api, accept: str) -> None:
    for response in (
        api.get("/fhir/Patient", accept=accept),
        api.get("/fhir/metadata", accept=accept),
        api.post("/fhir/Patient", patient(), accept=accept),
    ):
        assert response.status_code == 406 and issues(response)[0]["code"] == "not-supported"


@pytest.mark.parametrize(
    "accept", ["application/fhir+json", "application/json", "*/*", "application/*", "application/fhir+xml;q=0.9, */*;q=0.1", "text/html", ""]
)
def test_json_is_written_wherever_it_may_be(api: Api, accept: str) -> None:
    assert api.get("/fhir/metadata", accept=accept).status_code == 200


def test_format_outranks_accept(api: Api) -> None:
    for good in ("json", "application/fhir+json", "application/json", "text/json"):
        assert api.get(f"/fhir/metadata?_format={good}", accept="application/fhir+xml").status_code == 200
    for bad in ("xml", "application/fhir%2Bxml", "ttl", ""):
        response = api.get(f"/fhir/metadata?_format={bad}")
        assert response.status_code == 406 and issues(response), bad


@pytest.mark.parametrize(
    "kind", ["application/fhir+xml", "text/xml", "text/plain", "image/png", "multipart/form-data", "application/fhir+json; charset=iso-8859-1"]
)
def test_only_json_in_utf_8_is_read(api: Api, kind: str) -> None:
    response = api.post("/fhir/Patient", b"<Patient/>", content_type=kind)
    assert response.status_code == 415 and issues(response)
    assert api.post("/fhir/Patient", patient(), content_type="application/fhir+json; charset=UTF-8; fhirVersion=4.0").status_code == 201


def test_a_packed_body_is_refused_in_words(api: Api) -> None:
    response = api.post("/fhir/Patient", b"\x1f\x8b", content_encoding="gzip")
    assert response.status_code == 415 and "gzip" in issues(response)[0]["diagnostics"]


# Addresses


def test_the_base_address_stands_with_and_without_its_slash(api: Api) -> None:
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient?_count=1"}}]}
    for base in ("/fhir", "/fhir/"):
        response = api.post(base, batch)
        assert response.status_code == 200 and decode(response.content)["type"] == "batch-response"


def test_an_unknown_address_or_method_is_answered_in_fhir(api: Api) -> None:
    for method, path, status in (
        ("GET", "/fhir/Patient/1/$everything", 404),
        ("GET", "/fhir/Patient/1/nothing/here", 404),
        ("PATCH", "/fhir/Patient/1", 415),
        ("DELETE", "/fhir/Patient", 400),
        ("PUT", "/fhir/Patient?_format=json", 400),
        ("DELETE", "/fhir", 405),
        ("GET", "/fhir/Patent", 404),
        ("POST", "/fhir/Patent", 404),
    ):
        response = api.ask(method, path)
        assert response.status_code == status and issues(response), (method, path)
    assert "GET" in api.ask("DELETE", "/fhir/ServiceRequest/1/$completeness").headers["allow"]
    assert api.get("/nowhere").json()["error"] == "not-found", "outside the FHIR API nobody expects an OperationOutcome"


def test_a_message_kept_by_the_gateway_is_read_as_binary_or_as_its_bytes(api: Api) -> None:
    from tests import messages

    raw = messages.referral("REF-BIN", mrn="BIN-1")
    assert api.v2(raw) == "AA"
    line = api.inbox("processed")[0]
    binary = decode(api.get(f"/fhir/Binary/{line.id}", accept=JSON).content)
    assert (binary["resourceType"], binary["contentType"]) == ("Binary", "x-application/hl7-v2+er7")
    as_bytes = api.get(f"/fhir/Binary/{line.id}", accept="x-application/hl7-v2+er7")
    assert (as_bytes.status_code, as_bytes.content) == (200, raw)
    assert api.get(f"/fhir/Binary/{line.id}", accept="image/png").status_code == 406


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Condition", "code": {"text": "lump"}, "subject": {"display": "x"}},
        {"resourceType": "Organization", "name": "x", "type": [{"text": "x"}]},
    ],
)
def test_a_code_that_is_only_text_is_stored(api: Api, resource: dict[str, Any]) -> None:
    assert api.post(f"/fhir/{resource['resourceType']}", resource).status_code == 201
