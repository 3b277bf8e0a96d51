"""The whole service on real sockets: half requests, the wrong protocol at the wrong door, and that it lives on."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer

from fhir_gateway.cli import serving
from fhir_gateway.hl7v2.client import MllpClient
from fhir_gateway.hl7v2.frames import frame
from fhir_gateway.security.principal import GATEWAY
from fhir_gateway.settings import Settings
from fhir_gateway.store import InboxEntry, Store
from mappers import v2
from tests import messages, process
from tests.server import Server

SECONDS = 2
NORTHSIDE = "urn:oid:2.16.840.1.113883.19.5.1"


class Watched(Server):
    """A server whose inbox can be looked into."""

    def __init__(self, url: str, **settings: str) -> None:
        super().__init__(url, **settings)
        self.store = Store(url)

    def kept(self, raw: bytes) -> InboxEntry:
        """The inbox entry whose kept bytes begin so; waits for it, since nobody answers a sender that has gone away."""
        for _ in range(200):
            with self.store.snapshot(GATEWAY) as tx:
                found = [entry for line in tx.inbox.list(limit=100) if (entry := tx.inbox.get(line.id)) and entry.raw.startswith(raw)]
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"nothing that begins with {raw!r} was kept")

    def says(self, raw: bytes, *, port: int | None = None, hang_up: bool = False) -> bytes:
        """Raw bytes to a port; what comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", port or self.http_port), timeout=20) as line:
            line.sendall(raw)
            if hang_up:
                return b""
            heard = b""
            try:
                while data := line.recv(64 * 1024):
                    heard += data
            except ConnectionError:
                pass
            return heard

    def works(self, mrn: str) -> None:
        """A referral over MLLP and a record over FHIR still meet on one patient."""
        with MllpClient("127.0.0.1", self.mllp_port) as client:
            assert v2.read_ack(client.exchange(messages.referral(f"REF-{mrn}", mrn=mrn)))[0] == "AA"
        found = httpx.get(f"{self.base}/fhir/Patient", params={"identifier": f"{NORTHSIDE}|{mrn}"}).json()
        assert len(found["entry"]) == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    url = f"sqlite:///{tmp_path_factory.mktemp('entrances')}/wire.db"
    with Watched(url, request_seconds=str(SECONDS), message_bytes="100000", mllp_stall_seconds="1", mllp_idle_seconds="2") as running:
        assert isinstance(running, Watched)
        yield running
        running.store.close()


def test_http_at_the_mllp_door_is_kept_and_the_door_stays_open(server: Watched) -> None:
    request = b"GET /fhir/metadata HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
    assert server.says(request, port=server.mllp_port) == b""
    assert server.kept(b"GET /fhir/metadata").state == "refused"
    server.works("M1")


def test_mllp_at_the_http_door_gets_a_plain_refusal(server: Watched) -> None:
    assert server.says(frame(messages.referral(mrn="W1"))).startswith(b"HTTP/1.1 400")
    server.works("M2")


@pytest.mark.parametrize("path", ["/hl7v2", "/fhir"])
def test_what_came_of_half_a_request_is_kept(server: Watched, path: str) -> None:
    body = b"MSH|^~\\&|HALF" + path.encode()
    kind = "application/hl7-v2" if path == "/hl7v2" else "application/fhir+json"
    head = f"POST {path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: {kind}\r\nContent-Length: 5000\r\n\r\n".encode()
    server.says(head + body, hang_up=True)
    entry = server.kept(body)
    assert (entry.state, entry.raw) == ("refused", body)
    server.works(f"M3{path[1:]}")


@pytest.mark.parametrize("head", [b"", b"G", b"GET /fhir/Pat", b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Le", b"\x00" * 200, b"\r\n\r\n"])
def test_half_a_head_leaves_no_trace_and_no_harm(server: Watched, head: bytes) -> None:
    server.says(head, hang_up=True)
    assert httpx.get(f"{server.base}/readyz").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /fhir HTTP/9.9\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_broken_http_is_refused_and_the_service_lives(server: Watched, raw: bytes) -> None:
    heard = server.says(raw)
    assert heard == b"" or heard.split(b"\r\n")[0].split(b" ")[1][:1] == b"4", heard[:200]
    assert httpx.get(f"{server.base}/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/hl7v2", "/fhir"])
def test_a_body_that_never_ends_is_given_up_and_its_beginning_kept(server: Watched, path: str) -> None:
    kind = "application/hl7-v2" if path == "/hl7v2" else "application/fhir+json"
    body = b"MSH|stalled at " + path.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: 100\r\n\r\n".encode()
    heard = server.says(head + body)
    assert heard.startswith(b"HTTP/1.1 503") and (b"OperationOutcome" in heard) == (path == "/fhir")
    assert server.kept(body).state == "refused"
    server.works(f"M4{path[1:]}")


def test_a_chunked_bundle_and_an_odd_host_are_no_trouble(server: Watched) -> None:
    body = b'{"resourceType":"Bundle","type":"batch"}'
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    head = b"POST /fhir HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for host in (b"gateway.test", b"[::1", b"a b", b"", b"gateway.test:port"):
        heard = server.says(head % host + chunked)
        assert heard.split(b" ")[1][:1] in b"24", (host, heard[:300])
    assert b"batch-response" in server.says(head % b"gateway.test" + chunked)


def test_a_head_request_has_no_body_on_the_wire(server: Watched) -> None:
    heard = server.says(b"HEAD /fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, rest = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and rest == b""


def test_an_oversized_upload_is_answered_while_it_is_still_coming(server: Watched) -> None:
    response = httpx.post(f"{server.base}/fhir", content=b"{" * 3_000_000, headers={"content-type": "application/fhir+json"}, timeout=20)
    assert response.status_code == 413
    assert server.kept(b"{" * 1000).size > 100_000
    server.works("M5")


def test_serve_refuses_an_address_that_others_reach(tmp_path: Path) -> None:
    environment = {**os.environ, "GATEWAY_AUTH": "off", "GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/never.db"}
    done = process.run(["serve", "--host", "0.0.0.0"], environment)
    assert done.returncode == 2 and b"loopback" in done.stderr, done.stderr
    assert b"Traceback" not in done.stderr and not (tmp_path / "never.db").exists()


@pytest.mark.parametrize("auth", ["off", "smart"])
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "gateway.example", "::", ""])
def test_no_address_but_loopback_is_prepared_for(tmp_path: Path, host: str, auth: str) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/never.db", host=host, auth=auth)  # type: ignore[arg-type]
    with pytest.raises(typer.Exit) as refusal:
        serving.prepare(settings)
    assert refusal.value.exit_code == 2 and not (tmp_path / "never.db").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_addresses_are(tmp_path: Path, host: str) -> None:
    serving.prepare(Settings(database_url=f"sqlite:///{tmp_path}/some.db", host=host, auth="off"))
    assert (tmp_path / "some.db").exists()
