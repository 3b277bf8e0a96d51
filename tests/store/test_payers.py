"""Payers in the store: a document as it was put last, and how a payer has answered lately."""

from __future__ import annotations

from fhir_gateway.store import Circuit, Transaction
from tests.store.people import NOW, later


def test_a_payer_is_what_was_put_last(tx: Transaction) -> None:
    tx.payers.put("acme", '{"name": "acme"}')
    tx.payers.put("acme", '{"name": "acme", "title": "Acme"}')
    assert [(one.name, one.document) for one in tx.payers.list()] == [("acme", '{"name": "acme", "title": "Acme"}')]
    assert (tx.payers.remove("acme"), tx.payers.remove("acme"), list(tx.payers.list())) == (True, False, [])


def test_how_a_payer_has_answered_is_what_was_recorded_last(tx: Transaction) -> None:
    assert tx.payers.circuit("acme") == Circuit("acme")
    tx.payers.answered(Circuit("acme", 3, later(minutes=5)))
    assert tx.payers.circuit("acme") == Circuit("acme", 3, later(minutes=5))
    tx.payers.answered(Circuit("acme"))
    assert tx.payers.circuit("acme").rests_until is None


def test_one_thing_may_be_taken_by_its_name_before_its_turn_and_by_nobody_else_meanwhile(tx: Transaction) -> None:
    tx.outbox.put("eligibility", "eligibility/1", {}, later(hours=1))
    job = tx.outbox.claim("eligibility/1", NOW, 60, "me")
    assert job is not None and job.attempts == 1
    assert tx.outbox.claim("eligibility/1", NOW, 60, "other") is None
    assert tx.outbox.done(job.pk, "me")
    tx.outbox.reopen(job.pk, "not now", later(minutes=1))
    assert tx.outbox.claim("eligibility/1", later(minutes=2), 60, "other") is not None
