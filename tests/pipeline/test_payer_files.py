"""Payers' files changed while the service was down: who is shown what follows from the new ones. On both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhir_gateway.outbound.sender import Sender
from fhir_gateway.pipeline import Gateway
from fhir_gateway.security.principal import Principal
from fhir_gateway.settings import Settings
from fhir_gateway.store import Store
from fhir_gateway.validation import encode
from tests.databases import migrate, postgresql_url

STAFF = Principal("administrator", name="test")
NOW = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "payers"
    made.mkdir()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of today's tables."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/files.db"
        migrate(address)
        yield address
    else:
        with postgresql_url() as address:
            store = Store(address)
            store.upgrade()
            store.close()
            yield address


def served(url: str, folder: Path | None) -> Gateway:
    """The service as it begins."""
    settings = Settings(database_url=url, auth="off", payers=folder)
    gateway = Gateway(settings, ThreadPoolExecutor(1), clock=lambda: NOW)
    gateway.start()
    return gateway


def worked(gateway: Gateway) -> None:
    sender = Sender(gateway.outgoing, {}, 1)
    while sender.round():
        pass


def means(folder: Path, name: str, title: str, **more: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"name": name, "title": title, **more}), encoding="utf-8")


def shown(gateway: Gateway, payer: str) -> int:
    return int(gateway.fhir.search(Principal("payer", payer), "Coverage", [("_summary", "count")], "http://x/fhir")["total"])


def insured(gateway: Gateway) -> None:
    patient = gateway.fhir.create(STAFF, "Patient", encode({"resourceType": "Patient", "name": [{"family": "Marlow"}]}), None)
    plan = {"status": "active", "beneficiary": {"reference": patient.stored.reference}, "payor": [{"display": "Harbor Health"}]}
    gateway.fhir.create(STAFF, "Coverage", encode({"resourceType": "Coverage", **plan}), None)


def served_once(url: str, folder: Path) -> None:
    """With a file that means Harbor Health, and a member of it."""
    means(folder, "harbor", "Harbor Health")
    gateway = served(url, folder)
    insured(gateway)
    gateway.stop()


def test_whoever_the_new_files_mean_is_shown_what_is_its_own_and_nobody_else(url: str, folder: Path) -> None:
    means(folder, "harbor", "Harbor Health")
    first = served(url, folder)
    insured(first)
    assert (shown(first, "harbor"), shown(first, "bay")) == (1, 0)
    first.stop()
    (folder / "harbor.json").unlink()
    means(folder, "bay", "Bay Mutual", names=["Harbor Health"])
    second = served(url, folder)
    assert (shown(second, "harbor"), shown(second, "bay")) == (0, 0)
    worked(second)
    assert (shown(second, "harbor"), shown(second, "bay")) == (0, 1)
    second.stop()


def test_files_that_mean_the_same_change_nothing(url: str, folder: Path) -> None:
    served_once(url, folder)
    means(folder, "harbor", "Harbor Health", disclaimer="Not a guarantee of payment.")
    second = served(url, folder)
    assert shown(second, "harbor") == 1
    assert not Sender(second.outgoing, {}, 1).round()
    second.stop()


def test_without_files_nobody_is_shown_anything_any_more(url: str, folder: Path) -> None:
    served_once(url, folder)
    second = served(url, None)
    assert shown(second, "harbor") == 0
    worked(second)
    assert shown(second, "harbor") == 0
    second.stop()
