"""What HTTP itself asks of a server, where FHIR leans on it: entity tags, dates, HEAD, versions of FHIR (RFC 9110; R4 http.html)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_gateway.validation import decode
from tests.rest.conftest import Api, issues

JSON_PATCH = "application/json-patch+json"


def patient(api: Api) -> tuple[str, dict[str, Any]]:
    """(address, resource) of a new Patient."""
    held = api.made({"resourceType": "Patient", "active": True})
    return f"/fhir/Patient/{held['id']}", held


def test_if_match_takes_a_list_and_a_star(api: Api) -> None:
    """RFC 9110 13.1.1: a list names versions any of which will do, `*` any version there is."""
    here, held = patient(api)
    assert api.put(here, {**held, "gender": "male"}, if_match='W/"7", W/"1"').headers["etag"] == 'W/"2"'
    assert api.put(here, {**held, "gender": "other"}, if_match='W/"7", W/"1"').status_code == 412
    assert api.put(here, {**held, "gender": "other"}, if_match="*").headers["etag"] == 'W/"3"'
    unborn = api.put("/fhir/Patient/unborn-1", {**held, "id": "unborn-1"}, if_match="*")
    assert unborn.status_code == 412 and issues(unborn)
    nobody = "/fhir/Patient?identifier=urn:x:nobody|1"
    assert api.put(nobody, {"resourceType": "Patient", "active": True}, if_match="*").status_code == 412
    assert api.delete(here, if_match="*").status_code == 204
    assert api.put(here, held, if_match="*").status_code == 412, "what was deleted is not there"


def test_if_none_match_keeps_a_write_from_what_is_there(api: Api) -> None:
    """RFC 9110 13.1.2: `*` is false when anything is there, a tag when that version stands; then the method is not done, and the answer is 412."""
    here, held = patient(api)
    for tags in ("*", 'W/"1"', 'W/"7", W/"1"'):
        refused = api.put(here, {**held, "gender": "male"}, if_none_match=tags)
        assert refused.status_code == 412 and issues(refused), tags
    patch = b'[{"op": "add", "path": "/gender", "value": "male"}]'
    assert api.ask("PATCH", here, patch, content_type=JSON_PATCH, if_none_match="*").status_code == 412
    assert api.delete(here, if_none_match='W/"1"').status_code == 412
    assert decode(api.get(here).content) == held
    assert api.put("/fhir/Patient/first-1", {**held, "id": "first-1"}, if_none_match="*").status_code == 201
    assert api.put(here, {**held, "gender": "male"}, if_none_match='W/"7"').status_code == 200


def test_a_date_is_understood_in_each_of_its_forms(api: Api) -> None:
    """RFC 9110 5.6.7: a recipient must accept all three."""
    here, held = patient(api)
    moment = datetime.fromisoformat(held["meta"]["lastUpdated"]).astimezone(UTC)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        assert api.get(here, if_modified_since=moment.strftime(form)).status_code == 304, form
        assert api.get(here, if_modified_since=moment.replace(year=2001).strftime(form)).status_code == 200, form


def test_head_is_done_wherever_get_is(api: Api) -> None:
    """R4 http.html#head: HEAD is supported wherever GET is, with the same headers."""
    here, _ = patient(api)
    paths = ("", "?_format=json", "/_history", "/_history/1", "/$everything", "/$meta", "/Observation")
    for path in (*(here + path for path in paths), "/fhir", "/fhir/Patient", "/fhir/Patient/_history", "/fhir/_history", "/fhir/metadata"):
        got, head = api.get(path), api.ask("HEAD", path)
        assert (head.status_code, head.headers["content-type"]) == (200, got.headers["content-type"]), path
        assert head.headers.get("etag") == got.headers.get("etag")


@pytest.mark.parametrize("version", ["4.0", "4.0.1", '"4.0"'])
def test_fhir_r4_may_be_named(api: Api, version: str) -> None:
    """R4 versioning.html#mt-version: the MIME parameter fhirVersion."""
    kind = f"application/fhir+json; fhirVersion={version}"
    made = api.post("/fhir/Patient", {"resourceType": "Patient", "active": True}, content_type=kind)
    assert made.status_code == 201
    assert api.get("/fhir/Patient", accept=kind).status_code == 200


def test_another_version_of_fhir_is_refused(api: Api) -> None:
    """R4 versioning.html#mt-version: an R3 resource taken for R4 would be misread, and an R4 answer where R5 is asked for as well."""
    other = "application/fhir+json; fhirVersion=3.0"
    assert api.post("/fhir/Patient", {"resourceType": "Patient", "active": True}, content_type=other).status_code == 415
    assert api.get("/fhir/Patient", accept=other).status_code == 406
    assert api.get("/fhir/Patient?_format=application/fhir%2Bjson;fhirVersion=5.0").status_code == 406
    assert api.get("/fhir/Patient", accept=f"{other}, application/fhir+json;fhirVersion=4.0").status_code == 200


def test_a_moment_beyond_the_calendar_is_refused(api: Api) -> None:
    """R4 datatypes.html#instant allows the year 1 with an offset; in UTC there is no such day."""
    here, _ = patient(api)
    for since in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00", "9999-12-31"):
        assert api.get(f"{here}/_history?_since={since}").status_code in (200, 400), since


def test_a_slash_at_the_end_changes_nothing(api: Api) -> None:
    """R4 http.html#root: `[base]` and `[base]/` are one server; older clients write `Patient/?name=x`."""
    here, held = patient(api)
    assert decode(api.get(f"{here}/").content) == held
    assert api.get("/fhir/Patient/?active=true&_count=1").status_code == 200
    assert api.post("/fhir/Patient/", {"resourceType": "Patient", "active": True}).status_code == 201
    assert api.ask("DELETE", f"{here}/").status_code == 204
