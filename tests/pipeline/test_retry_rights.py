"""A kept Bundle is worked on again with the rights of who sent it, whoever has it done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway.errors import ConflictError
from fhir_gateway.security.principal import Principal
from fhir_gateway.validation import encode
from tests.pipeline.conftest import BASE, STAFF, Told, _told

NORTHSIDE, LAKESIDE = Principal("referrer", "NORTHSIDE", "north-ehr"), Principal("referrer", "LAKESIDE", "lake-ehr")
Json = dict[str, Any]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Told]:
    """On SQLite: no query of these stories differs between the databases."""
    yield from _told(f"sqlite:///{tmp_path}/told.db")


def changes(patient: str, family: str) -> bytes:
    resource = {"resourceType": "Patient", "id": patient, "name": [{"family": family}]}
    entry = {"resource": resource, "request": {"method": "PUT", "url": f"Patient/{patient}"}}
    return encode({"resourceType": "Bundle", "type": "transaction", "identifier": {"system": "urn:x", "value": family}, "entry": [entry]})


def names(here: Told) -> list[str]:
    return [one["name"][0]["family"] for one in here.found("Patient")]


def kept(here: Told) -> Any:
    return here.inbox()[0]


def test_staff_lend_no_rights_to_what_a_sender_may_not_do(here: Told) -> None:
    assert here.gateway.receive_bundle(changes("p", "Hers"), NORTHSIDE, BASE)[0] == 200
    status, _ = here.gateway.receive_bundle(changes("p", "Taken"), LAKESIDE, BASE)
    line = kept(here)
    assert status >= 400 and (line.role, line.owner, line.agent, line.state) == ("referrer", "LAKESIDE", "lake-ehr", "failed")
    assert here.gateway.retry(line.id).state == "failed" and names(here) == ["Hers"]


def test_what_a_sender_may_do_is_done_in_its_name(here: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(type(here.gateway.bundles), "_transact", None)
        here.gateway.receive_bundle(changes("p", "Hers"), NORTHSIDE, BASE)
    assert kept(here).state == "failed"
    assert here.gateway.retry(kept(here).id).state == "processed" and names(here) == ["Hers"]
    with here.gateway.store.snapshot(STAFF) as tx:
        held = tx.resources.read("Patient", "p")
    assert held is not None and held.owner == "NORTHSIDE"


def test_what_was_kept_before_that_was_noted_is_not_worked_on_again(here: Told) -> None:
    here.gateway.receive_bundle(changes("p", "Hers"), NORTHSIDE, BASE)
    here.gateway.receive_bundle(changes("p", "Taken"), LAKESIDE, BASE)
    line = kept(here)
    with here.gateway.store._database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox SET role = NULL, agent = NULL")
    with pytest.raises(ConflictError, match="have it sent again"):
        here.gateway.retry(line.id)
    assert kept(here).state == "failed" and names(here) == ["Hers"]
