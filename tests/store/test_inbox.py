"""The inbox: nothing that arrived is lost, nothing is taken twice."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.store import Store, Transaction, content_hash
from fhir_gateway.store.errors import InboxStateError, NotFoundError, RaceLostError
from fhir_gateway.store.inbox import Went
from tests.store.people import CLINIC, NOW, later
from tests.store.test_keys import in_threads

RAW = b"MSH|^~\\&|\x00\xff"


def arrive(tx: Transaction, **more: Any) -> str:
    """Keep one message."""
    values: dict[str, Any] = {"channel": "mllp", "sender": "NORTHSIDE", "control_id": "C1", "message_type": "REF^I12", "raw": RAW}
    return tx.inbox.add(**{**values, "content_hash": content_hash(RAW), **more})


def test_bytes_are_kept_as_they_came(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        id = arrive(tx, charset="UNICODE UTF-8", findings=[{"text": "nul \x00 here"}])
    with store.snapshot(CLINIC) as tx:
        entry = tx.inbox.get(id)
    assert entry is not None
    assert (entry.raw, entry.size, entry.complete, entry.state, entry.received_at) == (RAW, len(RAW), True, "pending", NOW)
    assert entry.findings == [{"text": "nul \x00 here"}]


def test_what_is_over_the_limit_is_kept_in_part_with_length_and_hash_of_the_whole(store: Store) -> None:
    whole = b"x" * 200_000
    with store.transaction(CLINIC, NOW) as tx:
        id = arrive(tx, raw=whole[:65536], size=len(whole), content_hash=content_hash(whole), state="refused", control_id=None)
        entry = tx.inbox.get(id)
    assert entry is not None
    assert (len(entry.raw), entry.size, entry.content_hash, entry.complete) == (65536, 200_000, content_hash(whole), False)


def test_the_same_message_again_finds_its_first_answer(tx: Transaction) -> None:
    id = arrive(tx)
    tx.inbox.settle(id, "processed", answer=b"MSA|AA|C1", answer_type="x-application/hl7-v2+er7", went=Went({"mapped": 3}, b"packed", ""))
    same = tx.inbox.find_same("NORTHSIDE", "C1", content_hash(RAW))
    assert same is not None
    assert (same.id, same.answer, same.ledger) == (id, b"MSA|AA|C1", {"counts": {"mapped": 3}})
    assert tx.inbox.find_same("NORTHSIDE", "C1", content_hash(b"other")) is None
    assert tx.inbox.find_same("SOUTHSIDE", "C1", content_hash(RAW)) is None


def test_the_database_refuses_the_same_message_twice(tx: Transaction) -> None:
    arrive(tx)
    with pytest.raises(RaceLostError):
        arrive(tx)
    arrive(tx, content_hash="another content under the same control id")
    arrive(tx, control_id=None)
    arrive(tx, control_id=None)


def test_the_same_message_over_many_connections_at_once_is_taken_once(store: Store) -> None:
    def take(tx: Transaction) -> str:
        same = tx.inbox.find_same("NORTHSIDE", "C1", content_hash(RAW))
        return same.id if same else arrive(tx)

    assert len(set(in_threads(8, lambda _: store.run(CLINIC, NOW, take)))) == 1


def test_a_failed_message_is_retried_and_counted(store: Store) -> None:
    with store.transaction(CLINIC, NOW) as tx:
        id = arrive(tx, state="failed")
    with store.transaction(CLINIC, later(hours=1)) as tx:
        claimed = tx.inbox.claim_for_retry(id)
        assert (claimed.state, claimed.attempts) == ("pending", 2)
        tx.inbox.settle(id, "processed", answer=b"AA")
    with store.transaction(CLINIC, NOW) as tx:
        with pytest.raises(InboxStateError):
            tx.inbox.claim_for_retry(id)
        with pytest.raises(InboxStateError):
            tx.inbox.discard(id)
        with pytest.raises(NotFoundError):
            tx.inbox.claim_for_retry("nobody")


def test_a_discarded_message_stays_readable_and_discarded(tx: Transaction) -> None:
    id = arrive(tx, state="refused")
    tx.inbox.discard(id)
    with pytest.raises(InboxStateError):
        tx.inbox.settle(id, "processed", answer=None)
    entry = tx.inbox.get(id)
    assert entry is not None
    assert (entry.state, entry.raw) == ("discarded", RAW)


def test_lists_are_paged_newest_first_and_leave_the_bytes_out(tx: Transaction) -> None:
    ids = [arrive(tx, control_id=None, state="failed" if n % 2 else "processed") for n in range(6)]
    ordered = sorted(ids, reverse=True)
    first = tx.inbox.list(limit=4)
    assert [line.id for line in first] == ordered[:4]
    assert [line.id for line in tx.inbox.list(limit=4, before=first[-1].id)] == ordered[4:]
    assert {line.id for line in tx.inbox.list(state="failed")} == set(ids[1::2])
    assert not hasattr(first[0], "raw")


def test_pending_messages_are_found_oldest_first(tx: Transaction) -> None:
    ids = [arrive(tx, control_id=f"C{n}") for n in range(3)]
    tx.inbox.settle(ids[1], "failed", findings=[])
    assert [entry.id for entry in tx.inbox.pending()] == sorted([ids[0], ids[2]])


def test_odd_header_texts_do_not_break_the_inbox(tx: Transaction) -> None:
    id = arrive(tx, sender="N\x00" + "x" * 9000, control_id="\x00" * 3, message_type="?" * 5000)
    assert tx.inbox.find_same("N\x00" + "x" * 9000, "\x00" * 3, content_hash(RAW)) == tx.inbox.get(id)
