"""With `GATEWAY_AUTH=smart` and no sign-in yet, everything about patients is closed and the health addresses are open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_gateway.hl7v2 import http
from fhir_gateway.rest import routes
from tests.rest.conftest import Api, issues, running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(f"sqlite:///{tmp_path_factory.mktemp('auth')}/auth.db", auth="smart", message_bytes=2000) as made:
        yield made


OPEN = ("/fhir/metadata", "/fhir/.well-known/smart-configuration")
ADDRESSES = sorted(
    (method, route.path.format(type="Patient", id="1", version="1"))  # type: ignore[attr-defined]
    for router in (routes.router, http.router)
    for route in router.routes
    for method in route.methods  # type: ignore[attr-defined]
    if route.path not in OPEN  # type: ignore[attr-defined]
)


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_every_address_but_the_open_ones_is_closed(closed: Api, method: str, path: str) -> None:
    response = closed.ask(method, path, b"{" * 10_000 if method in ("POST", "PUT") else None)
    assert response.status_code == 401, "even before the body is looked at"
    if path.startswith("/fhir") and method != "HEAD":
        assert issues(response)[0]["code"] == "login"


def test_nobody_learns_what_exists(closed: Api) -> None:
    for method, path in (("GET", "/fhir/Patent"), ("GET", "/fhir/no/such/address/here"), ("PATCH", "/fhir/Patient/1"), ("BREW", "/fhir")):
        assert closed.ask(method, path).status_code == 401, path


def test_nothing_is_kept_of_what_strangers_send(closed: Api) -> None:
    for path in ("/fhir", "/fhir/Patient", "/hl7v2"):
        assert closed.post(path, b"x" * 5000).status_code == 401
    assert closed.inbox() == []


def test_health_and_metadata_are_open(closed: Api) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert closed.get(path).status_code == 200
    security = closed.get("/fhir/metadata").json()["rest"][0]["security"]
    assert "sign-in" in security["description"].lower()


def test_a_client_that_asks_how_to_sign_in_is_told_that_nobody_can(closed: Api) -> None:
    told = closed.get("/fhir/.well-known/smart-configuration", accept="application/fhir+xml")
    assert (told.status_code, told.headers["content-type"]) == (200, "application/json")
    held = told.json()
    assert "token_endpoint" not in held and "authorization_endpoint" not in held
    assert held["grant_types_supported"] == held["capabilities"] == [] and "sign-in" in held["description"].lower()
