"""Partners: registered, changed, forgotten; and what the outbox says of what it holds."""

from __future__ import annotations

from fhir_gateway.store import Partner, Transaction
from tests.store.people import NOW, later

NORTHSIDE = Partner("NORTHSIDE", "Northside", mllp_host="127.0.0.1", mllp_port=2575, application="EHR", facility="NS", replies=frozenset({"rri"}))


def test_a_partner_is_what_was_said_of_it_last(tx: Transaction) -> None:
    assert tx.partners.get("NORTHSIDE") is None
    tx.partners.put(NORTHSIDE)
    assert tx.partners.get("NORTHSIDE") == NORTHSIDE
    changed = Partner("NORTHSIDE", "Northside", fhir_base="https://ehr.example/fhir")
    tx.partners.put(changed)
    assert list(tx.partners.list()) == [changed]
    assert tx.partners.remove("NORTHSIDE")
    assert not tx.partners.remove("NORTHSIDE")


def test_only_what_a_partner_is_registered_for_and_can_take_is_wanted() -> None:
    assert NORTHSIDE.wants("rri")
    assert not NORTHSIDE.wants("osu")
    assert not Partner("X", replies=frozenset({"rri"})).wants("rri")


def test_what_was_given_up_is_listed_and_may_be_tried_again(tx: Transaction) -> None:
    tx.outbox.put("reply", "reply/1", {})
    tx.outbox.put("reply", "reply/2", {})
    job = tx.outbox.lease(NOW, 1, 60, "w")[0]
    tx.outbox.fail(job.pk, "w", "ConnectionRefusedError", None)
    assert [(line.key, line.state, line.last_error) for line in tx.outbox.list("dead")] == [("reply/1", "dead", "ConnectionRefusedError")]
    assert tx.outbox.retry(job.pk)
    assert not tx.outbox.retry(job.pk)
    assert {again.key for again in tx.outbox.lease(later(minutes=1), 9, 60, "w")} == {"reply/1", "reply/2"}
    assert tx.outbox.count("reply/") == 2
    assert tx.outbox.count("hook/") == 0
