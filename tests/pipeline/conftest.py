"""The whole gateway behind its edges, on both databases, told stories in the senders' own words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.validation import decode, encode
from mappers import v2
from tests.cases.test_opinion import GIVEN
from tests.databases import migrate, postgresql_url

STAFF = Principal("administrator", name="test")
BASE = "http://gateway.test/fhir"
OPINION: dict[str, Any] = GIVEN | {"author": {"display": "Dr Maja Lindqvist"}, "signed": "2026-09-10T03:00:00-05:00"}


class Told:
    """A gateway and a clock that stands still until told otherwise."""

    def __init__(self, url: str) -> None:
        self.now = datetime(2026, 9, 10, 9, 0, tzinfo=UTC)
        self.executor = ThreadPoolExecutor(2)
        settings = Settings(database_url=url, auth="off", timezone="America/Chicago", message_bytes=1_000_000)
        self.gateway = Gateway(settings, self.executor, clock=lambda: self.now)
        migrate(url)
        self.gateway.store.upgrade()

    def receives(self, message: bytes) -> tuple[str, str, list[str]]:
        """The last acknowledgement: code, control id, texts."""
        answers = list(self.gateway.receive_v2(message, "mllp", "test"))
        return v2.read_ack(answers[-1])

    def answers(self, message: bytes) -> list[bytes]:
        """Every acknowledgement as bytes."""
        return list(self.gateway.receive_v2(message, "mllp", "test"))

    def posts(self, bundle: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A Bundle over FHIR: status and answer."""
        status, body = self.gateway.receive_bundle(encode(bundle), STAFF, BASE)
        return status, decode(body)

    def passes(self, **time: float) -> None:
        """Time goes on, and the worker with it."""
        self.now += timedelta(**time)
        while self.gateway.evaluate_due(100):
            pass

    def count(self, type: str, **query: str) -> int:
        """How many there are."""
        return int(self.gateway.fhir.search(STAFF, type, [*query.items(), ("_summary", "count")], BASE)["total"])

    def found(self, type: str, **query: str) -> list[dict[str, Any]]:
        """Resources a search finds."""
        answer = decode(encode(self.gateway.fhir.search(STAFF, type, list(query.items()), BASE)))
        return [entry["resource"] for entry in answer.get("entry", ())]

    def opines(self, *, interim: bool = False, **changes: Any) -> dict[str, Any]:
        """The reviewer's opinion on case REF-1; its flat answer."""
        return self.gateway.opinions.issue(STAFF, "REF-1", OPINION | changes, interim=interim)

    def cases(self) -> list[dict[str, Any]]:
        """The worklist."""
        return self.gateway.cases(STAFF, 100)

    def case(self, name: str | None = None, as_of: datetime | None = None) -> dict[str, Any]:
        """The flat answer of a case, the only one when no name is given."""
        if name is None:
            (only,) = self.cases()
            name = only["id"]
        return self.gateway.case(STAFF, name, as_of)

    def item(self, item: str, case: str | None = None) -> dict[str, Any]:
        """One required record of a case."""
        return next(i for i in self.case(case)["items"] if i["id"] == item)

    def inbox(self, state: str | None = None) -> list[Any]:
        """Inbox lines, newest first."""
        with self.gateway.store.snapshot(STAFF) as tx:
            return list(tx.inbox.list(state=state))  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    """A fresh gateway."""
    if request.param == "sqlite":
        yield from _told(f"sqlite:///{tmp_path}/told.db")
    else:
        with postgresql_url() as url:
            yield from _told(url)


def _told(url: str) -> Iterator[Told]:
    told = Told(url)
    yield told
    told.gateway.stop()
    told.executor.shutdown()


def ends_of(arrivals: Mapping[str, bytes], order: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Every item of the only case after these arrivals, on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        told = Told(f"sqlite:///{folder}/told.db")
        try:
            for name in order:
                assert told.receives(arrivals[name])[0] == "AA"
            return {item["id"]: (item["state"], item["reason"]) for item in told.case()["items"]}
        finally:
            told.gateway.stop()
            told.executor.shutdown()
