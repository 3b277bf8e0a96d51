"""A payer put, changed or removed: what it is shown follows at once, in every process."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from typing import Any

from fhir_gateway.coverage.payer import read
from fhir_gateway.pipeline import Gateway, payerview
from fhir_gateway.security.principal import Principal
from tests import messages
from tests.pipeline.conftest import STAFF, Told

BLUE = Principal("payer", "blue")


def document(number: str = "BLUE01", **members: Any) -> str:
    return json.dumps({"name": "blue", "title": "Plan of blue", "identifier": [{"value": number}], **members})


def put(gateway: Gateway, text: str) -> None:
    gateway.payers.put(STAFF, read(text), text)


def shown(told: Told, payer: Principal = BLUE) -> list[str]:
    """Types of what the payer can read."""
    types = ("Patient", "Coverage", "ServiceRequest", "Claim", "DocumentReference")
    return [type for type in types if told.gateway.fhir.search(payer, type, [("_summary", "count")], "http://x")["total"]]


def again(told: Told) -> Gateway:
    """Another process on the same database that serves nobody, as a command does."""
    return Gateway(told.gateway.settings, Executor(), clock=lambda: told.now)


def test_what_a_payer_sees_follows_how_it_is_configured(told: Told, monkeypatch: Any) -> None:
    monkeypatch.setattr(payerview, "BATCH", 1)
    for number in range(3):
        told.receives(messages.referral(f"REF-{number}", mrn=str(number)).replace(b"M-554321", f"M-{number}".encode()))
    assert shown(told) == []
    command = again(told)
    put(command, document())
    assert shown(told) == ["Patient", "Coverage", "ServiceRequest"]
    assert told.gateway.fhir.search(BLUE, "Patient", [("_summary", "count")], "http://x")["total"] == 3
    told.receives(messages.referral("REF-9", mrn="9").replace(b"M-554321", b"M-9"))
    assert told.gateway.fhir.search(BLUE, "Patient", [("_summary", "count")], "http://x")["total"] == 4, "the server knows it without a start"
    put(command, document("GREEN01"))
    assert shown(told) == []
    put(command, document())
    assert shown(told) == ["Patient", "Coverage", "ServiceRequest"]
    assert command.payers.remove(STAFF, "blue") and not command.payers.remove(STAFF, "blue")
    assert shown(told) == []
    command.stop()


def test_how_it_is_asked_changes_nothing_of_what_it_sees(told: Told, monkeypatch: Any) -> None:
    told.receives(messages.referral())
    put(told.gateway, document())
    monkeypatch.setattr(payerview, "show_next", None)
    put(told.gateway, document(contact="555-0100", rules=[{"serviceType": "20", "covered": True}]))
    assert shown(told) == ["Patient", "Coverage", "ServiceRequest"]


def test_what_a_crash_left_undone_the_worker_does(told: Told, monkeypatch: Any) -> None:
    told.receives(messages.referral())
    command = again(told)
    monkeypatch.setattr(command.outgoing.__class__, "claim", lambda *_: None)
    put(command, document())
    assert shown(told) == [], "nobody is shown what nobody has looked at"
    while jobs := told.gateway.outgoing.lease(10):
        for job in jobs:
            told.gateway.outgoing.prepare(job)
    assert shown(told) == ["Patient", "Coverage", "ServiceRequest"]
    command.stop()


def test_a_command_that_takes_a_document_back_takes_it_back(told: Told) -> None:
    for message in (messages.referral(), messages.document("T02", "Her history, in words", made="20260911090000-0500")):
        told.receives(message)
    put(told.gateway, document())
    told.gateway.authorising.ask(STAFF, "REF-1")
    command, (letter,) = again(told), told.found("DocumentReference")
    command.releases.release(STAFF, "REF-1", f"DocumentReference/{letter['id']}", "blue")
    assert "DocumentReference" in shown(told)
    command.releases.take_back(STAFF, "REF-1", f"DocumentReference/{letter['id']}", "blue")
    assert "DocumentReference" not in shown(told)
    command.stop()
