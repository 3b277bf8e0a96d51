"""Binary: bytes up in their own type, and down again as they were."""

from __future__ import annotations

import base64

from fhir_gateway.validation import decode
from tests.rest.conftest import JSON, Api, issues

PDF = b"%PDF-1.7\n\x00\xff not a resource"


def test_bytes_go_up_and_come_down_as_they_are(api: Api) -> None:
    made = api.ask("POST", "/fhir/Binary", PDF, content_type="application/pdf")
    assert made.status_code == 201, made.text
    held = decode(made.content)
    assert (held["contentType"], base64.b64decode(held["data"])) == ("application/pdf", PDF)
    here = f"/fhir/Binary/{held['id']}"
    down = api.get(here, accept="application/pdf")
    assert (down.content, down.headers["content-type"], down.headers["etag"]) == (PDF, "application/pdf", 'W/"1"')
    assert decode(api.get(here, accept=JSON).content) == held
    assert decode(api.get(f"{here}?_format=json").content) == held
    again = api.ask("PUT", here, b"<html></html>", content_type="text/html", x_security_context="Patient/none")
    assert again.status_code == 422, "the security context must be there"
    assert api.ask("PUT", here, b"<html></html>", content_type="text/html").headers["etag"] == 'W/"2"'
    shown = api.get(here, accept="text/html")
    assert shown.content == b"<html></html>" and "sandbox" in shown.headers["content-security-policy"]


def test_a_resource_is_still_taken_as_one(api: Api) -> None:
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": base64.b64encode(b"hello").decode()}
    assert decode(api.post("/fhir/Binary", binary).content)["contentType"] == "text/plain"
    refused = api.ask("POST", "/fhir/Binary", PDF, content_type="application/fhir+xml")
    assert refused.status_code == 415 and issues(refused)
    assert api.ask("POST", "/fhir/Patient", PDF, content_type="application/pdf").status_code == 415
    assert api.ask("POST", "/fhir/Binary", PDF, content_type="application/pdf", content_encoding="gzip").status_code == 415


def test_one_over_the_limit_is_refused(api: Api) -> None:
    assert api.ask("POST", "/fhir/Binary", b"x" * 1_000_001, content_type="application/pdf").status_code == 413


def test_who_does_not_ask_for_fhir_gets_the_content_as_it_was_stated(api: Api) -> None:
    """R4 binary.html#rest: unless FHIR is asked for explicitly, the content comes in the type stated, no charset added; a kept version too."""
    text = "Müller".encode("latin-1")
    here = f"/fhir/Binary/{decode(api.ask('POST', '/fhir/Binary', text, content_type='text/plain').content)['id']}"
    for accept in ("*/*", "text/*", "text/plain", "text/plain, application/fhir+json", "image/png, */*;q=0.1"):
        down = api.get(here, accept=accept)
        assert (down.status_code, down.content, down.headers["content-type"]) == (200, text, "text/plain"), accept
    for accept in (JSON, f"{JSON}, */*;q=0.1", "application/json"):
        assert decode(api.get(here, accept=accept).content)["resourceType"] == "Binary", accept
    assert api.get(here, accept="image/*").status_code == 406
    assert api.get(f"{here}/_history/1", accept="text/plain").content == text
    assert api.get(here, accept="text/plain", if_none_match='W/"1"').status_code == 304


def test_whose_rules_the_bytes_are_under_is_told_beside_them(api: Api) -> None:
    """R4 binary.html#rest: with the content in its own type, the security context stands in X-Security-Context, up and down."""
    person = f"Patient/{api.made({'resourceType': 'Patient', 'active': True})['id']}"
    made = decode(api.ask("POST", "/fhir/Binary", PDF, content_type="application/pdf", x_security_context=person).content)
    assert made["securityContext"] == {"reference": person}
    assert api.get(f"/fhir/Binary/{made['id']}").headers["x-security-context"] == person


def test_json_is_content_unless_it_is_a_binary_itself(api: Api) -> None:
    """R4 binary.html#rest: what is written is taken as the content, FHIR JSON too, except where it is a Binary resource."""
    for kind, content in (("application/json", b'{"a": 1}'), ("application/json", b"[1, 2"), (JSON, b'{"resourceType": "Patient"}')):
        made = api.ask("POST", "/fhir/Binary", content, content_type=kind)
        assert made.status_code == 201, made.text
        held = decode(made.content)
        assert (held["contentType"], base64.b64decode(held["data"])) == (kind, content)
        assert api.get(f"/fhir/Binary/{held['id']}").content == content
    for broken in (b'{"resourceType": "Binary", "contentType": "text/plain", "data": 1}', b'{"resourceType": "Binry"}', b"{"):
        refused = api.ask("POST", "/fhir/Binary", broken, content_type=JSON)
        assert refused.status_code in (400, 422) and issues(refused), "sent as FHIR, it may have been meant as a Binary"
