"""Schemathesis makes requests out of what the application says its addresses are: whatever it sends to a live server, nothing breaks.

The application names its addresses and methods; headers, queries and bodies, which FHIR leaves open, are named here, so that they are tried too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from fhir_gateway import health
from fhir_gateway.hl7v2 import http
from fhir_gateway.pages import routes as pages
from fhir_gateway.rest import routes
from fhir_gateway.validation.types import TYPES
from tests.server import Server

Json = dict[str, Any]

TEXT: Final = {"type": "string", "maxLength": 60}
HEADERS: Final = {
    "If-Match": ['W/"1"', "1", "*", ""],
    "If-None-Match": ['W/"1"', "*", '"x'],
    "If-Modified-Since": ["Tue, 01 Sep 2026 00:00:00 GMT", "yesterday"],
    "If-None-Exist": ["identifier=urn:x|1", "?", "_id=1", "name=a&_count=1", "nickname=x"],
    "Prefer": ["return=minimal", "return=OperationOutcome", "handling=lenient", "respond-async"],
    "Accept": ["application/fhir+json", "*/*", "application/fhir+xml", "text/turtle", "application/json;q=0", ";;"],
    "X-Security-Context": ["Patient/1", "Patent/1", ""],
}
QUERY: Final = ("_id", "identifier", "name:exact", "birthdate", "subject:Patient.name", "_has:Observation:patient:code", "_include", "_revinclude:iterate",
                "_sort", "_count", "_cursor", "_since", "_at", "_type", "_summary", "_elements", "_total", "_pretty", "_format", "_lastUpdated", "asOf")  # fmt: skip
VALUES: Final = ["1", "a|b", "2026-09", "ge2026-02-31", "Patient:*", "Observation:subject:Patient", "*", "-_lastUpdated,name", "true", "count", "xml",
                 "Patient/1", "\\", ",", "|", "0", "-1", "9" * 30]  # fmt: skip
RESOURCE: Final = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {
        "resourceType": {"anyOf": [{"enum": ["Patient", "Bundle", "Binary", "Parameters", "Task", "ServiceRequest", "Subscription"]}, TEXT]},
        "id": TEXT,
        "type": {"enum": ["transaction", "batch", "message", "collection"]},
        "status": {"enum": ["active", "draft", "requested", "completed"]},
        "subject": {"type": "object", "properties": {"reference": {"enum": ["Patient/1", "urn:uuid:1", "#a", "Patient?identifier=a"]}}},
        "entry": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"resource": {}, "fullUrl": TEXT, "request": {
            "type": "object", "properties": {"method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]}, "url": {"enum": ["Patient", "Patient/1", "Task?_id=1", "/"]}},
        }}}},
        "parameter": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"name": TEXT, "resource": {}, "valueString": TEXT}}},
    },
}  # fmt: skip
OPERATIONS: Final = {
    "type": "array",
    "maxItems": 4,
    "items": {"type": "object", "properties": {
        "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": {"enum": ["/active", "/name/-", "/name/0/given/9", "", "/", "/id", "/resourceType", "/~2", "name"]},
        "from": {"enum": ["/name", "", "/name/0"]}, "value": {},
    }},
}  # fmt: skip
FORM: Final = {"type": "object", "additionalProperties": TEXT}
BYTES: Final = {"type": "string"}
BODIES: Final[dict[str, Json]] = {
    "post": {"application/fhir+json": RESOURCE, "application/x-www-form-urlencoded": FORM, "application/pdf": BYTES},
    "put": {"application/fhir+json": RESOURCE, "text/plain": BYTES},
    "patch": {"application/json-patch+json": OPERATIONS, "application/merge-patch+json": RESOURCE, "application/json": {}},
}


def described() -> Json:
    """The application's own description, with everything FHIR leaves open named."""
    app = FastAPI()
    for router in (health.router, http.router, routes.router, pages.router):
        app.include_router(router)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # routes of two methods share a name
        given = deepcopy(app.openapi())
    for path, methods in given["paths"].items():
        methods.pop("head", None)  # GET without what it answers
        for method, operation in methods.items():
            operation.pop("operationId")
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "type":
                    parameter["schema"] = {"anyOf": [{"enum": sorted(TYPES)}, TEXT]}
            more = [{"name": name, "in": "header", "schema": {"enum": values}} for name, values in HEADERS.items()]
            if method == "get":
                more = [{"name": name, "in": "query", "schema": {"enum": VALUES}} for name in QUERY]
            operation["parameters"] = [*operation.get("parameters", ()), *more]
            if method in BODIES:
                kinds = {"text/plain": BYTES} if path == "/hl7v2" else BODIES[method]
                operation["requestBody"] = {"content": {kind: {"schema": schema} for kind, schema in kinds.items()}}
    return given


schema = schemathesis.openapi.from_dict(described())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(f"sqlite:///{tmp_path_factory.mktemp('schemathesis')}/any.db", message_bytes="200000") as running:
        yield running


@schema.parametrize()
@settings(max_examples=8, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_is_answered(case: schemathesis.Case, server: Server) -> None:
    response = case.call(base_url=server.base, timeout=20)
    case.validate_response(response, checks=[not_a_server_error])
    assert b"Traceback" not in response.content
    if response.status_code >= 400 and case.path.startswith("/fhir"):
        outcome = response.json()
        assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"], response.content
