"""The FHIR API behind its real application, asked as a client asks it: over HTTP, in process, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.from_thread
import httpx
import pytest

from fhir_gateway.app import build
from fhir_gateway.events import configure
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.validation import decode, encode
from tests.databases import migrate, postgresql_url

STAFF = Principal("administrator", name="test")
HOST = "http://clinic.test"
BASE = f"{HOST}/fhir"
JSON = "application/fhir+json"


class Api:
    """A client of one running application. Resources go in and come out as they are on the wire, decimals included."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient, portal: Any) -> None:
        self.gateway, self._client, self._portal = gateway, client, portal

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request; `body` is a resource or bytes, header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None
        if body is not None:
            named.setdefault("content-type", JSON)
            content = body if isinstance(body, bytes) else encode(body)
        address = path if path.startswith("http") else HOST + path
        return self._portal.call(lambda: self._client.request(method, address, content=content, headers=named))  # type: ignore[no-any-return]

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.ask("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.ask("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("DELETE", path, **headers)

    def made(self, resource: dict[str, Any]) -> dict[str, Any]:
        """A resource created, as the server holds it."""
        response = self.post(f"/fhir/{resource['resourceType']}", resource)
        assert response.status_code == 201, response.text
        return decode(response.content)

    def sends(self, *entries: dict[str, Any], kind: str = "transaction", **more: Any) -> httpx.Response:
        """A Bundle of these entries."""
        return self.post("/fhir", {"resourceType": "Bundle", "type": kind, **more, "entry": list(entries)})

    def count(self, type: str, query: str = "") -> int:
        """How many there are."""
        return int(decode(self.get(f"/fhir/{type}?_summary=count&{query}").content)["total"])

    def found(self, type: str, query: str = "") -> list[dict[str, Any]]:
        """Resources of the first page a search finds."""
        response = self.get(f"/fhir/{type}?{query}")
        assert response.status_code == 200, response.text
        return [entry["resource"] for entry in decode(response.content).get("entry", ())]

    def v2(self, message: bytes) -> str:
        """MSA-1 of the answer to an HL7 v2 message."""
        response = self.ask("POST", "/hl7v2", message, content_type="application/hl7-v2")
        assert response.status_code == 200, response.text
        return response.text.split("\rMSA|")[1][:2]

    def inbox(self, state: str | None = None) -> list[Any]:
        """Inbox lines, newest first."""
        with self.gateway.store.snapshot(STAFF) as tx:
            return list(tx.inbox.list(state=state, limit=1000))  # type: ignore[arg-type]


def issues(response: httpx.Response) -> list[dict[str, Any]]:
    """The issues of an answer that must be an OperationOutcome."""
    outcome = decode(response.content)
    assert outcome["resourceType"] == "OperationOutcome", response.text
    assert response.headers["content-type"].startswith(JSON)
    return list(outcome["issue"])


def places(response: httpx.Response) -> list[str]:
    """Where the faults are."""
    return [place for issue in issues(response) for place in issue.get("expression", ())]


@contextmanager
def running(url: str, **settings: Any) -> Iterator[Api]:
    """The application on a fresh database, started and stopped as a server does it."""
    configure("critical")
    app = build(Settings(database_url=url, **{"auth": "off", "timezone": "America/Chicago", "message_bytes": 1_000_000, **settings}))
    migrate(url)
    app.state.gateway.store.upgrade()
    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        yield Api(app.state.gateway, client, portal)
        portal.call(client.aclose)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application for a module whose stories do not meet: each uses numbers of its own."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('rest')}/rest.db") as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/fresh.db"
    else:
        with postgresql_url() as url:
            yield url


@pytest.fixture
def fresh(database_url: str) -> Iterator[Api]:
    """An application of its own, on each database."""
    with running(database_url) as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """As `api`, on each database."""
    if request.param == "sqlite":
        with running(f"sqlite:///{tmp_path_factory.mktemp('rest')}/either.db") as made:
            yield made
    else:
        with postgresql_url() as url, running(url) as made:
            yield made
