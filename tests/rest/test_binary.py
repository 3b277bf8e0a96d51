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
