"""A file kept as Binary: the resource for who asks for FHIR, the bytes as they were filed for who asks for their type."""

from __future__ import annotations

import base64

from fhir_gateway.cases.paper import Sheet, Told
from fhir_gateway.validation import decode
from tests.rest.conftest import STAFF, Api, issues

PAGE = "<html><script>alert(1)</script><p>Läsion</p></html>".encode()


def test_a_scan_is_read_as_a_resource_or_as_its_bytes_and_never_runs(api: Api) -> None:
    told = Told("Marlowe", ("Ines",), "1971-03-14", {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C50.411"}, "Which?", number="BIN-1")
    api.gateway.paperwork.open(STAFF, told, new_patient=True)
    api.gateway.paperwork.file(STAFF, "BIN-1", "pathology-report", Sheet(PAGE, "", signed=True))
    (document,) = api.found("DocumentReference")
    here = f"/fhir/{document['content'][0]['attachment']['url']}"
    for accept in ("application/fhir+json", "*/*", "application/json, text/html;q=0"):
        resource = decode(api.get(here, accept=accept).content)
        assert (resource["resourceType"], base64.b64decode(resource["data"])) == ("Binary", PAGE)
    native = api.get(here, accept="text/html")
    assert (native.content, native.headers["content-type"].partition(";")[0], native.headers["etag"]) == (PAGE, "text/html", 'W/"1"')
    assert "sandbox" in native.headers["content-security-policy"] and native.headers["x-content-type-options"] == "nosniff"
    assert api.get(here, accept="text/html", if_none_match='W/"1"').status_code == 304
    assert decode(api.get(f"{here}?_format=json", accept="text/html").content)["resourceType"] == "Binary"
    refused = api.get(here, accept="image/png")
    assert refused.status_code == 406 and issues(refused)
